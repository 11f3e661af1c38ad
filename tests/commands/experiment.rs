//! An experiment is a file; a run's folder is guarded, grows, and can be opened by every command or says why not.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tiltrl::run::Lock;

/// Seconds on one core: what is tested here is not how good a policy is.
const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [8]
updates = 20
[critic]
hidden = [8]
updates = 20
[finetune]
updates = 10
states = 8
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 2
best_of = [2]
"#;

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs and expects success.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = tiltrl(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Runs and expects an error without a panic that holds all these words.
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = tiltrl(folder, arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: no `{word}` in: {text}");
    }
}

/// A folder with the tiny experiment.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("tiny.toml"), TINY).expect("writable");
    folder
}

const RUN: [&str; 5] = ["run", "--config", "tiny.toml", "--out", "run"];

fn run_with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&RUN[..], more].concat()
}

#[test]
fn a_printed_config_is_a_config_and_faults_are_told_together_before_anything_is_read() {
    let folder = folder();
    let inside = folder.path();
    let text = done(
        inside,
        &["config", "tiny.toml", "--set", "critic.expectile=0.8"],
    );
    for line in [
        "# Discount γ (above 0, below 1).",
        "expectile = 0.8",
        "hidden = [8]",
        "preset = \"tiny\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    std::fs::write(inside.join("whole.toml"), &text).expect("writable");
    assert_eq!(done(inside, &["config", "whole.toml"]), text);
    let wrong = ["run", "--config", "whole.toml", "--data", "missing.hdf5"];
    let set = [
        "--set",
        "prior.hidden=[0]",
        "--set",
        "prior.ema_decay=2",
        "--set",
        "finetune.options.replay.paths=1",
    ];
    let keys = [
        "prior.hidden",
        "prior.ema_decay",
        "finetune.options.replay.paths",
        "3 faults",
    ];
    refused(inside, &[&wrong[..], &set].concat(), 2, &keys);
    refused(inside, &wrong, 1, &["missing.hdf5"]);
    let both = ["run", "--preset", "hopper-medium", "--config", "whole.toml"];
    refused(inside, &both, 2, &["cannot be used with"]);
    refused(inside, &["run"], 2, &["--preset"]);
    refused(inside, &["config", "hoper-medium"], 2, &["`hopper-medium`"]);
}

/// A device that the build lacks: what it is that is lacking, and the command that brings it.
#[test]
fn a_device_that_the_build_lacks_says_what_brings_it() {
    let folder = folder();
    let inside = folder.path();
    for (device, feature, built) in [
        ("wgpu", "wgpu", cfg!(feature = "wgpu")),
        ("tch", "tch", cfg!(feature = "tch")),
        ("tch:0", "tch", cfg!(feature = "tch")),
        ("cuda:0", "cuda", cfg!(feature = "cuda")),
    ] {
        if built {
            continue;
        }
        let brings = format!("cargo build --release --features {feature}");
        let lacks = format!("--device {device}: this build has no {feature}");
        let run = ["--device", device, "run", "--preset", "quickstart"];
        refused(inside, &run, 1, &[&lacks, &brings, "hint: "]);
        assert!(done(inside, &["devices"]).contains(&brings));
    }
    assert!(!inside.join("runs").exists(), "nothing was begun");
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let folder = folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder.path())
        .arg("envs")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut error = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut error).expect("text");
    assert!(child.wait().expect("waitable").success(), "{error}");
    assert_eq!(error, "");
}

#[test]
fn a_folder_is_written_by_one_process_and_tells_what_is_in_it() {
    let folder = folder();
    let inside = folder.path();
    let seed = inside.join("run/seed-1");
    let lock = Lock::take(&seed).expect("free");
    let own = format!("process {} is writing there", std::process::id());
    refused(inside, &RUN, 1, &[&own, "run/seed-1"]);
    drop(lock);
    std::fs::write(inside.join("table.json"), "mine").expect("writable");
    refused(
        inside,
        &run_with(&["--json", "table.json"]),
        1,
        &["exists already"],
    );
    assert!(
        !seed.join("run.toml").exists(),
        "refused before anything is trained"
    );
    // Half a run: every command says what is missing.
    let half = ["train-prior", "--config", "tiny.toml", "--out", "run"];
    let lines = done(inside, &half);
    assert!(
        lines.contains("prior 20/20"),
        "a line per checkpoint: {lines}"
    );
    for command in ["evaluate", "certify", "plot"] {
        refused(
            inside,
            &[command, "run"],
            1,
            &["no seed of this run", "goes on"],
        );
        refused(inside, &[command, "nothing"], 1, &["nothing"]);
    }
    let quiet = done(inside, &[&["--quiet"], &half[..]].concat());
    assert!(
        quiet.lines().all(|line| line.starts_with("data: ")),
        "no progress; what was done to the data is said all the same: {quiet}"
    );
    let collect = [
        "collect",
        "--env",
        "pendulum-v1",
        "--out",
        "c.hdf5",
        "--policy",
    ];
    refused(
        inside,
        &[&collect[..], &["run"]].concat(),
        1,
        &["run/seed-1"],
    );
    refused(
        inside,
        &[&collect[..], &["run/seed-1"]].concat(),
        1,
        &["posterior"],
    );
    done(inside, &RUN);
    for command in ["evaluate", "certify", "plot"] {
        refused(
            inside,
            &[command, "run/seed-1"],
            1,
            &["folder of one seed", "run"],
        );
    }
    // One seed more, unfinished: the finished one is still certified.
    done(inside, &[&half[..], &["--seeds", "2"]].concat());
    assert!(done(inside, &["certify", "run"]).contains("seeds [2] have no certificate"));
    done(inside, &["evaluate", "run", "--policy", "posterior"]);
    a_picture_that_cannot_be_written_loses_no_table(inside);
    damage_is_named(inside, &seed);
}

/// A folder stands where the lock file should: as in a folder that cannot be written, also for root.
fn a_picture_that_cannot_be_written_loses_no_table(inside: &Path) {
    let lock = inside.join("run/lock");
    std::fs::remove_file(&lock).expect("there");
    std::fs::create_dir(&lock).expect("writable");
    let words = ["ess_posterior", "the table above is complete", "--out STEM"];
    refused(inside, &["certify", "run"], 1, &words);
    done(inside, &["certify", "run", "--out", "elsewhere"]);
    assert!(inside.join("elsewhere.svg").exists());
    std::fs::remove_dir(&lock).expect("empty");
}

fn damage_is_named(inside: &Path, seed: &Path) {
    // The CSV files are for people: nothing reads them.
    for name in ["eval.csv", "final.csv", "finetune.csv"] {
        std::fs::write(seed.join(name), "1,2\n\n,,").expect("writable");
    }
    done(inside, &["plot", "run"]);
    for (name, command) in [
        ("log/finetune.json", &["plot", "run"][..]),
        ("log/results.json", &RUN),
        ("timing.json", &["evaluate", "run", "--policy", "posterior"]),
        ("certificate.json", &["certify", "run"]),
        ("run.toml", &RUN),
    ] {
        let path = seed.join(name);
        let whole = std::fs::read(&path).expect("written");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("writable");
        refused(inside, command, 1, &[name]);
        std::fs::write(&path, whole).expect("writable");
    }
}

#[test]
fn a_run_grows_and_every_other_change_is_named() {
    let folder = folder();
    let inside = folder.path();
    done(inside, &run_with(&["--json", "first.json"]));
    let read = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(inside.join(name)).expect("written");
        serde_json::from_str(&text).expect("JSON")
    };
    let episodes = |name: &str| read(name)["lines"][2]["returns"]["episodes"].as_u64();
    assert_eq!(episodes("first.json"), Some(2));
    let other = ["--set", "critic.discount=0.9", "--set", "prior.updates=10"];
    let words = [
        "critic.discount: 0.97 in the folder, 0.9 asked for",
        "prior.updates: 20 in the folder, 10 asked for",
    ];
    refused(inside, &run_with(&other), 1, &words);
    let bytes = |name: &str| std::fs::read(inside.join("run/seed-1").join(name)).expect("written");
    let posterior = "checkpoints/posterior.safetensors";
    let before = bytes(posterior);
    let more = ["--set", "evaluation.episodes=3", "--json", "second.json"];
    let text = done(inside, &run_with(&more));
    assert!(text.contains("evaluation.episodes 2 → 3"), "{text}");
    assert_eq!(episodes("second.json"), Some(3));
    assert!(before == bytes(posterior), "nothing is trained again");
    let longer = [
        "--set",
        "evaluation.episodes=3",
        "--set",
        "finetune.updates=14",
    ];
    done(inside, &run_with(&longer));
    assert!(before != bytes(posterior));
    let log = String::from_utf8(bytes("finetune.csv")).expect("text");
    assert!(log.lines().any(|l| l.starts_with("10,")), "{log}");
    assert!(
        log.lines().last().is_some_and(|l| l.starts_with("14,")),
        "{log}"
    );
    let critic = [&longer[..], &["--set", "critic.updates=30"]].concat();
    let text = done(inside, &run_with(&critic));
    assert!(
        text.contains("made anew") && text.contains(posterior),
        "{text}"
    );
    assert!(inside.join("run/seed-1/earlier-2").join(posterior).exists());
    // Going on with the same settings does nothing more.
    let again = bytes(posterior);
    done(inside, &run_with(&critic));
    assert!(again == bytes(posterior));
}

#[test]
fn seeds_trained_at_the_same_time_in_one_folder_share_a_table() {
    let folder = folder();
    let inside = folder.path();
    let children: Vec<_> = ["1", "2", "3"]
        .iter()
        .map(|seed| {
            Command::new(env!("CARGO_BIN_EXE_tiltrl"))
                .current_dir(inside)
                .args([
                    "quickstart",
                    "--config",
                    "tiny.toml",
                    "--out",
                    "run",
                    "--seeds",
                    seed,
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary runs")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("waitable");
        assert!(output.status.success(), "{}", said(&output));
    }
    let text = std::fs::read_to_string(inside.join("run/summary.json")).expect("written");
    let summary: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(summary["seeds"], serde_json::json!([1, 2, 3]));
}

#[test]
fn one_episode_has_no_interval() {
    let folder = folder();
    let inside = folder.path();
    let one = run_with(&["--set", "evaluation.episodes=1", "--json", "one.json"]);
    let text = done(inside, &one);
    let line = text
        .lines()
        .find(|l| l.starts_with("posterior"))
        .expect("listed");
    assert!(line.contains('–') && !line.contains('['), "{line}");
    let text = std::fs::read_to_string(inside.join("one.json")).expect("written");
    assert!(text.contains("\"mean_low\": null"), "{text}");
    done(inside, &["evaluate", "run"]);
    let random = [
        "evaluate",
        "--env",
        "pendulum-v1",
        "--random",
        "--episodes",
        "1",
    ];
    assert!(done(inside, &random).contains("no standard error"));
}
