//! Files of other programs' formats, written by those programs (see fixtures/make_formats.py), against what those programs read.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tiltrl::data::{Dataset, NoteKind, summarize};

use super::npz::repacked;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/formats")
        .join(name)
}

pub fn read(path: &Path) -> Dataset {
    Dataset::read(&[path.to_path_buf()]).unwrap_or_else(|error| panic!("{error}"))
}

pub fn refusal(path: &Path, words: &[&str]) {
    let error = Dataset::read(&[path.to_path_buf()])
        .expect_err("refused")
        .to_string();
    for word in words {
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    let all = value.as_array().expect("a list").iter();
    all.map(|number| number.as_f64().expect("a number") as f32)
        .collect()
}

fn rows(flags: &[bool]) -> Vec<f32> {
    (0..flags.len())
        .filter(|&row| flags[row])
        .map(|row| row as f32)
        .collect()
}

/// Compares one row with what the package read.
fn assert_row(data: &Dataset, row: usize, wanted: &Value, name: &str) {
    let mut actions = data.actions.row(row).to_vec();
    if let Some(bounds) = &data.action_bounds {
        bounds.from_unit(&mut actions);
    }
    assert_eq!(
        data.observations.row(row).to_vec(),
        numbers(&wanted["observation"]),
        "{name}"
    );
    for (found, wanted) in actions.iter().zip(numbers(&wanted["action"])) {
        assert!((found - wanted).abs() < 1e-6, "{name}: {found}, {wanted}");
    }
    assert_eq!(
        f64::from(data.rewards[row]),
        wanted["reward"].as_f64().expect("it"),
        "{name}"
    );
    let next = data
        .next_observations
        .as_ref()
        .map(|next| next.row(row).to_vec());
    match wanted["next"].as_array() {
        Some(_) => assert_eq!(next.expect("on record"), numbers(&wanted["next"]), "{name}"),
        None => assert_eq!(next, None, "{name}"),
    }
}

/// Compares returns, lengths, ends, the first and the last row with what the package read.
pub fn assert_as_read(data: &Dataset, wanted: &Value, name: &str) {
    let lengths: Vec<f32> = data
        .episode_lengths()
        .iter()
        .map(|&length| length as f32)
        .collect();
    assert_eq!(lengths, numbers(&wanted["lengths"]), "{name}");
    for (found, wanted) in data
        .episode_returns()
        .iter()
        .zip(numbers(&wanted["returns"]))
    {
        assert!(
            (found - f64::from(wanted)).abs() < 1e-4,
            "{name}: {found}, {wanted}"
        );
    }
    assert_eq!(
        rows(&data.terminals),
        numbers(&wanted["terminals"]),
        "{name}"
    );
    assert_eq!(rows(&data.timeouts), numbers(&wanted["timeouts"]), "{name}");
    if let Some(low) = wanted.get("low") {
        let bounds = data.action_bounds.as_ref().expect("stated");
        assert_eq!(bounds.low, numbers(low), "{name}");
        assert_eq!(bounds.high, numbers(&wanted["high"]), "{name}");
    }
    assert_row(data, 0, &wanted["first"], name);
    assert_row(data, data.len() - 1, &wanted["last"], name);
    assert_eq!(data.sources.len(), 1, "{name}");
    assert_eq!(data.sha256().len(), 64, "{name}");
}

fn has_note(data: &Dataset, kind: NoteKind, words: &str, count: usize) {
    let fits = |note: &&tiltrl::data::Note| {
        note.kind == kind && note.count == count && note.text.contains(words)
    };
    assert!(
        data.notes.iter().find(fits).is_some(),
        "{words}: {:?}",
        data.notes
    );
}

#[test]
fn every_format_gives_what_its_own_package_reads() {
    let text = std::fs::read_to_string(fixture("formats.json")).expect("it is there");
    let wanted: Value = serde_json::from_str(&text).expect("JSON");
    let wanted = wanted.as_object().expect("by name");
    assert!(wanted.len() >= 10);
    for (name, wanted) in wanted {
        let path = match name.strip_prefix("minari/") {
            Some(own) => fixture(&format!("minari/tiltrl/{own}-v0")),
            None => fixture(name),
        };
        assert_as_read(&read(&path), wanted, name);
    }
}

#[test]
fn minari_is_found_by_name_folder_and_file_and_is_the_same_data() {
    let place = "minari/tiltrl/plain-v0";
    let [by_folder, by_inner, by_file] =
        ["", "data", "data/main_data.hdf5"].map(|inner| read(&fixture(place).join(inner)));
    assert_eq!(by_folder.sha256(), by_inner.sha256());
    assert_eq!(by_folder.sha256(), by_file.sha256());
    assert_eq!(by_folder.observations, by_file.observations);
    let tiltrl = |arguments: &[&str], folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiltrl"));
        command
            .env_remove("MINARI_DATASETS_PATH")
            .env("HOME", "/nowhere");
        if !folder.is_empty() {
            command.env("MINARI_DATASETS_PATH", fixture(folder));
        }
        let output = command.args(arguments).output().expect("the binary runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (good, text) = tiltrl(&["data", "minari:tiltrl/plain-v0"], "minari");
    assert!(good && text.contains(&by_folder.sha256()), "{text}");
    let (good, text) = tiltrl(&["data", "minari:tiltrl/plane-v0"], "minari");
    assert!(
        !good && text.contains("plane-v0") && text.contains("minari download tiltrl/plane-v0"),
        "{text}"
    );
    let (good, text) = tiltrl(&["data", "minari:tiltrl/plain-v0"], "");
    assert!(
        !good && text.contains("/nowhere/.minari/datasets"),
        "{text}"
    );
}

#[test]
fn what_was_understood_is_said() {
    let nested = read(&fixture("minari/tiltrl/nested-v0"));
    has_note(
        &nested,
        NoteKind::Understood,
        "0–0 Zenith/_index_0, 1–4 Zenith/_index_1, 5–6 ball, 7–8 goal",
        0,
    );
    has_note(
        &nested,
        NoteKind::Understood,
        "`actions` flattened as Gymnasium does: 0–0 _index_0, 1–2 _index_1",
        0,
    );
    let raw = read(&fixture("ogbench_raw.npz"));
    has_note(
        &raw,
        NoteKind::Understood,
        "3 trajectories end in a row of their own",
        0,
    );
    // A goal that is passed on the way: the task ends there for the critic, and the rest counts as another episode.
    let passing = read(&fixture("ogbench_passing.npz"));
    has_note(
        &passing,
        NoteKind::Understood,
        "before the trajectory's end",
        1,
    );
    assert_eq!(passing.episode_lengths(), [2, 2, 3, 5]);
    assert_eq!(
        (rows(&passing.terminals), rows(&passing.timeouts)),
        (vec![1.0], vec![3.0, 6.0, 11.0])
    );
    assert_eq!(summarize(&passing, None).transitions, 12);
}

/// Copies a fixture's folder or file into `to`.
fn copied(name: &str, to: &Path) -> PathBuf {
    let from = fixture(name);
    let target = to.join(from.file_name().expect("a name"));
    if from.is_dir() {
        std::fs::create_dir_all(&target).expect("writable");
        for entry in std::fs::read_dir(&from).expect("a folder").flatten() {
            copied(
                &format!("{name}/{}", entry.file_name().to_string_lossy()),
                &target,
            );
        }
    } else {
        std::fs::copy(&from, &target).expect("copied");
    }
    target
}

#[test]
fn damaged_minari_folders_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let place = copied("minari/tiltrl/plain-v0", folder.path());
    let (metadata, main) = (
        place.join("data/metadata.json"),
        place.join("data/main_data.hdf5"),
    );
    let good = std::fs::read_to_string(&metadata).expect("there");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}: {good}");
        std::fs::write(&metadata, good.replace(from, to)).expect("writable");
    };
    for (from, to, words) in [
        (
            "\"total_episodes\": 3",
            "\"total_episodes\": 4",
            vec!["Minari", "says 4 episodes", "holds 3"],
        ),
        (
            "\"total_steps\": 12",
            "\"total_steps\": 13",
            vec!["says 13 steps", "hold 12"],
        ),
        (
            "\\\"shape\\\": [3]",
            "\\\"shape\\\": [4]",
            vec!["observation_space", "3 numbers in `low`"],
        ),
        (
            "\\\"Box\\\"",
            "\\\"Discrete\\\"",
            vec!["Discrete space", "vectors of real numbers"],
        ),
        (
            "\"observation_space\"",
            "\"observations\"",
            vec!["no `observation_space`", "0.5"],
        ),
        (
            "\"hdf5\"",
            "\"arrow\"",
            vec!["Arrow", "data_format=\"hdf5\""],
        ),
        ("{", "", vec!["no JSON"]),
    ] {
        with(from, to);
        refusal(&place, &words);
    }
    // A space as wide as another array.
    with("\\\"low\\\": [-2.0, 0.0]", "\\\"low\\\": [8.0, 0.0]");
    refusal(&place, &["action space", "below the upper"]);
    std::fs::write(&metadata, &good).expect("writable");
    read(&place);
    let bytes = std::fs::read(&main).expect("there");
    std::fs::write(&main, &bytes[..bytes.len() / 2]).expect("writable");
    refusal(&place, &["main_data.hdf5", "truncated"]);
    std::fs::remove_file(&main).expect("there");
    refusal(&place, &["main_data.hdf5", "no such file"]);
    std::fs::remove_file(&metadata).expect("there");
    refusal(&place, &["a folder", "metadata.json"]);
}

#[test]
fn damaged_d3rlpy_files_are_refused() {
    refusal(
        &fixture("d3rlpy_v2_discrete.h5"),
        &["d3rlpy 2 HDF5", "whole numbers"],
    );
    refusal(
        &fixture("d3rlpy_v1_discrete.h5"),
        &["d3rlpy 1 HDF5", "whole numbers"],
    );
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("d3rlpy.h5");
    let good = std::fs::read(fixture("d3rlpy_v2.h5")).expect("there");
    std::fs::write(&path, &good[..good.len() - 1000]).expect("writable");
    refusal(&path, &["d3rlpy.h5", "truncated"]);
    // An episode's array under another name: as long, so that nothing else changes.
    let find = |name: &[u8]| {
        good.windows(name.len())
            .position(|window| window == name)
            .expect("a name")
    };
    let mut renamed = good.clone();
    let at = find(b"rewards_1");
    renamed[at..at + 9].copy_from_slice(b"rewarts_1");
    std::fs::write(&path, &renamed).expect("writable");
    refusal(&path, &["`rewards_1`", "rewarts_1"]);
}

#[test]
fn damaged_npz_files_are_refused() {
    refusal(
        &fixture("ogbench_goals.npz"),
        &["OGBench", "no `rewards`", "singletask"],
    );
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("damaged.npz");
    for name in ["plain.npz", "ogbench_raw.npz"] {
        let good = std::fs::read(fixture(name)).expect("there");
        std::fs::write(&path, &good[..good.len() - 200]).expect("writable");
        refusal(&path, &["damaged.npz", "cut short"]);
        // A number of the first array: after its two headers.
        let mut wrong = good.clone();
        wrong[200] ^= 0x10;
        std::fs::write(&path, &wrong).expect("writable");
        refusal(&path, &["damaged.npz", "key `observations`", "checksum"]);
    }
    let mut packed = std::fs::read(fixture("compressed.npz")).expect("there");
    packed[120] ^= 0xff;
    std::fs::write(&path, &packed).expect("writable");
    refusal(&path, &["damaged.npz", "key `observations`"]);
    for (key, to, words) in [
        ("rewards", "reward", vec!["`rewards`", "called `reward`"]),
        (
            "timeouts",
            "timeout",
            vec!["`timeouts`", "called `timeout`"],
        ),
    ] {
        repacked(&fixture("plain.npz"), &path, |name| match name == key {
            true => to.to_string(),
            false => name.to_string(),
        });
        refusal(&path, &words);
    }
    repacked(&fixture("ogbench_raw.npz"), &path, |name| {
        name.replace("actions", "moves")
    });
    refusal(&path, &["npz", "`actions`"]);
}
