//! How data are read: formats that a user's crate registers, and the keys that decide what rows mean.

use std::path::{Path, PathBuf};
use std::process::Command;

use hdf5_pure::FileBuilder;
use ndarray::Array2;
use tiltrl::commands::{RunRequest, dataset};
use tiltrl::config::{Config, Source};
use tiltrl::data::{
    ActionBounds, BothFlags, DataError, Dataset, Format, Interruptions, ReadOptions, formats,
    register,
};

const ROWS: usize = 400;

/// A file as for pendulum-v1, in which nothing tells where the clock ended and row 9 has both flags or only the task's.
fn pendulum(folder: &Path, name: &str, both: bool) -> PathBuf {
    let path = folder.join(name);
    let mut builder = FileBuilder::new();
    let rows = ROWS as u64;
    let values: Vec<f32> = (0..3 * ROWS).map(|i| (i as f32).sin()).collect();
    let mut add = |key: &str, values: &[f32], shape: &[u64]| {
        builder
            .create_dataset(key)
            .with_f32_data(values)
            .with_shape(shape);
    };
    add("observations", &values, &[rows, 3]);
    add("actions", &values[..ROWS], &[rows, 1]);
    add("rewards", &values[..ROWS], &[rows]);
    let flags: Vec<u8> = (0..ROWS).map(|row| u8::from(row == 9)).collect();
    let keys: &[&str] = if both {
        &["terminals", "timeouts"]
    } else {
        &["terminals"]
    };
    for key in keys {
        builder
            .create_dataset(key)
            .with_u8_data(&flags)
            .with_shape(&[rows]);
    }
    builder.write(&path).expect("written");
    path
}

/// What a run of the quickstart's environment reads from a file.
fn read_by_a_run(path: PathBuf, set: &[&str]) -> (Dataset, Config) {
    let set: Vec<String> = set.iter().map(|entry| (*entry).to_string()).collect();
    let config = Source::default().config(&set).expect("valid");
    let request = RunRequest {
        data: vec![path],
        ..RunRequest::default()
    };
    (dataset(&request, &config).expect("read"), config)
}

#[test]
fn horizon_and_both_flags_are_keys_of_a_run_and_reach_the_reader() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = pendulum(folder.path(), "untold.hdf5", false);
    // Rows 0 to 9 end by the task; then every 200 rows by the environment's clock, said aloud.
    let (own, _) = read_by_a_run(path.clone(), &[]);
    let timeouts = |data: &Dataset| -> Vec<usize> {
        (0..data.len()).filter(|&row| data.timeouts[row]).collect()
    };
    assert_eq!(timeouts(&own), [209]);
    let says = |data: &Dataset, words: &str| {
        let lines: Vec<String> = data.notes.iter().map(ToString::to_string).collect();
        assert!(
            lines.iter().any(|line| line.contains(words)),
            "{words}: {lines:?}"
        );
    };
    says(&own, "the horizon of pendulum-v1");
    let (asked, config) = read_by_a_run(path, &["data.horizon=100"]);
    assert_eq!(timeouts(&asked), [109, 209, 309]);
    says(&asked, "every 100 timesteps");
    assert_eq!(config.data.horizon, 100);
    let path = pendulum(folder.path(), "both.hdf5", true);
    let (task, _) = read_by_a_run(path.clone(), &[]);
    assert!(task.terminals[9]);
    let (clock, config) = read_by_a_run(path, &["data.both_flags=timeout"]);
    assert!(!clock.terminals[9] && clock.timeouts[9]);
    assert_eq!(config.data.both_flags, BothFlags::Timeout);
    let wrong = Source::default().config(&["data.both_flags=clock".to_string()]);
    let error = wrong.expect_err("no such rule").to_string();
    assert!(
        error.contains("data.both_flags: expected terminal, timeout"),
        "{error}"
    );
}

const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [8]
updates = 20
[critic]
hidden = [8]
updates = 20
[finetune]
updates = 4
states = 8
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 2
best_of = [2]
"#;

fn tiltrl(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_run_of_another_reading_is_refused_by_key() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    std::fs::write(inside.join("tiny.toml"), TINY).expect("writable");
    let run = ["run", "--config", "tiny.toml", "--out", "run"];
    let (code, text) = tiltrl(inside, &[&run[..], &["--horizon", "50"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("every 50 timesteps"), "{text}");
    let refused = |arguments: &[&str], words: &str| {
        let (code, text) = tiltrl(inside, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(
            text.contains(words),
            "{arguments:?}: no `{words}` in {text}"
        );
    };
    refused(&run, "data.horizon: 50 in the folder, 0 asked for");
    let both = ["--horizon", "50", "--both-flags", "timeout"];
    let words = "data.both_flags: \"terminal\" in the folder, \"timeout\" asked for";
    refused(&[&run[..], &both].concat(), words);
    let words = "data.horizon: 50 in the folder, 60 asked for";
    refused(&["certify", "run", "--horizon", "60"], words);
    refused(&["evaluate", "run", "--horizon", "60"], words);
    refused(
        &["evaluate", "run", "--policy", "prior", "--horizon", "60"],
        words,
    );
    let (code, text) = tiltrl(inside, &["certify", "run", "--horizon", "50"]);
    assert_eq!(code, Some(0), "{text}");
    // The data of the run are read as the run read them, also where nobody says how.
    let residuals = ["certify", "run", "--residuals", "--data", "run/data.hdf5"];
    let (code, text) = tiltrl(inside, &residuals);
    assert_eq!(code, Some(0), "{text}");
    let random = [
        "evaluate",
        "--env",
        "pendulum-v1",
        "--random",
        "--horizon",
        "5",
    ];
    assert_eq!(tiltrl(inside, &random).0, Some(2));
}

#[test]
fn data_refuses_an_existing_json_before_reading_and_scores_only_the_environments_widths() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    std::fs::write(inside.join("there.json"), "mine").expect("writable");
    let (code, text) = tiltrl(inside, &["data", "missing.hdf5", "--json", "there.json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there.json: exists already"), "{text}");
    assert!(!text.contains("missing.hdf5"), "nothing was read: {text}");
    pendulum(inside, "untold.hdf5", false);
    let (code, text) = tiltrl(inside, &["data", "untold.hdf5", "--env", "hopper-v4"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("expected observations and actions of widths 11 and 3"),
        "{text}"
    );
    let (code, text) = tiltrl(inside, &["data", "untold.hdf5", "--env", "pendulum-v1"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the horizon of pendulum-v1"), "{text}");
}

/// Lines of three observations, action, reward, terminal, timeout.
fn read_csv(path: &Path, _options: &ReadOptions) -> Result<Dataset, DataError> {
    let fault = |reason: String| DataError::Format {
        path: path.to_path_buf(),
        format: "toy CSV",
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
    let mut rows: Vec<[f32; 7]> = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let cells: Result<Vec<f32>, _> = line.split(',').map(str::parse).collect();
        let row = cells.ok().and_then(|cells| cells.try_into().ok());
        rows.push(row.ok_or_else(|| fault(format!("line {}: expected 7 numbers", at + 1)))?);
    }
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f32>>();
    let flags = |at: usize| rows.iter().map(|row| row[at] == 1.0).collect();
    Ok(Dataset {
        observations: Array2::from_shape_fn((rows.len(), 3), |(row, entry)| rows[row][entry])
            .into(),
        actions: Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row][3]).into(),
        rewards: column(4),
        next_observations: None,
        terminals: flags(5),
        timeouts: flags(6),
        sources: Vec::new(),
        action_bounds: Some(ActionBounds::symmetric(1.0, 1)),
        interruptions: Interruptions::default(),
        notes: Vec::new(),
    })
}

const CSV: Format = Format {
    name: "toy CSV",
    looks: "the first line x,y,w,action,reward,terminal,timeout",
    recognises: |_, head| head.starts_with(b"x,y,w,action"),
    read: read_csv,
};

#[test]
fn a_registered_format_is_read_by_its_reader_and_an_unknown_file_is_told_what_it_was_tried_as() {
    register(CSV).expect("free");
    let error = register(CSV).expect_err("taken").to_string();
    assert!(error.contains("toy CSV"), "{error}");
    let names: Vec<&str> = formats().iter().map(|format| format.name).collect();
    assert!(names.contains(&"D4RL HDF5"), "{names:?}");
    assert_eq!(
        names.last(),
        Some(&"toy CSV"),
        "tried after what is built in"
    );
    let folder = tempfile::tempdir().expect("temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let head = "x,y,w,action,reward,terminal,timeout\n";
    let lines = "0.5,0,1,0.25,1,0,0\n0.25,0,1,0.5,2,0,1\n";
    let path = write("mine.toy", &(head.to_string() + lines));
    let (data, _) = read_by_a_run(path.clone(), &[]);
    assert_eq!(data.observations.row(1).to_vec(), [0.25, 0.0, 1.0]);
    assert_eq!(
        (data.rewards.clone(), data.episode_returns()),
        (vec![1.0, 2.0], vec![3.0])
    );
    assert_eq!(data.sources[0].path, path);
    assert_eq!(data.sha256().len(), 64, "of the file");
    // Beside a file of another format: one after the other.
    let other = pendulum(folder.path(), "both.hdf5", true);
    let joined = Dataset::read_with(&[path.clone(), other.clone()], &ReadOptions::default());
    let joined = joined.expect("joins");
    assert_eq!((joined.len(), joined.sources.len()), (ROWS + 2, 2));
    assert!(joined.terminals[2 + 9] && joined.timeouts[1]);
    assert_eq!(joined.episodes().len(), 2);
    let damaged = write("damaged.toy", &(head.to_string() + "1,2\n"));
    let narrow = ReadOptions {
        environment: Some(tiltrl::data::Environment::of(
            &tiltrl::envs::spec_of("hopper-v4").expect("known"),
        )),
        ..ReadOptions::default()
    };
    let unknown = write("what.txt", "rows of something else\n");
    let cases = [
        (
            damaged,
            ReadOptions::default(),
            vec!["damaged.toy: toy CSV: line 2"],
        ),
        (path, narrow, vec!["widths 11 and 3"]),
        (
            unknown,
            ReadOptions::default(),
            vec![
                "what.txt",
                "found text",
                "D4RL HDF5 (",
                "toy CSV (the first line x,y,w",
            ],
        ),
    ];
    for (path, options, words) in cases {
        let error = Dataset::read_with(&[path], &options).expect_err("refused");
        for word in words {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
}
