//! The files of `../shared/cases` (or `$TILTRL_SHARED/cases`) with the right answers of the README there.

use std::path::{Path, PathBuf};

use tiltrl::data::{DataError, Dataset, Environment, NoteKind, ReadOptions, summarize};
use tiltrl::train::training_data::TrainingData;

/// Returns the folder, or `None` with a word about it where it is absent.
fn cases() -> Option<PathBuf> {
    let shared = std::env::var_os("TILTRL_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let cases = shared.join("cases");
    if cases.is_dir() {
        return Some(cases);
    }
    eprintln!("SKIPPED: {} is absent", cases.display());
    None
}

fn options(id: &str) -> ReadOptions {
    let spec = tiltrl::envs::spec_of(id).expect("built in");
    ReadOptions {
        environment: Some(Environment::of(&spec)),
        ..ReadOptions::default()
    }
}

fn read(cases: &Path, name: &str) -> Result<Dataset, DataError> {
    Dataset::read(&[cases.join(name).with_extension("hdf5")])
}

fn good(cases: &Path, name: &str) -> Dataset {
    read(cases, name).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows, complete episodes, terminals, timeouts.
fn counts(dataset: &Dataset) -> [usize; 4] {
    let summary = summarize(dataset, None);
    [
        summary.transitions,
        summary.episodes,
        summary.terminals,
        summary.timeouts,
    ]
}

fn has_note(dataset: &Dataset, kind: NoteKind, count: usize) -> bool {
    dataset
        .notes
        .iter()
        .any(|note| note.kind == kind && note.count == count)
}

#[test]
fn links_and_misspelt_names() {
    let Some(cases) = cases() else { return };
    assert_eq!(counts(&good(&cases, "01_target")), [437, 5, 1, 4]);
    let linked = good(&cases, "01a_timeouts_is_external_link");
    assert_eq!(counts(&linked), [437, 5, 1, 4]);
    assert!(
        linked.notes[0].text.contains("01_target.hdf5"),
        "{:?}",
        linked.notes
    );
    for name in [
        "01c_misspelt_timeout_and_any_soft_link",
        "01d_same_without_the_link_is_refused",
    ] {
        let error = read(&cases, name).expect_err("misspelt");
        assert!(matches!(error, DataError::MissingKey { .. }), "{error:?}");
        assert!(error.to_string().contains("called `timeout`"), "{error}");
    }
}

#[test]
fn no_ends_and_ends_under_gymnasiums_name() {
    let Some(cases) = cases() else { return };
    let name = "02_no_timeouts_no_terminal";
    let error = read(&cases, name).expect_err("no end");
    assert!(matches!(error, DataError::NoEnds { .. }), "{error:?}");
    let given = ReadOptions {
        horizon: Some(100),
        ..ReadOptions::default()
    };
    let path = cases.join(name).with_extension("hdf5");
    let dataset = Dataset::read_with(std::slice::from_ref(&path), &given).expect("ended");
    assert_eq!(counts(&dataset), [437, 4, 0, 4]);
    assert!(
        has_note(&dataset, NoteKind::Understood, 4),
        "{:?}",
        dataset.notes
    );
    // 437 rows are less than one episode of Hopper: still no end, still refused.
    let error = Dataset::read_with(&[path], &options("hopper-v4")).expect_err("no whole episode");
    assert!(matches!(error, DataError::NoEnds { .. }), "{error:?}");
    let dataset = good(&cases, "03b_gymnasium_truncations");
    assert_eq!(counts(&dataset), [437, 5, 1, 4]);
    assert!(
        has_note(&dataset, NoteKind::Understood, 4),
        "{:?}",
        dataset.notes
    );
}

#[test]
fn rounding_noise_changes_no_return() {
    let Some(cases) = cases() else { return };
    let names = ["04a_exact", "04b_rounding_noise"];
    let [exact, noisy] = names.map(|name| {
        let dataset = good(&cases, name);
        assert_eq!(counts(&dataset)[1], 8, "{name}");
        assert_eq!(dataset.episode_lengths(), [60; 8], "{name}");
        TrainingData::new(&dataset, 0.99).expect("transitions")
    });
    assert_eq!(exact.transitions.continues, noisy.transitions.continues);
    assert_eq!(
        exact
            .transitions
            .continues
            .iter()
            .filter(|&&goes_on| !goes_on)
            .count(),
        8
    );
    // What returns are made of.
    assert_eq!(exact.transitions.rewards, noisy.transitions.rewards);
    assert_eq!(exact.transitions.terminals, noisy.transitions.terminals);
}

#[test]
fn a_reset_observation_is_no_successor() {
    let Some(cases) = cases() else { return };
    for (name, transitions, dropped) in [
        ("05a_final_observation", 500, 0),
        ("05b_reset_observation", 480, 20),
    ] {
        let dataset = good(&cases, name);
        assert_eq!(dataset.episode_lengths(), [25; 20], "{name}");
        let found = dataset.transitions();
        assert_eq!(found.len(), transitions, "{name}");
        assert_eq!(
            has_note(&dataset, NoteKind::Dropped, dropped),
            dropped > 0,
            "{name}"
        );
        // Nothing goes on from one episode into the next.
        let material = TrainingData::new(&dataset, 0.99).expect("transitions");
        let length = transitions / 20;
        for row in 0..transitions {
            let last = row % length == length - 1;
            let goes_on = material.transitions.continues[row];
            assert_eq!(goes_on, !last, "{name}, row {row}");
        }
    }
}

#[test]
fn torques_become_shares_of_the_environments_bounds() {
    let Some(cases) = cases() else { return };
    let path = cases.join("06_pendulum_torques_in_newton_metres.hdf5");
    let dataset = Dataset::read_with(&[path], &options("pendulum-v1")).expect("scaled");
    // What is played is a share times the bound of 2 N·m.
    let played: Vec<f64> = dataset
        .actions
        .iter()
        .map(|&share| 2.0 * f64::from(share))
        .collect();
    let mean = played.iter().sum::<f64>() / 1600.0;
    let variance = played
        .iter()
        .map(|torque| (torque - mean).powi(2))
        .sum::<f64>()
        / 1600.0;
    assert!(
        (variance.sqrt() - 0.49).abs() < 0.005,
        "{}",
        variance.sqrt()
    );
    assert_eq!(dataset.action_bounds.expect("known").high, [2.0]);
    let unknown = good(&cases, "06_pendulum_torques_in_newton_metres");
    assert!(
        unknown
            .notes
            .iter()
            .any(|note| note.kind == NoteKind::Warning),
        "{:?}",
        unknown.notes
    );
    assert!(
        TrainingData::new(&unknown, 0.99).is_err(),
        "training refuses unknown units"
    );
}

#[test]
fn a_reward_under_both_flags_reaches_the_critic() {
    let Some(cases) = cases() else { return };
    let dataset = good(&cases, "07_terminated_and_truncated");
    assert!(
        has_note(&dataset, NoteKind::Understood, 6),
        "{:?}",
        dataset.notes
    );
    let transitions = dataset.transitions();
    assert_eq!(transitions.rewards.iter().sum::<f32>(), 6.0);
    let paid = (0..transitions.len()).filter(|&row| transitions.rewards[row] > 0.0);
    assert!(paid.clone().count() == 6 && paid.clone().all(|row| transitions.terminals[row]));
}
