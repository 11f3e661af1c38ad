//! What people's files do to a reader, each kind in a small file made here: where episodes end, and
//! what follows what.

use crate::sample::{File, LENGTH, ROWS, ends, environment, lines, note};
use tiltrl::data::{BothFlags, DataError, NoteKind, ReadOptions};
use tiltrl::train::training_data::TrainingData;

#[test]
fn a_file_as_it_should_be_gives_no_note() {
    let dataset = File::new().read();
    assert_eq!(lines(&dataset), Vec::<String>::new());
    assert_eq!(ends(&dataset), [5, 1, 4]);
}

#[test]
fn without_any_end_a_file_is_refused_until_a_horizon_is_given_or_known() {
    let none = vec![0; ROWS];
    let files = [
        File::new()
            .flags("terminals", none.clone())
            .without("timeouts")
            .without("next_observations"),
        File::new()
            .flags("terminals", none.clone())
            .flags("timeouts", none)
            .without("next_observations"),
    ];
    for file in files {
        let (error, message) = file.refusal();
        assert!(matches!(error, DataError::NoEnds { .. }), "{error:?}");
        assert!(
            message.contains("--horizon N") && message.contains("20 rows"),
            "{message}"
        );
        let given = ReadOptions {
            horizon: Some(4),
            ..ReadOptions::default()
        };
        let dataset = file.read_with(&given).expect("ended");
        assert_eq!(ends(&dataset), [5, 0, 5]);
        assert_eq!(note(&dataset, NoteKind::Understood, "--horizon").count, 5);
        let dataset = file
            .read_with(&environment("toy-v0", 10, 1.0))
            .expect("ended");
        assert_eq!(ends(&dataset), [2, 0, 2]);
        assert!(note(&dataset, NoteKind::Understood, "horizon of toy-v0").rows == [9, 19]);
        let error = file
            .read_with(&environment("toy-v0", 100, 1.0))
            .expect_err("no whole episode");
        assert!(
            error
                .to_string()
                .contains("a horizon of 100 timesteps ends none either"),
            "{error}"
        );
        assert!(matches!(error, DataError::NoEnds { .. }), "{error:?}");
    }
}

#[test]
fn with_terminals_alone_it_is_said_that_nothing_tells_the_clock() {
    let file = File::new().without("timeouts").without("next_observations");
    let dataset = file.read();
    assert_eq!(ends(&dataset), [1, 1, 0]);
    note(&dataset, NoteKind::Warning, "only terminals end episodes");
    let dataset = file
        .read_with(&environment("toy-v0", 4, 1.0))
        .expect("ended");
    assert_eq!(ends(&dataset), [5, 1, 4]);
}

#[test]
fn an_unknown_name_that_sounds_like_ends_is_pointed_out() {
    let file = File::new()
        .renamed("timeouts", "episode_done_flags")
        .without("next_observations");
    note(
        &file.read(),
        NoteKind::Warning,
        "`episode_done_flags` may tell",
    );
}

#[test]
fn ends_under_other_names_are_understood_by_the_rules_of_their_source() {
    let all: Vec<u8> = (0..ROWS).map(|row| u8::from(row % LENGTH == 3)).collect();
    let starts: Vec<u8> = (0..ROWS).map(|row| u8::from(row % LENGTH == 0)).collect();
    let renamed = [
        ("timeouts", "truncations"),
        ("timeouts", "truncated"),
        ("terminals", "terminated"),
        ("terminals", "terminations"),
    ]
    .map(|(from, to)| (to, File::new().renamed(from, to)));
    let added = ["done", "dones", "episode_terminals"]
        .map(|key| (key, File::new().without("timeouts").flags(key, all.clone())));
    let others = [
        (
            "dones",
            File::new().without("terminals").flags("dones", all.clone()),
        ),
        (
            "episode_ends",
            File::new()
                .without("timeouts")
                .flags("episode_ends", vec![4, 8, 12, 16, 20]),
        ),
        (
            "episode_starts",
            File::new()
                .without("timeouts")
                .flags("episode_starts", starts),
        ),
    ];
    for (key, file) in renamed.into_iter().chain(added).chain(others) {
        let dataset = file.read();
        let clock = if key == "episode_starts" {
            [4, 1, 3]
        } else {
            [5, 1, 4]
        };
        assert_eq!(ends(&dataset), clock, "{key}");
        assert!(dataset.terminals[7], "{key}");
        let note = note(&dataset, NoteKind::Understood, &format!("`{key}`"));
        assert!(note.count > 0, "{key}: {note}");
    }
}

#[test]
fn ends_that_cannot_be_understood_are_refused_with_the_reason() {
    let all: Vec<u8> = (0..ROWS).map(|row| u8::from(row % LENGTH == 3)).collect();
    let both = || File::new().without("timeouts").without("terminals");
    let cases = [
        (
            both().flags("dones", all.clone()),
            "one flag for the task's ends and the clock's",
        ),
        (both().flags("is_last", all.clone()), "RLDS"),
        (
            File::new().flags("truncations", all.clone()),
            "in row 7 it says otherwise than `timeouts`",
        ),
        (
            File::new()
                .without("timeouts")
                .flags("episode_ends", vec![4, 8]),
            "ends at row 8",
        ),
        (
            File::new()
                .without("timeouts")
                .flags("episode_ends", vec![8, 4, 20]),
            "holds 4 after 8",
        ),
    ];
    for (file, reason) in cases {
        let (error, message) = file.refusal();
        assert!(matches!(error, DataError::EndsUnclear { .. }), "{error:?}");
        assert!(message.contains(reason), "{reason}: {message}");
    }
    for key in ["truncation", "timeout", "terminal"] {
        let (error, message) = File::new().renamed("timeouts", key).refusal();
        assert!(
            matches!(error, DataError::MissingKey { .. }),
            "{key}: {message}"
        );
        assert!(message.contains(&format!("called `{key}`")), "{message}");
    }
    // One flag for both, told apart by the horizon: the episode that ended early ended by itself.
    let mut early = all;
    early[5] = 1;
    let dataset = both()
        .flags("dones", early)
        .read_with(&environment("toy-v0", 4, 1.0));
    let dataset = dataset.expect("told apart");
    assert_eq!(ends(&dataset), [6, 2, 4]);
    assert!(dataset.terminals[5] && dataset.terminals[7]);
}

#[test]
fn episodes_longer_than_the_environments_clock_are_warned_of() {
    let dataset = File::new()
        .read_with(&environment("toy-v0", 3, 1.0))
        .expect("read");
    let found = note(
        &dataset,
        NoteKind::Warning,
        "longer than toy-v0's horizon of 3",
    );
    assert_eq!(found.rows, [0, 4, 8, 12, 16]);
    assert!(found.text.contains("the longest has 4"), "{found}");
    assert!(
        File::new()
            .read_with(&environment("toy-v0", 4, 1.0))
            .expect("read")
            .notes
            .is_empty()
    );
}

#[test]
fn successors_that_differ_in_the_last_digits_change_no_return() {
    let exact = File::new();
    let mut noisy = File::new();
    for (index, value) in noisy.next.iter_mut().flatten().enumerate() {
        *value += 3e-7 * value.abs() * ((index % 3) as f32 - 1.0);
    }
    let (exact, noisy) = (exact.read(), noisy.read());
    assert_eq!(exact.transitions().continues, noisy.transitions().continues);
    let note = note(&noisy, NoteKind::Understood, "the flags decide");
    assert!(note.count > 0 && note.count <= 15, "{note}");
    let materials = [exact, noisy].map(|data| TrainingData::new(&data, 0.9).expect("transitions"));
    // What returns are made of.
    let parts = |m: &TrainingData| {
        let found = m.transitions.clone();
        (found.rewards, found.terminals, found.continues)
    };
    assert_eq!(parts(&materials[0]), parts(&materials[1]));
    assert_eq!(
        materials[0]
            .transitions
            .continues
            .iter()
            .filter(|&&goes_on| !goes_on)
            .count(),
        5
    );
}

#[test]
fn without_flags_rounding_ends_no_episode() {
    let mut file = File::new().without("timeouts");
    file.next
        .iter_mut()
        .flatten()
        .for_each(|value| *value *= 1.0 + 2e-7);
    let dataset = file.read();
    assert_eq!(ends(&dataset), [4, 1, 3]);
    assert_eq!(
        note(&dataset, NoteKind::Understood, "is not the next row's").rows,
        [3, 11, 15]
    );
}

#[test]
fn a_state_that_cannot_follow_stops_returns_even_where_no_flag_does() {
    let mut file = File::new();
    file.flags[1].1[3] = 0;
    let dataset = file.read();
    assert_eq!(note(&dataset, NoteKind::Warning, "another state").rows, [3]);
    assert!(!dataset.transitions().continues[3]);
    assert_eq!(dataset.interruptions.breaks, [3]);
}

#[test]
fn the_next_episodes_first_observation_is_no_successor() {
    let mut file = File::new();
    for row in [3, 7, 11, 15] {
        let following = file.observations[2 * row + 2..2 * row + 4].to_vec();
        let next = file.next.as_mut().expect("recorded");
        next[2 * row..2 * row + 2].copy_from_slice(&following);
    }
    let dataset = file.read();
    let dropped = note(
        &dataset,
        NoteKind::Dropped,
        "next episode's first observation",
    );
    assert_eq!(
        dropped.rows,
        [3, 11, 15, 19],
        "row 7 is terminal; the last row goes with the others"
    );
    let transitions = dataset.transitions();
    assert_eq!(transitions.len(), 16);
    assert_eq!(dataset.episode_lengths(), [4; 5], "the rewards stay");
    for row in 0..16 {
        let step = transitions.next_observations[[row, 0]] - transitions.observations[[row, 0]];
        assert!(
            transitions.terminals[row] || step == 1.0,
            "row {row}: {step}"
        );
    }
    let moved = dataset.into_transitions();
    assert_eq!(
        (moved.observations, moved.continues),
        (transitions.observations, transitions.continues)
    );
}

/// Gymnasium's vector environments from 1.0 on reset in the step after the end.
#[test]
fn the_row_that_only_resets_is_no_transition() {
    let mut file = File::new();
    file.observations.clear();
    let mut next = Vec::new();
    for row in 0..ROWS {
        // Four steps and the row that resets: 0 1 2 3 → 4, then 4 → 10.
        let (episode, timestep) = (row / 5, row % 5);
        let place = (episode * 10 + timestep) as f32;
        let after = if timestep == 4 {
            (episode * 10 + 10) as f32
        } else {
            place + 1.0
        };
        file.observations.extend([place, 1.0]);
        next.extend([after, 1.0]);
        file.rewards[row] = if timestep == 4 { 0.0 } else { 1.0 };
    }
    file.next = Some(next);
    let file = file.flags("terminals", vec![0; ROWS]).flags(
        "timeouts",
        (0..ROWS).map(|row| u8::from(row % 5 == 3)).collect(),
    );
    let dataset = file.read();
    assert_eq!(
        note(&dataset, NoteKind::Dropped, "only resets").rows,
        [4, 9, 14, 19]
    );
    let transitions = dataset.transitions();
    assert_eq!(transitions.len(), 16);
    assert!(transitions.rewards.iter().all(|&reward| reward == 1.0));
}

#[test]
fn both_flags_in_one_row_keep_its_reward() {
    let timeouts = (0..ROWS).map(|row| u8::from(row % LENGTH == 3)).collect();
    let file = File::new()
        .flags("timeouts", timeouts)
        .without("next_observations");
    let dataset = file.read();
    assert_eq!(
        note(&dataset, NoteKind::Understood, "the task's end wins").rows,
        [7]
    );
    let kept = dataset.transitions();
    let at = kept
        .rewards
        .iter()
        .position(|&reward| reward == 8.0)
        .expect("the reward of row 7");
    assert!(kept.terminals[at] && !kept.continues[at]);
    let options = ReadOptions {
        both_flags: BothFlags::Timeout,
        ..ReadOptions::default()
    };
    let dataset = file.read_with(&options).expect("read");
    assert_eq!(ends(&dataset), [5, 0, 5]);
    assert!(!dataset.transitions().rewards.contains(&8.0));
}
