//! Trouble in the middle of a run: a full disk and a loss that is not finite. Nothing is lost, and the run goes on.

use std::path::Path;
use std::process::{Command, Output};

const SMALL: [&str; 5] = [
    "prior.updates=60",
    "critic.updates=60",
    "finetune.updates=20",
    "evaluation.episodes=4",
    "evaluation.episodes_in_training=2",
];

fn arguments(set: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = ["quickstart", "--out", "run"].map(String::from).to_vec();
    for entry in SMALL.iter().chain(set) {
        all.extend(["--set".to_string(), (*entry).to_string()]);
    }
    all
}

fn tiltrl(folder: &Path, set: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments(set))
        .output()
        .expect("the binary runs")
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = tiltrl(folder.path(), &["critic.learning_rate=1e30"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("critic: the loss is not finite at update"),
        "{error}"
    );
    assert!(error.contains("critic.learning_rate"), "{error}");
    let checkpoints = folder.path().join("run/seed-1/checkpoints");
    assert!(checkpoints.join("prior.safetensors").exists());
}

/// A file system of 2 MB in a namespace of its own: the run dies there, and goes on when there is space.
#[test]
fn a_full_disk_loses_nothing_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    assert!(tiltrl(folder.path(), &[]).status.success());
    let script = "mkdir small && mount -t tmpfs -o size=2m none small || exit 77
        mkdir small/run && cp run/data.hdf5 small/run/ && cd small
        \"$0\" \"$@\" 2> ../error.txt && exit 78
        ls run/seed-1/checkpoints run/seed-1 > ../left.txt
        mount -o remount,size=60m none . && \"$0\" \"$@\" || exit 79
        cp run/seed-1/eval.csv run/seed-1/checkpoints/posterior.safetensors ..";
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_tiltrl")])
        .args(arguments(&[]))
        .current_dir(folder.path())
        .output();
    let code = output.as_ref().ok().and_then(|o| o.status.code());
    if !folder.path().join("error.txt").exists() && code != Some(78) {
        eprintln!(
            "SKIPPED a_full_disk_loses_nothing…: this system lets no user mount a small file system"
        );
        return;
    }
    let output = output.expect("ran");
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let error = text("error.txt");
    assert_eq!(
        code,
        Some(0),
        "{error}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("run/seed-1"), "the file is named: {error}");
    assert!(
        !text("left.txt").contains(".part"),
        "half a file was left: {}",
        text("left.txt")
    );
    for (ours, theirs) in [
        ("eval.csv", "run/seed-1/eval.csv"),
        (
            "posterior.safetensors",
            "run/seed-1/checkpoints/posterior.safetensors",
        ),
    ] {
        let bytes = |name: &str| std::fs::read(folder.path().join(name)).expect("written");
        assert!(
            bytes(ours) == bytes(theirs),
            "{ours} differs from an undisturbed run"
        );
    }
}

/// What standard output cannot take is not lost, and is no success.
#[cfg(target_os = "linux")]
#[test]
fn a_table_that_cannot_be_printed_goes_to_standard_error() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .arg("devices")
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("standard output: ") && error.contains("cpu"),
        "{error}"
    );
}
