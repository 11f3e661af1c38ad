//! The reader against small files written by h5py (see fixtures/README.md).

use std::path::{Path, PathBuf};

use tiltrl::data::{DataError, Dataset, read_attributes};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn read(name: &str) -> Dataset {
    Dataset::read(&[fixture(name)]).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(name: &str) -> (DataError, String) {
    let error = Dataset::read(&[fixture(name)]).expect_err(name);
    let message = error.to_string();
    assert!(
        message.contains(name),
        "the message names the file: {message}"
    );
    (error, message)
}

fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
}

/// The columns every good fixture holds; the numbers are those of make_data.py.
fn assert_is_the_fixture(dataset: &Dataset, name: &str) {
    assert_eq!(dataset.observations.dim(), (8, 3), "{name}");
    assert_eq!(dataset.actions.dim(), (8, 2), "{name}");
    for row in 0..8 {
        for column in 0..3 {
            let expected = row as f32 + column as f32 / 8.0;
            assert_eq!(
                dataset.observations[[row, column]],
                expected,
                "{name} {row} {column}"
            );
        }
        for column in 0..2 {
            let expected = (row as f32 - 4.0) / 4.0 + column as f32 / 8.0;
            assert_eq!(
                dataset.actions[[row, column]],
                expected,
                "{name} {row} {column}"
            );
        }
        assert_eq!(dataset.rewards[row], row as f32 / 2.0, "{name} {row}");
        assert_eq!(dataset.terminals[row], row == 2, "{name} {row}");
    }
}

#[test]
fn every_accepted_way_of_storing_the_rows_gives_the_same_rows() {
    let names = [
        "plain.hdf5",
        "float64.hdf5",
        "uint8.hdf5",
        "int8.hdf5",
        "column_vectors.hdf5",
        "big_endian.hdf5",
        "new_format.hdf5",
        "user_block.hdf5",
        "no_timeouts.hdf5",
    ];
    for name in names {
        let dataset = read(name);
        assert_is_the_fixture(&dataset, name);
        let timeouts: Vec<usize> = (0..8).filter(|&row| dataset.timeouts[row]).collect();
        assert_eq!(timeouts, [5], "{name}");
        assert_eq!(dataset.episode_returns(), [1.5, 6.0], "{name}");
        assert_eq!(dataset.episode_lengths(), [3, 3], "{name}");
    }
}

#[test]
fn without_successors_the_timeout_row_and_the_last_row_have_no_transition() {
    let transitions = read("plain.hdf5").transitions();
    let first_entries: Vec<f32> = transitions.observations.column(0).to_vec();
    assert_eq!(first_entries, [0.0, 1.0, 2.0, 3.0, 4.0, 6.0]);
    assert_eq!(
        transitions.next_observations.column(0).to_vec(),
        [1.0, 2.0, 3.0, 4.0, 5.0, 7.0]
    );
    assert_eq!(transitions.rewards, [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]);
    assert_eq!(
        transitions.actions.column(1).to_vec(),
        [-0.875, -0.625, -0.375, -0.125, 0.125, 0.625]
    );
    assert_eq!(
        transitions.terminals,
        [false, false, true, false, false, false]
    );
}

#[test]
fn with_successors_every_row_is_a_transition() {
    let transitions = read("float64.hdf5").transitions();
    assert_eq!(transitions.len(), 8);
    let successors = transitions.next_observations.column(0).to_vec();
    assert_eq!(successors, [1.0, 2.0, 102.0, 4.0, 5.0, 105.0, 7.0, 8.0]);
    assert_eq!(
        transitions
            .terminals
            .iter()
            .filter(|&&terminal| terminal)
            .count(),
        1
    );
}

#[test]
fn a_file_without_timeouts_and_successors_has_none_until_the_horizon_is_told() {
    let mut dataset = read("no_timeouts_no_next.hdf5");
    assert_is_the_fixture(&dataset, "no_timeouts_no_next.hdf5");
    assert_eq!(dataset.timeouts, [false; 8]);
    assert_eq!(dataset.episode_lengths(), [3]);
    dataset.mark_timeouts(3);
    assert_eq!(dataset.episode_lengths(), [3, 3]);
    assert_eq!(
        dataset.timeouts.iter().position(|&timeout| timeout),
        Some(5)
    );
}

#[test]
fn files_concatenate_and_no_successor_reaches_into_the_next_file() {
    let dataset =
        Dataset::read(&[fixture("plain.hdf5"), fixture("uint8.hdf5")]).expect("both are good");
    assert_eq!(dataset.len(), 16);
    assert_eq!(
        dataset.episode_lengths(),
        [3, 3, 3, 3],
        "the fragments do not join either"
    );
    let transitions = dataset.transitions();
    assert_eq!(transitions.len(), 12);
    for row in 0..transitions.len() {
        let step = transitions.next_observations[[row, 0]] - transitions.observations[[row, 0]];
        assert_eq!(step, 1.0, "row {row}");
    }
    assert_eq!(dataset.sources.len(), 2);
    assert_ne!(dataset.sha256(), read("plain.hdf5").sha256());
}

#[test]
fn transitions_are_the_same_whether_copied_or_made_in_place() {
    for name in ["plain.hdf5", "float64.hdf5"] {
        let copied = read(name).transitions();
        let moved = read(name).into_transitions();
        assert_eq!(copied.observations, moved.observations);
        assert_eq!(copied.next_observations, moved.next_observations);
        assert_eq!(copied.actions, moved.actions);
        assert_eq!(copied.rewards, moved.rewards);
        assert_eq!(copied.terminals, moved.terminals);
    }
}

#[test]
fn the_hash_is_that_of_sha256sum() {
    let hash = read("plain.hdf5").sha256();
    assert_eq!(hash, read("plain.hdf5").sources[0].sha256);
    assert_eq!(
        hash, PLAIN_SHA256,
        "as printed by sha256sum tests/fixtures/plain.hdf5"
    );
}

const PLAIN_SHA256: &str = "2555c341cb7c56d24d7ef7f0718969bd3c070ba6f6209491f2f2b197a1bd295c";

#[test]
fn attributes_are_read_as_text() {
    let attributes = read_attributes(&fixture("plain.hdf5")).expect("readable");
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    assert_eq!(
        attributes,
        [
            pair("env", "Fixture-v0"),
            pair("recipe", "made by hand, ± exact")
        ]
    );
}

#[test]
fn a_missing_key_lists_what_is_there_and_the_nearest_name() {
    let (error, message) = refusal("missing_key.hdf5");
    assert!(matches!(error, DataError::MissingKey { .. }));
    assert_contains(
        &message,
        &[
            "`rewards`",
            "observations, reward, terminals",
            "called `reward`",
        ],
    );
}

#[test]
fn a_misspelt_optional_key_does_not_pass_for_an_absent_one() {
    let (error, message) = refusal("misspelt_timeouts.hdf5");
    assert!(matches!(error, DataError::MissingKey { .. }));
    assert_contains(&message, &["`timeouts`", "called `timeout`"]);
}

#[test]
fn wrong_shapes_say_what_was_expected_and_found() {
    let (_, message) = refusal("short_actions.hdf5");
    assert_contains(&message, &["`actions`", "[8, action_dim]", "found [7, 2]"]);
    let (_, message) = refusal("flat_actions.hdf5");
    assert_contains(&message, &["`actions`", "found [8]", "reshape"]);
    let (error, _) = refusal("empty.hdf5");
    assert!(matches!(error, DataError::Empty { .. }), "{error}");
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    let (error, message) = refusal("text_rewards.hdf5");
    assert!(matches!(error, DataError::WrongType { .. }), "{error}");
    assert_contains(&message, &["`rewards`", "bool", "string"]);
    let (error, message) = refusal("dictionary.hdf5");
    assert!(matches!(error, DataError::WrongType { .. }), "{error}");
    assert_contains(&message, &["`observations`", "a group"]);
    let (_, message) = refusal("minari.hdf5");
    assert_contains(&message, &["`observations`", "episode_0/"]);
}

#[test]
fn nan_and_values_beyond_f32_name_key_row_and_column() {
    let (_, message) = refusal("nan.hdf5");
    assert_contains(&message, &["`observations`, row 4, column 1", "NaN"]);
    let (_, message) = refusal("overflow.hdf5");
    assert_contains(&message, &["`rewards`, row 6, column 0", "inf"]);
}

#[test]
fn a_flag_that_is_no_flag_is_refused() {
    let (error, message) = refusal("discounts.hdf5");
    assert!(matches!(error, DataError::NotAFlag { .. }), "{error}");
    assert_contains(&message, &["`terminals`, row 0", "0.99"]);
}

#[test]
fn chunks_that_were_never_written_are_not_read_as_zeros() {
    let (error, message) = refusal("unwritten.hdf5");
    assert!(matches!(error, DataError::Damaged { .. }), "{error}");
    assert_contains(&message, &["`rewards`", "expected 4 chunks, found 2"]);
}

/// HDF5 2.0 numbers its newest layout 5; only `libver="latest"` writes it.
#[test]
fn a_layout_newer_than_the_library_is_an_error_that_says_how_to_go_on() {
    let (_, message) = refusal("too_new_format.hdf5");
    assert_contains(&message, &["layout version: 5", "libver"]);
}

#[test]
fn a_file_of_another_format_is_named_for_what_it_is() {
    let cases = [
        ("not_hdf5.html", "HTML"),
        ("not_hdf5.lfs", "Git LFS pointer"),
        ("not_hdf5.empty", "an empty file"),
        ("", "a folder"),
    ];
    for (name, found) in cases {
        let (error, message) = refusal(name);
        assert!(matches!(error, DataError::UnknownFormat { .. }), "{error}");
        assert_contains(&message, &[found]);
    }
}

#[test]
fn a_missing_file_suggests_the_nearest_name() {
    let (error, message) = refusal("plane.hdf5");
    assert!(matches!(error, DataError::NotFound { .. }));
    assert_contains(&message, &["no such file", "did you mean", "plain.hdf5"]);
    let error = Dataset::read(&[]).expect_err("no file");
    assert_contains(&error.to_string(), &["no file given"]);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let error =
        Dataset::read(&[fixture("plain.hdf5"), fixture("float64.hdf5")]).expect_err("mixed");
    assert!(
        matches!(error, DataError::MixedNextObservations { .. }),
        "{error}"
    );
    let error =
        Dataset::read(&[fixture("float64.hdf5"), fixture("plain.hdf5")]).expect_err("mixed");
    assert_contains(
        &error.to_string(),
        &["plain.hdf5: key `next_observations`", "only in"],
    );
}
