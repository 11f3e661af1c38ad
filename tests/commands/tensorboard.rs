//! Event files: what TensorBoard shows is what the logs say, each step once, whatever happened to the run.
//!
//! The decoder here, checksums included, is another one than the program's. `TENSORBOARD_PYTHON` names a Python with tensorboard, which
//! then reads the same file; without it that is skipped aloud.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [8, 8]
updates = 60
[critic]
hidden = [8, 8]
updates = 40
[finetune]
updates = 20
states = 8
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 4
best_of = [2]
"#;

/// Steps and values of each tag.
type Scalars = BTreeMap<String, Vec<(u64, f32)>>;

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let first = ["--quiet", "run", "--config", "tiny.toml", "--out", "run"];
    [&first, more].concat()
}

fn tiltrl(folder: &Path, more: &[&str]) -> Output {
    std::fs::write(folder.join("tiny.toml"), TINY).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiltrl"));
    let output = command.current_dir(folder).args(arguments(more)).output();
    let output = output.expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    output
}

/// Kills a run again and again until one gets through, and returns how often.
fn killed(folder: &Path) -> usize {
    std::fs::write(folder.join("tiny.toml"), TINY).expect("writable");
    let (mut patience, mut kills) = (Duration::from_millis(200), 0);
    loop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
            .current_dir(folder)
            .args(arguments(&["--tensorboard"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(patience);
        if child.try_wait().expect("waitable").is_some() {
            return kills;
        }
        child.kill().expect("killable");
        child.wait().expect("waitable");
        kills += 1;
        patience = patience * 6 / 5;
        assert!(kills < 60, "the run never finished");
    }
}

/// CRC-32C bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    let crc = !crc;
    crc.rotate_left(17).wrapping_add(0xa282_ead8)
}

/// The fields of a protobuf message: number and bytes; a varint as eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (content, rest) = match key & 7 {
            0 => (varint(&mut bytes).to_le_bytes().to_vec(), bytes),
            1 => (bytes[..8].to_vec(), &bytes[8..]),
            5 => (bytes[..4].to_vec(), &bytes[4..]),
            _ => {
                let count = varint(&mut bytes) as usize;
                (bytes[..count].to_vec(), &bytes[count..])
            }
        };
        found.push((key >> 3, content));
        bytes = rest;
    }
    found
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("run/seed-1/events.out.tfevents.tiltrl")
}

/// Reads an event file; every step of a tag must be later than the one before it.
fn decoded(folder: &Path) -> Scalars {
    let bytes = std::fs::read(file(folder)).expect("written");
    let (mut rest, mut records) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four"));
        let length = u64::from_le_bytes(rest[..8].try_into().expect("eight")) as usize;
        assert_eq!(number(8), checksum(&rest[..8]));
        assert_eq!(number(12 + length), checksum(&rest[12..12 + length]));
        records.push(fields(&rest[12..12 + length]));
        rest = &rest[16 + length..];
    }
    assert_eq!(records[0][1], (3, b"brain.Event:2".to_vec()));
    let mut found = Scalars::new();
    for event in &records[1..] {
        let at = |fields: &[(u64, Vec<u8>)], wanted: u64| {
            let field = fields.iter().find(|(number, _)| *number == wanted);
            field.expect("there").1.clone()
        };
        let step = u64::from_le_bytes(at(event, 2).try_into().expect("eight"));
        let value = fields(&at(&fields(&at(event, 5)), 1));
        let tag = String::from_utf8(at(&value, 1)).expect("text");
        let number = f32::from_le_bytes(at(&value, 2).try_into().expect("four"));
        let all = found.entry(tag).or_default();
        assert!(
            all.last().is_none_or(|last| last.0 < step),
            "{step} of {all:?}"
        );
        all.push((step, number));
    }
    found
}

/// What the CSV logs and tables of episodes say, in six digits.
fn logged(folder: &Path) -> BTreeMap<String, Vec<(u64, f64)>> {
    let lines = |name: &str| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(folder.join("run/seed-1").join(name)).expect("written");
        let rows = text
            .lines()
            .map(|line| line.split(',').map(String::from).collect());
        rows.collect()
    };
    let mut all: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for stage in ["prior", "critic", "finetune"] {
        let rows = lines(&format!("{stage}.csv"));
        for row in &rows[1..] {
            for (column, value) in rows[0].iter().zip(row).skip(1) {
                let (step, value) = (
                    row[0].parse().expect("a step"),
                    value.parse::<f64>().expect("a number"),
                );
                if value.is_finite() {
                    all.entry(format!("{stage}/{column}"))
                        .or_default()
                        .push((step, value));
                }
            }
        }
    }
    // Two episodes per evaluation: update, phase, policy, episode, return, length.
    for pair in lines("eval.csv")[1..].chunks(2) {
        let mean = |at: usize| {
            pair.iter()
                .map(|row| row[at].parse::<f64>().expect("a number"))
                .sum::<f64>()
                / 2.0
        };
        let step = pair[0][0].parse().expect("a step");
        let mut push = |tag: String, value: f64| all.entry(tag).or_default().push((step, value));
        if pair[0][1] == "training" {
            push("evaluation/return".into(), mean(4));
            push("evaluation/length".into(), mean(5));
        } else {
            push(format!("final/{}", pair[0][2]), mean(4));
        }
    }
    all
}

fn assert_logged(found: &Scalars, folder: &Path) {
    let wanted = logged(folder);
    let tags: Vec<_> = wanted.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), tags);
    for (tag, values) in &wanted {
        assert_eq!(found[tag].len(), values.len(), "{tag}");
        for ((step, found), (at, value)) in found[tag].iter().zip(values) {
            let close = (f64::from(*found) - value).abs() < 1e-6 + 1e-6 * value.abs();
            assert!(step == at && close, "{tag} at {at}: {found} is not {value}");
        }
    }
}

/// The same file as the real TensorBoard reads it.
fn by_tensorboard(folder: &Path, found: &Scalars) {
    let Some(python) = std::env::var_os("TENSORBOARD_PYTHON") else {
        eprintln!("SKIPPED: set TENSORBOARD_PYTHON to a Python with tensorboard");
        return;
    };
    let script = "import json, sys\n\
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
        all = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})\n\
        all.Reload()\n\
        print(json.dumps({tag: [[e.step, e.value] for e in all.Scalars(tag)] for tag in all.Tags()['scalars']}))\n";
    let output = Command::new(python)
        .args(["-c", script])
        .arg(folder.join("run/seed-1"))
        .output()
        .expect("starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: Scalars = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(read, *found);
    eprintln!("tensorboard read {} tags", read.len());
}

const COMPARED: [&str; 8] = [
    "log/results.json",
    "log/finetune.json",
    "run.toml",
    "eval.csv",
    "prior.csv",
    "critic.csv",
    "checkpoints/critic.safetensors",
    "checkpoints/posterior.safetensors",
];

#[test]
fn a_dashboard_shows_every_number_once_whatever_happened() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("temporary folder"));
    let [plain, whole, interrupted] = folders.each_ref().map(|f| f.path());
    tiltrl(plain, &[]);
    assert!(!file(plain).exists(), "off by default");
    tiltrl(whole, &["--tensorboard"]);
    let found = decoded(whole);
    assert_logged(&found, whole);
    by_tensorboard(whole, &found);
    let kills = killed(interrupted);
    eprintln!("killed {kills} times");
    assert_eq!(decoded(interrupted), found);
    for folder in [whole, interrupted] {
        for name in COMPARED {
            let read =
                |of: &Path| std::fs::read(of.join("run/seed-1").join(name)).expect("written");
            assert!(read(plain) == read(folder), "{name}");
        }
        let commands = |of: &Path| std::fs::read(of.join("run/commands.txt")).expect("written");
        assert!(
            commands(plain) == commands(folder),
            "no number depends on the option"
        );
    }
    // A run that was made without gets its file afterwards; one that grows goes on.
    tiltrl(plain, &["--tensorboard"]);
    assert_eq!(decoded(plain), found);
    for grown in ["finetune.updates=28", "prior.updates=80"] {
        tiltrl(
            whole,
            &[
                "--tensorboard",
                "--set",
                "finetune.updates=28",
                "--set",
                grown,
            ],
        );
        let found = decoded(whole);
        assert_logged(&found, whole);
        by_tensorboard(whole, &found);
    }
}
