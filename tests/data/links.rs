//! Links at the top of a file are followed, or refused by name with the reason (fixtures/README.md).

use std::path::{Path, PathBuf};

use tiltrl::data::{DataError, Dataset, NoteKind};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn refusal(name: &str) -> (DataError, String) {
    let error = Dataset::read(&[fixture(name)]).expect_err(name);
    let message = error.to_string();
    assert!(message.contains(name), "{message}");
    (error, message)
}

#[test]
fn soft_and_external_links_are_followed_in_groups_of_every_layout() {
    let plain = Dataset::read(&[fixture("plain.hdf5")]).expect("a good file");
    let names = [
        "link_soft.hdf5",
        "link_soft_modern.hdf5",
        "link_soft_twice.hdf5",
        "link_external.hdf5",
        "link_dense.hdf5",
        "link_dense_deep.hdf5",
    ];
    for name in names {
        let dataset = Dataset::read(&[fixture(name)]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(dataset.timeouts, plain.timeouts, "{name}");
        assert_eq!(dataset.episode_lengths(), [3, 3], "{name}");
        assert_eq!(dataset.observations, plain.observations, "{name}");
    }
}

#[test]
fn a_link_into_another_file_is_said_and_that_file_is_part_of_the_hash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = |from: &str, to: &str| {
        std::fs::copy(fixture(from), folder.path().join(to)).expect("copied");
    };
    copy("link_external.hdf5", "data.hdf5");
    copy("plain.hdf5", "plain.hdf5");
    let read = || Dataset::read(&[folder.path().join("data.hdf5")]).expect("followed");
    let first = read();
    let note = first.notes.iter().find(|note| note.text.contains("link"));
    let note = note.expect("a note").to_string();
    assert!(
        note.contains("`timeouts`") && note.contains("plain.hdf5"),
        "{note}"
    );
    // The same flags in other bytes.
    copy("uint8.hdf5", "plain.hdf5");
    let second = read();
    assert_eq!(first.timeouts, second.timeouts);
    assert_ne!(first.sha256(), second.sha256());
}

#[test]
fn a_link_that_cannot_be_followed_is_refused_by_name_with_the_reason() {
    let cases = [
        (
            "link_nowhere.hdf5",
            "`/ends/nowhere`",
            "nothing in this file",
        ),
        ("link_circle.hdf5", "timeouts", "round in circles"),
        ("link_other_folder.hdf5", "../plain.hdf5", "same folder"),
        ("link_lost_file.hdf5", "lost.hdf5", "no such file"),
    ];
    for (name, target, reason) in cases {
        let (error, message) = refusal(name);
        assert!(matches!(error, DataError::Link { .. }), "{error:?}");
        for part in ["key `timeouts`", target, reason] {
            assert!(message.contains(part), "{name}: {part}: {message}");
        }
    }
}

#[test]
fn a_misspelt_key_is_refused_whatever_links_stand_beside_it() {
    let (error, message) = refusal("link_beside_misspelt.hdf5");
    assert!(matches!(error, DataError::MissingKey { .. }), "{error:?}");
    for part in ["called `timeout`", "latest → /observations", "ends/"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// The names at the top come from structures of their own; damage there is no absent key.
#[test]
fn a_group_that_cannot_be_listed_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data.hdf5");
    for (name, signature) in [
        ("link_soft.hdf5", "SNOD"),
        ("link_soft.hdf5", "HEAP"),
        ("link_dense.hdf5", "FRHP"),
        ("link_dense.hdf5", "BTHD"),
        ("link_dense_deep.hdf5", "BTIN"),
        ("link_dense_deep.hdf5", "FHIB"),
    ] {
        let mut bytes = std::fs::read(fixture(name)).expect("readable");
        let mut from = 0;
        let find = |bytes: &[u8], from: usize| {
            let mut windows = bytes[from..].windows(4);
            windows
                .position(|window| window == signature.as_bytes())
                .map(|at| from + at)
        };
        let mut found = 0;
        while let Some(at) = find(&bytes, from) {
            bytes[at] = b'?';
            from = at + 4;
            found += 1;
        }
        assert!(found > 0, "{name} has no {signature}");
        std::fs::write(&path, bytes).expect("written");
        let message = Dataset::read(std::slice::from_ref(&path))
            .expect_err(signature)
            .to_string();
        assert!(
            message.contains("cannot be listed"),
            "{signature}: {message}"
        );
    }
}

#[test]
fn a_file_without_links_says_nothing_of_them() {
    let notes = Dataset::read(&[fixture("plain.hdf5")])
        .expect("a good file")
        .notes;
    assert!(
        notes.iter().all(|note| note.kind != NoteKind::Understood),
        "{notes:?}"
    );
}
