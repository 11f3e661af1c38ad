//! Many runs at once by Slurm, for which a script stands in.

use std::process::Command;

use tiltrl::run::Lock;

use super::cluster::{Place, folder_of, said, twelve, until, victims};

#[test]
fn twelve_runs_with_three_killed_end_with_the_table_of_twelve_local_ones() {
    let place = Place::new();
    place.done(&twelve("here", &["--jobs", "2"]));
    let lines: Vec<String> = victims()
        .iter()
        .map(|(element, stage)| {
            format!(
                "{element}\t{}\tlog/{stage}.json\n",
                folder_of("by slurm", *element)
            )
        })
        .collect();
    // The elements begin in the folder of the call.
    let absolute: String = lines
        .iter()
        .map(|line| line.replacen('\t', &format!("\t{}/", place.inside.display()), 1))
        .collect();
    place.write("state/victims", &absolute);
    let text = place.done(&twelve(
        "by slurm",
        &["--slurm", "--time", "1:00:00", "--sbatch", "--account=x"],
    ));
    assert!(
        text.contains("12 runs: 0 done, 0 running, 0 in the queue, 12 to submit"),
        "{text}"
    );
    assert!(text.contains("submitted as job 2: the table"), "{text}");
    assert_eq!(place.read("state/killed").lines().count(), 3);
    for (element, _) in victims() {
        let log = place.read(&format!("by slurm/slurm/logs/1_{element}.txt"));
        assert!(log.contains("asking for a repeat"), "{log}");
        assert!(log.contains("ended without giving its lock back"), "{log}");
    }
    place.same_results("by slurm", "here");
    let table = place.read("by slurm/benchmark.md");
    assert!(!table.contains("Missing"), "{table}");
    assert_eq!(
        place.read("by slurm/runs.csv").matches(",done,").count(),
        12
    );
    let script = place.read("by slurm/slurm/array.sh");
    for line in [
        "--requeue",
        "--cpus-per-task=1",
        "--time=1:00:00",
        "--account=x",
    ] {
        assert!(script.contains(&format!("#SBATCH {line}\n")), "{script}");
    }
    // Again: nothing is submitted, and the table is written here.
    let again = place.done(&twelve("by slurm", &["--slurm"]));
    assert!(
        again.contains("12 done") && again.contains("| run |"),
        "{again}"
    );
    assert_eq!(place.read("state/calls").lines().count(), 2);
    place.same_results("by slurm", "here");
}

#[test]
fn an_element_may_run_twice_at_once_and_again_when_it_is_done() {
    let place = Place::new();
    let one = ["benchmark", "--configs", "cold.toml", "--seeds", "1"];
    place.done(&[&one[..], &["--out", "here"]].concat());
    place.write("state/idle", "");
    place.done(&[&one[..], &["--out", "twice", "--slurm"]].concat());
    let element = || {
        Command::new("bash")
            .args(["twice/slurm/array.sh", "0"])
            .current_dir(&place.inside)
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("SLURM_ARRAY_JOB_ID", "1")
            .output()
            .expect("bash")
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(element);
        (element(), other.join().expect("no panic"))
    });
    let ends: Vec<bool> = [&first, &second]
        .iter()
        .map(|o| o.status.success())
        .collect();
    assert!(ends[0] || ends[1], "{}{}", said(&first), said(&second));
    let bytes = |name: &str| std::fs::read(place.inside.join(name)).expect("written");
    let same = || bytes("twice/cold/seed-1/final.csv") == bytes("here/cold/seed-1/final.csv");
    assert!(same());
    assert!(element().status.success() && same());
    let text = place.done(&[&one[..], &["--out", "twice", "--table"]].concat());
    assert!(!text.contains("Missing"), "{text}");
}

/// A minute before the time limit Slurm signals the script: it ends the run, asks for a repeat, and the repeat goes on.
#[test]
fn an_element_that_runs_out_of_time_asks_for_a_repeat() {
    let place = Place::new();
    let one = ["benchmark", "--configs", "cold.toml", "--seeds", "1"];
    place.done(&[&one[..], &["--out", "here"]].concat());
    place.write("state/idle", "");
    place.done(&[&one[..], &["--out", "late", "--slurm"]].concat());
    let path = std::env::var("PATH").unwrap_or_default();
    let start = || {
        Command::new("bash")
            .args(["late/slurm/array.sh", "0"])
            .current_dir(&place.inside)
            .env(
                "PATH",
                format!("{}:{path}", place.inside.join("bin").display()),
            )
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("SLURM_ARRAY_JOB_ID", "9")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("bash")
    };
    let first = start();
    until("the prior is there", || {
        place
            .inside
            .join("late/cold/seed-1/log/prior.json")
            .exists()
    });
    let signal = Command::new("kill")
        .args(["-USR1", &first.id().to_string()])
        .status();
    assert!(signal.expect("kill").success());
    let output = first.wait_with_output().expect("waitable");
    assert!(
        !output.status.success() && place.inside.join("state/requeue_9_1").exists(),
        "{}",
        said(&output)
    );
    let held = Lock::take(&place.inside.join("late/cold/seed-1"));
    drop(held.expect("the run ended with its script"));
    let output = start().wait_with_output().expect("waitable");
    assert!(output.status.success(), "{}", said(&output));
    let bytes = |name: &str| std::fs::read(place.inside.join(name)).expect("written");
    assert!(bytes("late/cold/seed-1/final.csv") == bytes("here/cold/seed-1/final.csv"));
}

#[test]
fn the_table_says_what_is_missing_and_only_that_is_submitted() {
    let place = Place::new();
    place.write("state/idle", "");
    let all = [
        "benchmark",
        "--configs",
        "cold.toml",
        "--seeds",
        "1,2,3,4,5,6",
        "--out",
        "some",
    ];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    let run = |command: &'static str, seed: &'static str| {
        place.done(&[
            command,
            "--config",
            "cold.toml",
            "--out",
            "some/cold",
            "--seeds",
            seed,
        ])
    };
    // Nothing at all is there yet.
    let text = place.done(&with(&["--table"]));
    assert!(
        text.contains("Missing: 6 of 6 runs") && text.contains("| cold | 3 | not started |"),
        "{text}"
    );
    run("run", "1");
    run("train-critic", "2");
    run("train-prior", "3");
    run("train-prior", "4");
    let seed = |n: usize| place.inside.join(format!("some/cold/seed-{n}"));
    let _lock = Lock::take(&seed(3)).expect("free");
    let toml = place.read("some/cold/seed-4/run.toml");
    place.write("some/cold/seed-4/run.toml", &toml[..toml.len() / 2]);
    let text = place.done(&with(&["--slurm"]));
    assert!(
        text.contains("6 runs: 1 done, 1 running, 0 in the queue, 3 to submit"),
        "{text}"
    );
    assert!(
        place
            .read("state/calls")
            .starts_with("--parsable --output=")
            && place.read("state/calls").contains("--array=2,5-6 ")
    );
    assert!(
        text.contains("not submitted: some/cold/seed-4 cannot go on: "),
        "{text}"
    );
    // Slurm has element 5; element 6 failed at once.
    place.write("state/queue", "1 5\n");
    place.write(
        "some/slurm/said/6.txt",
        "note: x\nerror: no | such data\n  hint: y\n",
    );
    let text = place.done(&with(&["--table"]));
    for line in [
        "Missing: 5 of 6 runs.",
        "| cold | 2 | died at critic update 40 |",
        "| cold | 3 | running, at prior update 40 |",
        "| cold | 4 | cannot go on: ",
        "| cold | 5 | in Slurm's queue as 1_5 |",
        "| cold | 6 | not started: error: no \\| such data |",
        "| cold | ",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    assert_eq!(
        place.read("some/benchmark.md").matches("| cold | ").count(),
        2 + 5
    );
    assert!(
        place
            .read("some/runs.csv")
            .contains("cold,1,done,some/cold/seed-1\n")
    );
    let text = place.done(&with(&["--slurm"]));
    assert!(text.contains("1 in the queue, 2 to submit"), "{text}");
    assert!(place.read("state/calls").contains("--array=2,6 "));
    assert!(
        place
            .read("state/calls")
            .lines()
            .last()
            .is_some_and(|l| l.contains("afterany:1:3"))
    );
    // Another config in a folder that is there: refused before anything is submitted.
    let calls = place.read("state/calls");
    place.refused(
        &with(&["--slurm", "--set", "critic.discount=0.5"]),
        1,
        &[
            "some/cold/seed-1",
            "some/cold/seed-2",
            "critic.discount: 0.97 in the folder",
        ],
    );
    assert_eq!(calls, place.read("state/calls"));
    // More seeds: lines are added, none moves.
    let before = place.read("some/slurm/jobs.txt");
    let more = [
        "benchmark",
        "--configs",
        "cold.toml",
        "--seeds",
        "9,1,2",
        "--out",
        "some",
        "--slurm",
        "--jobs",
        "3",
    ];
    place.done(&more);
    let after = place.read("some/slurm/jobs.txt");
    assert!(
        after.starts_with(&before) && after.lines().count() == 7,
        "{after}"
    );
    assert!(place.read("state/calls").contains("--array=2,7%3 "));
    // A ledger that is lost is begun anew.
    std::fs::remove_file(place.inside.join("some/slurm/jobs.txt")).expect("there");
    let text = place.done(&with(&["--slurm"]));
    assert!(text.contains("jobs.txt is gone"), "{text}");
    assert_eq!(place.read("some/slurm/jobs.txt").lines().count(), 6);
}

#[test]
fn a_dry_run_writes_and_prints_and_what_is_wrong_is_named() {
    let place = Place::new();
    let text = place.done(&twelve(
        "dry",
        &[
            "--slurm",
            "--dry-run",
            "--partition",
            "long",
            "--mem",
            "2G",
            "--jobs",
            "4",
        ],
    ));
    assert!(
        text.contains("--array=1-12%4") && text.contains("--dependency=afterany:JOBID"),
        "{text}"
    );
    assert!(
        !place.inside.join("state/calls").exists(),
        "nothing is submitted"
    );
    assert_eq!(place.read("dry/slurm/jobs.txt").lines().count(), 12);
    assert!(
        place
            .read("dry/slurm/jobs.txt")
            .contains(" run --config 'warm one.toml' ")
    );
    let checked = Command::new("bash")
        .arg("-n")
        .arg(place.inside.join("dry/slurm/array.sh"))
        .status();
    assert!(checked.expect("bash").success());
    for (options, words) in [
        (
            &["--slurm", "--sbatch", "--array=1-3"][..],
            &["--array is set by this command"][..],
        ),
        (
            &["--slurm", "--sbatch", "x", "--time", "1 h"],
            &["--time: expected one word", "found `x`"],
        ),
        (
            &["--slurm", "--jobs", "0"],
            &["--jobs: expected at least 1"],
        ),
        (&["--dry-run"], &["--slurm"]),
        (&["--slurm", "--table"], &["cannot be used with"]),
    ] {
        place.refused(&twelve("wrong", options), 2, words);
    }
    place.refused(
        &["benchmark", "--configs", "cold.toml,bin/../cold.toml"],
        2,
        &["`cold` twice"],
    );
    place.write("state/refuses", "sbatch: error: invalid account\n");
    place.refused(
        &twelve("dry", &["--slurm"]),
        1,
        &["sbatch refused: sbatch: error: invalid account", "--sbatch"],
    );
    let none = place
        .command(&twelve("dry", &["--slurm"]))
        .env("PATH", "/nowhere")
        .output()
        .expect("runs");
    assert_eq!(none.status.code(), Some(1));
    assert!(
        said(&none).contains("slurm-client") && said(&none).contains("--dry-run"),
        "{}",
        said(&none)
    );
}
