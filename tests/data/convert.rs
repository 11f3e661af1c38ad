//! `tiltrl convert`: what it writes reads back the same, by this program and by the real Minari.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tiltrl::data::{ActionBounds, Dataset, read_attributes, write_minari};

use super::formats::{assert_as_read, fixture, read};

fn tiltrl(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .env("MINARI_DATASETS_PATH", folder.join("minari"))
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn converted(folder: &Path, arguments: &[&str]) -> String {
    let (code, text) = tiltrl(folder, &[&["convert"], arguments].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

/// The expected values of a fixture.
fn wanted(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture("formats.json")).expect("it is there");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all[name].clone()
}

#[test]
fn minari_becomes_d4rl_and_minari_again_without_a_change() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    let from = fixture("minari/tiltrl/plain-v0");
    let from = from.to_str().expect("text");
    let text = converted(inside, &[from, "d4rl.hdf5"]);
    assert!(
        text.contains("wrote d4rl.hdf5: 3 episodes, 12 rows"),
        "{text}"
    );
    let (own, there) = (read(Path::new(from)), read(&inside.join("d4rl.hdf5")));
    assert_as_read(&there, &wanted("minari/plain"), "D4RL");
    assert_eq!(own.observations, there.observations);
    let attributes = read_attributes(&inside.join("d4rl.hdf5")).expect("readable");
    assert_eq!(
        attributes,
        [("converted_from_sha256".to_string(), own.sha256())]
    );
    let text = converted(inside, &["d4rl.hdf5", "minari:mine/again-v3"]);
    assert!(
        text.contains("3 episodes, 12 steps") && !text.contains("written:"),
        "{text}"
    );
    let again = read(&inside.join("minari/mine/again-v3"));
    assert_as_read(&again, &wanted("minari/plain"), "Minari");
    assert_eq!(own.next_observations, again.next_observations);
    // Names say what is written; nothing is overwritten.
    for (arguments, code, words) in [
        (
            vec!["d4rl.hdf5", "minari:mine/again-v3"],
            1,
            "expected no file at this path",
        ),
        (
            vec!["d4rl.hdf5", "minari:again"],
            2,
            "minari:FOLDER/NAME-v0",
        ),
        (vec!["d4rl.hdf5", "folder"], 2, "--to d4rl|minari"),
        (
            vec!["d4rl.hdf5", "d4rl.hdf5"],
            1,
            "expected no file at this path",
        ),
        (vec!["d4rl.hdf5"], 2, "2 values required"),
    ] {
        let (found, text) = tiltrl(inside, &[&["convert"], &arguments[..]].concat());
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
    let left: Vec<_> = std::fs::read_dir(inside.join("minari/mine"))
        .expect("a folder")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_minaris_layout_cannot_hold_is_counted_and_said() {
    let folder = tempfile::tempdir().expect("temporary folder");
    // The clock ended the first and the last episode, and what was seen then is not in the file.
    let from = fixture("d3rlpy_v2.h5");
    let text = converted(
        folder.path(),
        &[from.to_str().expect("text"), "out", "--to", "minari"],
    );
    assert!(
        text.contains("its action and reward are left out") && text.contains("(2 rows: 3, 11)"),
        "{text}"
    );
    assert!(
        text.contains("the one before stands for it") && text.contains("(1 row: 6)"),
        "{text}"
    );
    let (own, there) = (read(&from), read(&folder.path().join("out")));
    assert_eq!(there.episode_lengths(), [3, 3, 4]);
    // The transitions are the same: that is what a critic learns from.
    let [own, there] = [own, there].map(Dataset::into_transitions);
    assert_eq!(own.observations, there.observations);
    assert_eq!(own.terminals, there.terminals);
    for row in (0..own.len()).filter(|&row| !own.terminals[row]) {
        assert_eq!(
            own.next_observations.row(row),
            there.next_observations.row(row),
            "{row}"
        );
    }
}

#[test]
fn rows_without_a_successor_and_breaks_part_episodes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut data = read(&fixture("compressed.npz"));
    // The last row of all has no end; row 9 resets; after row 1 another state follows.
    data.timeouts[11] = false;
    data.interruptions.no_transition = vec![9];
    data.interruptions.breaks = vec![1];
    data.action_bounds = Some(ActionBounds::symmetric(2.0, 2));
    let written =
        write_minari(&folder.path().join("parted"), "parted-v0", &data, "").expect("written");
    assert_eq!((written.episodes, written.steps), (5, 11));
    let notes: Vec<String> = written.notes.iter().map(ToString::to_string).collect();
    assert!(
        notes[0].contains("left out") && notes[0].contains("(1 row: 9)"),
        "{notes:?}"
    );
    assert!(
        notes[1].contains("cut there") && notes[1].contains("(1 row: 11)"),
        "{notes:?}"
    );
    let there = read(&folder.path().join("parted"));
    assert_eq!(there.episode_lengths(), [2, 2, 3, 2, 2]);
    assert_eq!(there.action_bounds, Some(ActionBounds::symmetric(2.0, 2)));
    let error =
        write_minari(&folder.path().join("parted"), "parted-v0", &data, "").expect_err("there");
    assert!(error.to_string().contains("expected no file"), "{error}");
}

const READ: &str = r#"
import json, sys, numpy as np, minari
data = minari.load_dataset(sys.argv[1])
episodes = list(data)
ends = np.cumsum([len(e) for e in episodes]) - 1
plain = lambda row: np.asarray(row, np.float64).tolist()
edge = lambda e, at, after: {"observation": plain(e.observations[at]), "action": plain(e.actions[at - after]),
    "reward": float(e.rewards[at - after]), "next": plain(e.observations[at + 1 - after])}
first, last = episodes[0], episodes[-1]
print(json.dumps({"lengths": [len(e) for e in episodes], "returns": [float(np.sum(e.rewards)) for e in episodes],
    "terminals": [int(end) for end, e in zip(ends, episodes) if e.terminations[-1]],
    "timeouts": [int(end) for end, e in zip(ends, episodes) if e.truncations[-1]],
    "first": edge(first, 0, 0), "last": {**edge(last, len(last), 1), "observation": plain(last.observations[-2])},
    "low": data.action_space.low.tolist(), "high": data.action_space.high.tolist()}))
"#;

const WRITE: &str = r#"
import numpy as np, gymnasium as gym, minari
from minari.data_collector import EpisodeBuffer
numbers = np.random.default_rng(7)
def episode(index):
    steps = int(numbers.integers(1, 30))
    done = np.arange(steps) == steps - 1
    return EpisodeBuffer(id=index, observations=numbers.normal(size=(steps + 1, 4)),
        actions=numbers.uniform(-1, 1, (steps, 2)).astype(np.float32), rewards=list(numbers.integers(0, 9, steps) / 8),
        terminations=list(done & (index % 3 == 0)), truncations=list(done & (index % 3 > 0)), infos={})
minari.create_dataset_from_buffers("many-v0", [episode(index) for index in range(40)],
    observation_space=gym.spaces.Box(-np.inf, np.inf, (4,), np.float64), action_space=gym.spaces.Box(-1, 1, (2,)))
"#;

/// The Python that has Minari, or a word that it is missing.
fn python(folder: &Path, arguments: &[&str]) -> Option<String> {
    let Some(program) = std::env::var_os("MINARI_PYTHON") else {
        eprintln!(
            "SKIPPED: MINARI_PYTHON names no Python with the package minari; .ci/get-minari makes one"
        );
        return None;
    };
    let output = Command::new(program)
        .env("MINARI_DATASETS_PATH", folder.join("minari"))
        .args([&["-W", "ignore", "-c"], arguments].concat())
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_real_minari_loads_what_was_written() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    if python(inside, &["import minari"]).is_none() {
        return;
    }
    for (from, name) in [
        ("compressed.npz", "npz-v0"),
        ("minari/tiltrl/nested-v0", "deep/er/nested-v1"),
    ] {
        let from = fixture(from);
        converted(
            inside,
            &[from.to_str().expect("text"), &format!("minari:{name}")],
        );
        let found = python(inside, &[READ, name]).expect("it is there");
        let found = serde_json::from_str(&found).expect("JSON");
        let mut own = read(&inside.join("minari").join(name));
        assert_as_read(&own, &found, name);
        own.next_observations = None;
        let mut before = read(&from);
        before.next_observations = None;
        assert_eq!(
            (own.observations, own.rewards),
            (before.observations, before.rewards),
            "{name}"
        );
    }
}

#[test]
fn a_file_of_many_episodes_by_the_real_minari_is_read_as_it_reads_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    if python(inside, &[WRITE]).is_none() {
        return;
    }
    let found: Value =
        serde_json::from_str(&python(inside, &[READ, "many-v0"]).expect("it is there"))
            .expect("JSON");
    let mut found = found;
    // Numbers of f64 are kept as f32.
    for edge in ["first", "last"] {
        for key in ["observation", "next"] {
            let numbers = found[edge][key].as_array().expect("numbers").iter();
            let narrow: Vec<f32> = numbers
                .map(|number| number.as_f64().expect("it") as f32)
                .collect();
            found[edge][key] = json!(narrow);
        }
    }
    assert_as_read(&read(&inside.join("minari/many-v0")), &found, "many");
}
