//! Writing, recording and reading back.

use std::path::PathBuf;

use ndarray::Array2;
use proptest::prelude::*;
use tiltrl::data::{
    DataError, Dataset, Ending, Interruptions, NextObservations, Recorder, Transition,
    read_attributes, summarize, write,
};
use tiltrl::envs::ReferenceScores;

/// `episodes` of the given lengths, each ended by a terminal if its length is even.
fn record(lengths: &[usize], dims: (usize, usize), next: NextObservations) -> Dataset {
    let mut recorder = Recorder::new(dims.0, dims.1, next);
    let mut clock = 0.0_f32;
    for &length in lengths {
        for timestep in 0..length {
            let last = timestep + 1 == length;
            let observation: Vec<f32> = (0..dims.0)
                .map(|entry| clock + entry as f32 / 7.0)
                .collect();
            let successor: Vec<f32> = observation.iter().map(|value| value + 1.0).collect();
            let action: Vec<f32> = (0..dims.1)
                .map(|entry| (clock + entry as f32).sin())
                .collect();
            recorder.push(Transition {
                observation: &observation,
                action: &action,
                reward: 0.1 * clock,
                next_observation: &successor,
                ending: Ending::of(last && length % 2 == 0, last && length % 2 == 1),
            });
            clock += 1.0;
        }
    }
    recorder.finish()
}

fn assert_same(left: &Dataset, right: &Dataset) {
    assert_eq!(left.observations, right.observations);
    assert_eq!(left.actions, right.actions);
    assert_eq!(left.rewards, right.rewards);
    assert_eq!(left.next_observations, right.next_observations);
    assert_eq!(left.terminals, right.terminals);
    assert_eq!(left.timeouts, right.timeouts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_written_is_read_back_bit_for_bit(
        lengths in proptest::collection::vec(1_usize..400, 1..30),
        observation_dim in 1_usize..20,
        action_dim in 1_usize..7,
        stored in any::<bool>(),
    ) {
        let next = if stored { NextObservations::Stored } else { NextObservations::Omitted };
        let dataset = record(&lengths, (observation_dim, action_dim), next);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("data.hdf5");
        let attributes = [("env".to_string(), "Test-v0 ü".to_string()), ("empty".to_string(), String::new())];
        write(&path, &dataset, &attributes).expect("written");
        let read = Dataset::read(std::slice::from_ref(&path)).expect("read");
        assert_same(&dataset, &read);
        prop_assert_eq!(read.episode_lengths(), lengths);
        prop_assert_eq!(read_attributes(&path).expect("attributes"), [
            ("empty".to_string(), String::new()), ("env".to_string(), "Test-v0 ü".to_string())
        ]);
    }
}

#[test]
fn a_set_of_many_chunks_survives_and_the_bytes_do_not_depend_on_the_day() {
    let dataset = record(&[1000; 120], (11, 3), NextObservations::Stored);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = [
        folder.path().join("one.hdf5"),
        folder.path().join("two.hdf5"),
    ];
    paths
        .iter()
        .for_each(|path| write(path, &dataset, &[]).expect("written"));
    let [one, two] = paths.map(|path| Dataset::read(&[path]).expect("read"));
    assert_same(&dataset, &one);
    assert_eq!(one.sha256(), two.sha256());
}

/// One piece, one chunk, an edge, two levels of nodes, rows wider than a chunk.
#[test]
fn every_shape_is_read_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shapes = [
        (1, 1),
        (1024, 1),
        (1025, 1),
        (65_535, 1),
        (65_536, 1),
        (2, 70_000),
        (70, 40_000),
    ];
    for (rows, width) in shapes {
        let mut observations = Array2::zeros((rows, width));
        for (row, mut values) in observations.rows_mut().into_iter().enumerate() {
            values[0] = row as f32;
            values[width - 1] = row as f32;
        }
        let dataset = Dataset {
            observations: observations.into(),
            actions: Array2::zeros((rows, 1)).into(),
            rewards: (0..rows).map(|row| row as f32).collect(),
            next_observations: None,
            terminals: (0..rows).map(|row| row % 3 == 0).collect(),
            timeouts: (1..=rows).map(|row| row == rows).collect(),
            sources: Vec::new(),
            action_bounds: None,
            interruptions: Interruptions::default(),
            notes: Vec::new(),
        };
        let path = folder.path().join(format!("{rows}-{width}.hdf5"));
        write(&path, &dataset, &[]).expect("written");
        assert_same(&dataset, &Dataset::read(&[path]).expect("read"));
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_behind() {
    let dataset = record(&[4], (2, 1), NextObservations::Omitted);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data.hdf5");
    std::fs::write(&path, "precious").expect("written");
    let error = write(&path, &dataset, &[]).expect_err("taken");
    assert!(matches!(error, DataError::Exists { .. }), "{error}");
    assert_eq!(
        std::fs::read_to_string(&path).expect("still there"),
        "precious"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );

    let nowhere = folder.path().join("nowhere/data.hdf5");
    let message = write(&nowhere, &dataset, &[])
        .expect_err("no folder")
        .to_string();
    assert!(
        message.contains("nowhere") && message.contains("create"),
        "{message}"
    );
}

#[test]
fn a_set_that_could_not_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data.hdf5");
    let good = record(&[4], (2, 1), NextObservations::Stored);
    let refused = |change: fn(&mut Dataset)| {
        let mut dataset = good.clone();
        change(&mut dataset);
        let message = write(&path, &dataset, &[])
            .expect_err("refused")
            .to_string();
        assert!(!path.exists(), "{message}");
        message
    };
    let message = refused(|dataset| dataset.actions[[2, 0]] = f32::NAN);
    assert!(message.contains("`actions`, row 2, column 0"), "{message}");
    let message = refused(|dataset| dataset.timeouts.truncate(3));
    assert!(message.contains("`timeouts`"), "{message}");
    let message = refused(|dataset| dataset.next_observations = Some(Array2::zeros((4, 3)).into()));
    assert!(message.contains("`next_observations`"), "{message}");
    let message = refused(|dataset| dataset.rewards.clear());
    assert!(message.contains("at least one transition"), "{message}");
}

#[test]
fn recorders_join_in_order_and_a_cut_episode_counts_as_a_timeout() {
    let mut all = Recorder::new(1, 1, NextObservations::Omitted);
    for start in [0.0, 10.0] {
        let mut recorder = Recorder::new(1, 1, NextObservations::Omitted);
        for timestep in 0..3 {
            let observation = [start + timestep as f32];
            recorder.push(Transition {
                observation: &observation,
                action: &[0.5],
                reward: 1.0,
                next_observation: &[0.0],
                ending: Ending::Continues,
            });
        }
        recorder.cut();
        all.append(recorder);
    }
    assert_eq!(all.len(), 6);
    let dataset = all.finish();
    assert_eq!(
        dataset.observations.column(0).to_vec(),
        [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]
    );
    assert_eq!(dataset.timeouts, [false, false, true, false, false, true]);
    assert_eq!(dataset.transitions().len(), 4);
}

#[test]
fn when_both_flags_are_set_the_terminal_wins() {
    assert_eq!(Ending::of(true, true), Ending::Terminated);
    for next in [NextObservations::Stored, NextObservations::Omitted] {
        let mut dataset = record(&[3, 3], (1, 1), next);
        dataset.terminals[2] = true;
        assert!(dataset.timeouts[2]);
        let transitions = dataset.transitions();
        assert!(transitions.terminals[2] && !transitions.timeouts[2]);
        assert_eq!(transitions.rewards[2], dataset.rewards[2]);
    }
}

#[test]
fn the_memory_layout_of_the_arrays_does_not_matter() {
    let mut dataset = record(&[6, 5], (3, 2), NextObservations::Omitted);
    let expected = dataset.transitions();
    let columns_first = dataset
        .observations
        .view()
        .t()
        .as_standard_layout()
        .into_owned()
        .reversed_axes();
    assert!(!columns_first.is_standard_layout());
    dataset.observations = columns_first.into();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("data.hdf5");
    write(&path, &dataset, &[]).expect("written");
    assert_same(&dataset, &Dataset::read(&[path]).expect("read"));
    assert_eq!(
        dataset.into_transitions().observations,
        expected.observations
    );
}

#[test]
fn a_summary_counts_what_is_there() {
    let mut dataset = record(&[2, 3, 4], (2, 2), NextObservations::Omitted);
    dataset.rewards = vec![1.0; 9];
    dataset.terminals[8] = false; // the last episode is now a fragment
    dataset.actions.view_mut().fill(0.5);
    dataset
        .actions
        .view_mut()
        .column_mut(1)
        .iter_mut()
        .take(3)
        .for_each(|entry| *entry = -1.0);
    let summary = summarize(&dataset, Some(ReferenceScores { min: 1.0, max: 5.0 }));
    assert_eq!(
        (
            summary.transitions,
            summary.episodes,
            summary.trailing_transitions
        ),
        (9, 2, 4)
    );
    assert_eq!((summary.terminals, summary.timeouts), (1, 1));
    assert_eq!(summary.returns.mean, 2.5);
    assert_eq!(summary.returns.standard_deviation, 0.5);
    assert_eq!(
        (summary.lengths.minimum, summary.lengths.maximum),
        (2.0, 3.0)
    );
    assert_eq!(
        summary.normalized_score.expect("references given").mean,
        37.5
    );
    assert_eq!(summary.action_saturation, [0.0, 3.0 / 9.0]);
    assert_eq!(
        (summary.action_minimum[1], summary.action_maximum[1]),
        (-1.0, 0.5)
    );
    assert_eq!(summary.histogram.counts.iter().sum::<usize>(), 2);
    assert_eq!(
        (summary.histogram.counts[0], summary.histogram.counts[19]),
        (1, 1)
    );
    let table = summary.to_table();
    assert!(table.contains("2 complete, 4 rows after them"), "{table}");
    let json = serde_json::to_value(&summary).expect("serialises");
    assert_eq!(json["returns"]["median"], 2.5);
}

#[test]
fn a_summary_of_no_complete_episode_warns_and_does_not_panic() {
    let mut dataset = record(&[5], (1, 1), NextObservations::Omitted);
    dataset.timeouts.fill(false);
    let summary = summarize(&dataset, None);
    assert_eq!(summary.episodes, 0);
    assert!(summary.returns.mean.is_nan());
    assert!(summary.to_table().contains("no row ends an episode"));
}
