//! `tiltrl tilt`: three-letter words against their exact posterior, what a folder refuses, and the stories where their files are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned())
}

#[test]
fn words_of_three_letters_reach_their_exact_posterior() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    let words = ["--quiet", "tilt", "words", "--quick", "--out", "w"];
    let output = tiltrl(inside, &words);
    let [table, errors] = said(&output);
    eprintln!("{table}");
    assert!(output.status.success(), "{table}{errors}");
    assert!(
        table.contains("PASS: TV < 0.02, |Δ log Z| < 0.02"),
        "{table}"
    );
    let read = |name: &str| std::fs::read(inside.join(name)).expect("written");
    let results: serde_json::Value = serde_json::from_slice(&read("w/results.json")).expect("JSON");
    let rows = results["seeds"][0]["rows"].as_array().expect("rows");
    let balance = rows.iter().find(|row| row["method"] == "balance");
    assert!(
        balance.expect("a row")["distance"]
            .as_f64()
            .expect("measured")
            < 0.02
    );
    for picture in ["strings-doubles", "distance-doubles", "strings-infilling"] {
        assert!(
            inside.join(format!("w/seed-1/{picture}.svg")).exists(),
            "{picture}"
        );
    }
    // Killed after the last checkpoint: the same bytes again, without training.
    let rows = read("w/seed-1/rows.json");
    std::fs::remove_file(inside.join("w/seed-1/rows.json")).expect("there");
    assert!(tiltrl(inside, &words).status.success());
    assert!(
        read("w/seed-1/rows.json") == rows,
        "a resumed seed has other rows"
    );
    // Another setting is another run.
    let other = tiltrl(inside, &[&words[..], &["--set", "updates=7"]].concat());
    let [_, errors] = said(&other);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        errors.contains("settings.updates: 2000 in the folder, 7 now"),
        "{errors}"
    );
}

#[test]
fn a_missed_bound_is_named_and_exits_with_1() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = tiltrl(
        folder.path(),
        &[
            "--quiet",
            "tilt",
            "words",
            "--quick",
            "--only",
            "doubles",
            "--set",
            "updates=1",
            "--set",
            "prior_updates=5",
            "--set",
            "hidden=8",
        ],
    );
    let [table, errors] = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("FAIL: TV < 0.02"), "{table}");
    assert!(
        errors.contains("seed 1, doubles, balance: TV < 0.02 is"),
        "{errors}"
    );
}

#[test]
fn arithmetic_goes_on_from_its_checkpoints() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let command = |out: &'static str| {
        [
            "--quiet",
            "tilt",
            "arithmetic",
            "--quick",
            "--out",
            out,
            "--set",
            "baseline_updates=0",
            "--set",
            "updates=40",
            "--set",
            "prior_updates=40",
            "--set",
            "hidden=16",
        ]
    };
    // Whether so short a run passes says nothing; what is asked here is that a run in two halves is the run in one.
    let code = tiltrl(folder.path(), &command("whole")).status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder.path())
        .args(command("halves"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let checkpoint = folder
        .path()
        .join("halves/seed-1/checkpoints/prior.safetensors");
    while !checkpoint.exists() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    tiltrl(folder.path(), &command("halves"));
    let checkpoints = |out: &str| {
        let path = format!("{out}/seed-1/checkpoints/balance-arithmetic.safetensors");
        std::fs::read(folder.path().join(path)).expect("written")
    };
    assert!(
        checkpoints("whole") == checkpoints("halves"),
        "other bytes after a kill"
    );
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (arguments, words) in [
        (vec!["tilt", "word"], "did you mean words"),
        (
            vec!["tilt", "words", "--only", "rhymes"],
            "it has doubles, infilling",
        ),
        (
            vec!["tilt", "words", "--set", "path=3"],
            "did you mean paths",
        ),
        (vec!["tilt", "stories"], "--data FOLDER is needed"),
    ] {
        let output = tiltrl(folder.path(), &arguments);
        let [_, errors] = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors.contains(words), "{errors}");
    }
}

/// The folder of the language files, where there is one.
fn language() -> Option<PathBuf> {
    let shared = std::env::var_os("TILTRL_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let folder = shared.join("data/language");
    if folder.join("stories260K.bin").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no {}", folder.join("stories260K.bin").display());
    None
}

#[test]
fn a_damaged_story_model_is_refused() {
    let Some(language) = language() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut bytes = std::fs::read(language.join("stories260K.bin")).expect("readable");
    bytes[5000] ^= 1;
    std::fs::write(folder.path().join("stories260K.bin"), bytes).expect("writable");
    let output = tiltrl(folder.path(), &["tilt", "stories", "--data", "."]);
    let [_, errors] = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.contains("damaged") && errors.contains("SHA-256"),
        "{errors}"
    );
}

/// Sentences of two vocabularies and common words, as a set of SUBJ.
fn made_up_sentences(count: usize, shift: usize) -> String {
    let line = |i: usize| {
        let (kind, label) = [("opinion", 1), ("event", 0)][i % 2];
        let own = (0..5).map(|k| format!("{kind}{}", (7 * i + 3 * k * k + k + shift) % 12));
        let common = (0..2).map(|k| format!("common{}", (i + k) % 3));
        let words: Vec<String> = own.chain(common).collect();
        format!(
            "{{\"text\": \"{} .\", \"label\": {label}}}",
            words.join(" ")
        )
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

/// The amortised E-step comes near the exact one, nearer than the prior; a missing set is named.
#[test]
fn subjectivity_learns_from_ten_labels_and_names_what_is_missing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = folder.path().join("subj");
    std::fs::create_dir(&data).expect("writable");
    let command = [
        "--quiet",
        "tilt",
        "subjectivity",
        "--quick",
        "--data",
        ".",
        "--only",
        "10",
        "--set",
        "skipped=3",
        "--set",
        "latent=24",
    ];
    let [_, errors] = said(&tiltrl(folder.path(), &command));
    assert!(errors.contains("train.jsonl: no such file"), "{errors}");
    for (name, count, shift) in [("train", 200, 0), ("train.10", 10, 0), ("test", 100, 5)] {
        let text = made_up_sentences(count, shift);
        std::fs::write(data.join(format!("{name}.jsonl")), text).expect("writable");
    }
    let output = tiltrl(folder.path(), &command);
    let [table, errors] = said(&output);
    eprintln!("{table}{errors}");
    let path = folder.path().join("runs/tilt-subjectivity/results.json");
    let bytes = std::fs::read(path).expect("written");
    let results: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let rows = results["seeds"][0]["rows"].as_array().expect("rows");
    let of = |method: &str| {
        rows.iter()
            .find(|row| row["method"] == method)
            .expect("a row")
    };
    let [tilted, prior] = ["EM, balance", "prior"].map(of);
    // So short a prior says little of the label; what is asked here is that the E-step is the exact one's.
    assert!(tilted["kl"].as_f64() < Some(0.05), "{table}");
    assert!(tilted["kl"].as_f64() < prior["kl"].as_f64(), "{table}");
}
