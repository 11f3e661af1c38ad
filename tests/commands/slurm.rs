//! The array of twelve by Slurm itself, where one could be started.

use std::process::Command;
use std::time::Duration;

use super::cluster::{Place, folder_of, said, twelve, until, victims};

fn slurm(conf: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("SLURM_CONF", conf)
        .output();
    said(&output.expect("Slurm's commands"))
}

#[test]
fn slurm_itself_ends_with_the_table_of_twelve_local_runs() {
    let Ok(conf) = std::env::var("SLURM_TEST_CONF") else {
        eprintln!(
            "SKIPPED slurm_itself…: SLURM_TEST_CONF names no slurm.conf; .ci/get-slurm starts a Slurm and prints its own"
        );
        return;
    };
    let place = Place::new();
    std::fs::remove_dir_all(place.inside.join("bin")).expect("the stand-in goes");
    place.done(&twelve("here", &["--jobs", "2"]));
    let output = place
        .command(&twelve("by slurm", &["--slurm"]))
        .env("SLURM_CONF", &conf)
        .output();
    let text = said(&output.expect("runs"));
    let job = text
        .split("submitted as job ")
        .nth(1)
        .and_then(|t| t.split_whitespace().next());
    let job: u64 = job
        .and_then(|j| j.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    let mut requeued = Vec::new();
    for (at, (element, stage)) in victims().into_iter().enumerate() {
        let name = format!("{job}_{element}");
        let folder = place.inside.join(folder_of("by slurm", element));
        until("an element starts", || {
            folder.join(format!("log/{stage}.json")).exists()
        });
        let process = std::fs::read_to_string(folder.join("lock")).expect("its lock");
        assert!(!process.is_empty(), "{element} was killed in the middle");
        if at == 1 {
            // What an administrator or a preempting job does.
            slurm(&conf, "scontrol", &["requeue", &name]);
        } else {
            let killed = Command::new("kill").args(["-9", &process]).status();
            assert!(killed.expect("kill").success());
        }
        requeued.push(name);
    }
    // Slurm lets what was requeued wait for two minutes; a test does not, but for the time that a credential takes to end.
    std::thread::sleep(Duration::from_secs(3));
    until("the queue empties", || {
        for name in &requeued {
            slurm(
                &conf,
                "scontrol",
                &["update", &format!("JobId={name}"), "StartTime=now"],
            );
        }
        std::thread::sleep(Duration::from_millis(300));
        slurm(&conf, "squeue", &["--noheader"]).trim().is_empty()
    });
    for (element, _) in victims() {
        let log = place.read(&format!("by slurm/slurm/logs/{job}_{element}.txt"));
        assert!(
            log.contains("ended without giving its lock back"),
            "{element}: {log}"
        );
    }
    place.same_results("by slurm", "here");
}
