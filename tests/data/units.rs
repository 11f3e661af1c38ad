//! The units of actions, and values that cannot be right; each kind in a small file made here.

use crate::sample::{File, ROWS, environment, lines, note};
use hdf5_pure::AttrValue;
use tiltrl::data::{ActionBounds, DataError, Dataset, NoteKind, ReadOptions, write};
use tiltrl::policies::agent::ACTION_CLIP;
use tiltrl::train::training_data::TrainingData;

/// Actions up to ±1.9, as Pendulum's torques in N·m.
fn torques() -> File {
    let mut file = File::new();
    file.actions = (0..ROWS).map(|row| 0.2 * row as f32 - 1.9).collect();
    file
}

#[test]
fn actions_in_the_environments_units_are_scaled_to_shares_of_its_bounds() {
    let file = torques();
    let dataset = file
        .read_with(&environment("pendulum-v1", 4, 2.0))
        .expect("scaled");
    assert_eq!(dataset.action_bounds, Some(ActionBounds::symmetric(2.0, 1)));
    for (row, &found) in dataset.actions.iter().enumerate() {
        assert!((2.0 * found - file.actions[row]).abs() < 1e-6, "{row}");
    }
    note(&dataset, NoteKind::Understood, "bounds ±2");
    // Back by the same rule.
    let mut back: Vec<f32> = dataset.actions.iter().copied().collect();
    dataset
        .action_bounds
        .as_ref()
        .expect("known")
        .from_unit(&mut back);
    assert!(
        back.iter()
            .zip(&file.actions)
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
}

#[test]
fn the_files_attributes_say_the_bounds_and_win() {
    let array = |value: f64| AttrValue::F64Array(vec![value]);
    let space = r#"{"type": "Box", "low": [-4.0], "high": [4.0]}"#;
    let cases: [Vec<(&'static str, AttrValue)>; 3] = [
        vec![("action_bound", AttrValue::F64(4.0))],
        vec![("action_low", array(-4.0)), ("action_high", array(4.0))],
        vec![("action_space", AttrValue::VarLenString(space.to_string()))],
    ];
    for attributes in cases {
        let mut file = torques();
        file.attributes = attributes;
        for options in [ReadOptions::default(), environment("pendulum-v1", 4, 2.0)] {
            let dataset = file.read_with(&options).expect("scaled");
            assert!(
                (dataset.actions[[0, 0]] - -1.9 / 4.0).abs() < 1e-6,
                "{:?}",
                file.attributes
            );
            note(
                &dataset,
                NoteKind::Understood,
                "as the file's attributes say",
            );
        }
    }
    let mut file = torques();
    file.attributes = vec![("action_bound", AttrValue::F64Array(vec![1.0, 2.0]))];
    let (error, message) = file.refusal();
    assert!(matches!(error, DataError::WrongShape { .. }), "{message}");
    let text = AttrValue::VarLenString("one".to_string());
    file.attributes = vec![("action_bound", text)];
    let (error, message) = file.refusal();
    assert!(matches!(error, DataError::WrongType { .. }), "{message}");
    file.attributes = vec![("action_low", array(-4.0))];
    let (_, message) = file.refusal();
    assert!(message.contains("both of them"), "{message}");
}

#[test]
fn actions_out_of_bounds_are_an_error_with_the_share_of_rows() {
    let file = torques();
    let error = file
        .read_with(&environment("hopper-v4", 4, 1.0))
        .expect_err("out of bounds");
    assert!(
        matches!(
            error,
            DataError::OutOfBounds {
                rows: 10,
                row: 0,
                ..
            }
        ),
        "{error:?}"
    );
    let message = error.to_string();
    for part in ["±1", "hopper-v4", "50.0 % of the rows", "action_bound"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Nothing tells the unit: said, and refused by what would train on them.
    let dataset = file.read();
    assert_eq!(dataset.action_bounds, None);
    assert_eq!(
        note(&dataset, NoteKind::Warning, "50.0 % of the rows").count,
        10
    );
    let message = TrainingData::new(&dataset, 0.9)
        .err()
        .expect("refused")
        .to_string();
    assert!(message.contains("50.0 % of the rows (10)"), "{message}");
}

#[test]
fn small_actions_are_understood_aloud_where_two_units_are_in_use() {
    let pendulum = File::new()
        .read_with(&environment("pendulum-v1", 4, 2.0))
        .expect("read");
    note(
        &pendulum,
        NoteKind::Understood,
        "taken as shares of the bound",
    );
    assert_eq!(pendulum.actions[[10, 0]], 0.25);
    let mut file = File::new();
    file.actions.iter_mut().for_each(|action| *action *= 0.8);
    let humanoid = file
        .read_with(&environment("humanoid-v4", 4, 0.4))
        .expect("read");
    note(&humanoid, NoteKind::Understood, "in units of humanoid-v4");
    assert!((humanoid.actions[[10, 0]] - 0.5).abs() < 1e-6);
    let unit = File::new()
        .read_with(&environment("humanoid-v4", 4, 0.4))
        .expect("read");
    assert_eq!(
        unit.actions[[10, 0]],
        0.25,
        "beyond ±0.4 they can only be shares"
    );
}

#[test]
fn what_is_written_says_its_unit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data.hdf5");
    let dataset = torques()
        .read_with(&environment("pendulum-v1", 4, 2.0))
        .expect("scaled");
    write(&path, &dataset, &[]).expect("written");
    let again = Dataset::read_with(&[path], &environment("pendulum-v1", 4, 2.0)).expect("read");
    assert_eq!(again.actions, dataset.actions);
    assert_eq!(lines(&again), Vec::<String>::new());
}

#[test]
fn silent_failure_27_the_clip_is_counted_and_prior_and_critic_see_the_same_actions() {
    let mut file = File::new();
    file.actions[3] = 1.0;
    file.actions[8] = -1.0;
    file.actions[9] = 0.9995;
    let dataset = file.read();
    let found = note(
        &dataset,
        NoteKind::Clipped,
        "prior and critic both see them",
    );
    assert!(
        found.text.contains("3 of 20") && found.text.contains("15.00 %"),
        "{found}"
    );
    let data = TrainingData::new(&dataset, 0.9).expect("transitions");
    assert_eq!(data.clipped, 3);
    assert_eq!(
        (data.transitions.actions[3], data.transitions.actions[8]),
        (ACTION_CLIP, -ACTION_CLIP)
    );
    let actions = data.coordinates.actions(data.latents.to_vec());
    for (found, action) in actions.iter().zip(&*data.transitions.actions) {
        assert!((found - action).abs() < 1e-5, "{found} {action}");
    }
}

#[test]
fn rounding_beyond_the_bound_is_set_to_it_and_counted() {
    let mut file = File::new();
    file.actions[5] = 1.0001;
    let dataset = file.read();
    assert_eq!(
        note(&dataset, NoteKind::Clipped, "set to the bound").rows,
        [5]
    );
    assert_eq!(dataset.actions[[5, 0]], 1.0);
}

#[test]
fn zeros_at_the_end_are_left_out_with_their_rows() {
    let mut file = File::new();
    let empty = 5;
    file.observations.extend(vec![0.0; 2 * empty]);
    file.next
        .as_mut()
        .expect("recorded")
        .extend(vec![0.0; 2 * empty]);
    file.actions.extend(vec![0.0; empty]);
    file.rewards.extend(vec![0.0; empty]);
    file.flags
        .iter_mut()
        .for_each(|(_, flags)| flags.extend(vec![0; empty]));
    let dataset = file.read();
    let dropped = note(&dataset, NoteKind::Dropped, "rows of zeros");
    assert_eq!((dropped.count, dropped.rows[0]), (5, 20));
    assert_eq!((dataset.len(), dataset.sources[0].transitions), (20, 20));
    // In front of another file nothing shifts.
    let other = File::new();
    let both = Dataset::read(&[file.write(), other.write()]).expect("read");
    assert_eq!((both.len(), both.episodes().len()), (40, 10));
    assert_eq!(both.observations.row(20), both.observations.row(0));
}

#[test]
fn the_same_file_twice_is_warned_of() {
    let file = File::new();
    let path = file.write();
    let dataset = Dataset::read(&[path.clone(), path]).expect("read");
    let found = note(&dataset, NoteKind::Warning, "byte for byte");
    assert!(found.text.contains("20 rows count twice"), "{found}");
}

#[test]
fn values_far_from_all_others_are_pointed_out_and_absurd_ones_refused() {
    let mut file = File::new();
    file.observations[2 * 6 + 1] = 5e8;
    let dataset = file.read();
    let found = note(&dataset, NoteKind::Warning, "a million times");
    assert!(
        found.text.contains("`observations`") && found.text.contains("column 1"),
        "{found}"
    );
    assert_eq!(found.rows, [6]);
    for (change, key) in [
        (
            (|file| file.observations[13] = 1e30) as fn(&mut File),
            "`observations`, row 6, column 1",
        ),
        (
            |file| file.rewards[2] = -9.97e36,
            "`rewards`, row 2, column 0",
        ),
    ] {
        let mut file = File::new();
        change(&mut file);
        let (error, message) = file.refusal();
        assert!(matches!(error, DataError::Absurd { .. }), "{message}");
        assert!(
            message.contains(key) && message.contains("fill value"),
            "{message}"
        );
    }
}

#[test]
fn another_versions_widths_are_refused_and_the_version_is_named() {
    let mut options = environment("reacher-v5", 50, 1.0);
    let spec = |id: &str| tiltrl::envs::spec_of(id).expect("built in");
    let (old, new) = (spec("reacher-v4"), spec("reacher-v5"));
    assert_ne!(old.observation_dim, new.observation_dim);
    let set = options.environment.as_mut().expect("given");
    (set.observation_dim, set.action_dim) = (new.observation_dim, new.action_dim);
    let mut file = File::new();
    file.next = None;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("reacher.hdf5");
    let mut dataset = file.read();
    dataset.observations = ndarray::Array2::from_elem((ROWS, old.observation_dim), 0.5).into();
    dataset.actions = ndarray::Array2::from_elem((ROWS, old.action_dim), 0.5).into();
    write(&path, &dataset, &[]).expect("written");
    let error = Dataset::read_with(&[path], &options).expect_err("v4");
    assert!(
        matches!(error, DataError::OtherEnvironment { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("the widths of reacher-v4"),
        "{error}"
    );
}

#[test]
fn a_file_that_names_another_environment_is_warned_of() {
    let mut file = File::new();
    file.attributes = vec![("env", AttrValue::VarLenString("toy-v4".to_string()))];
    let dataset = file
        .read_with(&environment("toy-v5", 4, 1.0))
        .expect("read");
    note(
        &dataset,
        NoteKind::Warning,
        "env = toy-v4, and is read for toy-v5",
    );
    let dataset = file
        .read_with(&environment("Toy-v4", 4, 1.0))
        .expect("read");
    assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
}
