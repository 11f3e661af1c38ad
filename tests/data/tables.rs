//! CSV: which columns are what, and tables that are refused.

use std::path::{Path, PathBuf};

use tiltrl::data::{Dataset, ReadOptions};

use super::formats::{fixture, read, refusal};

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

fn notes(data: &Dataset) -> String {
    let lines: Vec<String> = data.notes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_mapping_is_said_with_what_is_not_read_and_is_part_of_the_hash() {
    let own = read(&fixture("own.csv"));
    let said = notes(&own);
    let words = "observations = speed, joint_2, joint_10; actions = torque_0, torque_1; rewards = reward; terminals = done; \
                 episode = trial; not read: note, with a comma";
    assert!(
        said.replace("not read = ", "not read: ").contains(words),
        "{said}"
    );
    let folder = tempfile::tempdir().expect("temporary folder");
    let text = std::fs::read_to_string(fixture("own.csv")).expect("there");
    let mapping = std::fs::read_to_string(fixture("own.csv.toml")).expect("there");
    let path = write(folder.path(), "own.csv", &text);
    write(folder.path(), "own.csv.toml", &mapping);
    assert_eq!(read(&path).sha256(), own.sha256());
    write(
        folder.path(),
        "own.csv.toml",
        &mapping.replace("[\"speed\", ", "[\"reward\", "),
    );
    refusal(
        &path,
        &[
            "own.csv.toml",
            "`reward` would be both observations and rewards",
        ],
    );
    write(
        folder.path(),
        "own.csv.toml",
        &mapping.replace("action_high = 2", "action_high = 4"),
    );
    assert_ne!(read(&path).sha256(), own.sha256());
    for (from, to, words) in [
        (
            "joint_*",
            "knee_*",
            vec!["no column is called `knee_*`", "joint_10, joint_2"],
        ),
        (
            "\"done\"",
            "\"dun\"",
            vec!["terminals: no column is called `dun`"],
        ),
        ("action_low = -2\n", "", vec!["expected both or none"]),
        (
            "action_low",
            "lowest",
            vec!["own.csv.toml", "unknown field `lowest`"],
        ),
        (
            "action_low = -2",
            "action_low = [-2, -2, -2]",
            vec!["action_low", "[1] or [2]"],
        ),
    ] {
        assert!(mapping.contains(from), "{from}");
        write(folder.path(), "own.csv.toml", &mapping.replace(from, to));
        refusal(&path, &words);
    }
}

#[test]
fn a_table_that_is_not_clear_is_refused_with_its_columns() {
    let words = [
        "[trial, joint_10, joint_2, speed",
        "none is called `observations`",
        "unclear.csv.toml",
        "observations = [",
    ];
    refusal(&fixture("unclear.csv"), &words);
}

#[test]
fn damaged_tables_are_refused_by_line_and_column() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let good = std::fs::read_to_string(fixture("plain.csv")).expect("there");
    let lines: Vec<&str> = good.lines().collect();
    let with = |line: usize, text: &str| {
        let mut lines = lines.clone();
        lines[line - 1] = text;
        write(folder.path(), "damaged.csv", &lines.join("\n"))
    };
    for (text, words) in [
        (
            "1,2,3",
            vec!["damaged.csv: CSV: line 4", "expected 8 fields", "found 3"],
        ),
        (
            "1,2,x,4,5,6,0,0",
            vec!["line 4, column `observations_2`", "found `x`"],
        ),
        (
            "1,2,,4,5,6,0,0",
            vec!["line 4, column `observations_2`", "found ``"],
        ),
        (
            "1,2,nan,4,5,6,0,0",
            vec!["`observations`, row 2, column 2", "NaN"],
        ),
        ("1,2,3,4,5,6,2,0", vec!["`terminals`, row 2", "found 2"]),
        (
            "1,2,\"3,4,5,6,2,0",
            vec!["a quote is opened and not closed"],
        ),
    ] {
        refusal(&with(4, text), &words);
    }
    refusal(
        &with(1, lines[0].replace("actions_1", "actions_0").as_str()),
        &["two columns are called `actions_0`"],
    );
    refusal(
        &write(folder.path(), "empty.csv", lines[0]),
        &["at least one transition"],
    );
    // Cut short within a line.
    refusal(
        &write(folder.path(), "cut.csv", &good[..good.len() - 20]),
        &["line 13", "fields"],
    );
}

#[test]
fn semicolons_quotes_marks_and_a_single_flag_are_understood() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let text = "\u{feff}obs_0;\"obs_1\";action;reward;done;note\r\n1;2;0.5;1;False;\"a;b\r\nc \"\"d\"\"\"\r\n3;4;-0.5;2;True;\r\n";
    let path = write(folder.path(), "own.csv", text);
    let options = ReadOptions {
        horizon: Some(2),
        ..ReadOptions::default()
    };
    let data = Dataset::read_with(std::slice::from_ref(&path), &options).expect("read");
    assert_eq!(data.observations.row(1).to_vec(), [3.0, 4.0]);
    assert_eq!(
        (data.rewards.clone(), data.timeouts.clone()),
        (vec![1.0, 2.0], vec![false, true])
    );
    // One flag for both causes, and nothing tells them apart.
    refusal(
        &path,
        &["`dones`".replace("dones", "done").as_str(), "--horizon N"],
    );
}
