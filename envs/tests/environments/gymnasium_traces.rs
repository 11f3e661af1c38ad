//! The embedded engine and the task rules against recordings of Gymnasium: committed ones (MuJoCo 3.2.7, margin rule
//! Max) and, where they stand beside the checkout, longer ones (MuJoCo 3.17, margin rule Sum).

use crate::support::{Layout, golden, make, read, replay_each_step, replay_freely, shared};
use tiltrl_envs::Margin;

const IDS: [&str; 6] = [
    "HalfCheetah-v4",
    "HalfCheetah-v5",
    "Hopper-v4",
    "Hopper-v5",
    "Walker2d-v4",
    "Walker2d-v5",
];

/// MuJoCo's own solver stops at a tolerance that leaves 2.4e-6 on HalfCheetah.
fn tolerance(id: &str) -> f64 {
    if id.starts_with("HalfCheetah") {
        1e-5
    } else {
        1e-9
    }
}

#[test]
fn each_golden_step_is_right_from_its_recorded_state() {
    for id in IDS.into_iter().filter(|id| *id != "HalfCheetah-v5") {
        let records = read(
            &golden(&format!("{}.bin", id.to_lowercase())),
            Layout::Golden,
        );
        let deviation = replay_each_step(&mut *make(id, Some(Margin::Max)), &records);
        eprintln!("{id}: {deviation:?}");
        assert!(deviation.observation < tolerance(id), "{id}: {deviation:?}");
        assert!(deviation.reward < 1e-4, "{id}: {deviation:?}");
        assert_eq!(deviation.wrong_terminations, 0, "{id}");
    }
}

#[test]
fn twenty_free_steps_stay_on_the_golden_traces() {
    for id in IDS.into_iter().filter(|id| *id != "HalfCheetah-v5") {
        let records = read(
            &golden(&format!("{}.bin", id.to_lowercase())),
            Layout::Golden,
        );
        let deviation = replay_freely(&mut *make(id, Some(Margin::Max)), &records, 20);
        eprintln!("{id}: {deviation:?}");
        let allowed = if id.starts_with("HalfCheetah") {
            1e-3
        } else {
            1e-9
        };
        assert!(deviation.observation < allowed, "{id}: {deviation:?}");
        assert_eq!(deviation.wrong_terminations, 0, "{id}");
    }
}

#[test]
fn each_step_of_the_long_recordings_is_right() {
    for id in IDS {
        let Some(path) = shared(&format!("oracles/gymnasium/{id}.bin")) else {
            return;
        };
        let records = read(&path, Layout::Oracle);
        let mut env = make(id, Some(Margin::Sum));
        let deviation = replay_each_step(&mut *env, &records);
        eprintln!("{id}: {deviation:?}");
        assert!(deviation.observation < tolerance(id), "{id}: {deviation:?}");
        assert_eq!(deviation.wrong_terminations, 0, "{id}");
        let free = replay_freely(&mut *env, &records, 20);
        eprintln!("{id} free: {free:?}");
        let allowed = if id.starts_with("HalfCheetah") {
            1e-3
        } else {
            1e-9
        };
        assert!(free.observation < allowed, "{id}: {free:?}");
    }
}

#[test]
fn the_wrong_margin_rule_strays_on_hopper() {
    let records = read(&golden("hopper-v4.bin"), Layout::Golden);
    let deviation = replay_each_step(&mut *make("hopper-v4", Some(Margin::Sum)), &records);
    assert!(deviation.observation > 1e-3, "{deviation:?}");
}

#[test]
fn the_wrong_foot_friction_strays_on_walker2d() {
    // v5 has friction 1.9 on the right foot, v4 has 0.9.
    let records = read(&golden("walker2d-v4.bin"), Layout::Golden);
    let deviation = replay_each_step(&mut *make("walker2d-v5", Some(Margin::Max)), &records);
    assert!(deviation.observation > 1e-3, "{deviation:?}");
}

#[test]
fn the_v5_bonus_strays_on_a_v4_recording() {
    let records = read(&golden("hopper-v4.bin"), Layout::Golden);
    assert!(
        records.iter().any(|record| record.terminated),
        "the recording must hold a fall"
    );
    let deviation = replay_each_step(&mut *make("hopper-v5", Some(Margin::Max)), &records);
    assert!((deviation.reward - 1.0).abs() < 1e-6, "{deviation:?}");
    assert!(
        deviation.observation < 1e-9,
        "the physics is the same: {deviation:?}"
    );
}

#[test]
fn the_small_tasks_follow_their_recordings() {
    let tolerances = [
        ("invertedpendulum-v4", 1e-9),
        ("invertedpendulum-v5", 1e-9),
        ("inverteddoublependulum-v4", 1e-8),
        ("inverteddoublependulum-v5", 1e-8),
        ("reacher-v4", 1e-9),
        ("reacher-v5", 1e-9),
        ("pendulum-v1", 1e-6),
        ("mountaincar-continuous-v0", 1e-7),
        ("pointmaze-umaze-v1", 1e-9),
        ("pointmaze-medium-v1", 1e-9),
    ];
    for (id, tolerance) in tolerances {
        let file = id.replace("mountaincar-continuous", "mountaincarcontinuous");
        let records = read(&golden(&format!("{file}.bin")), Layout::Golden);
        // A Reacher-v4 reward looks at where the step before left the arm, so its episodes are played through.
        let mut env = make(id, None);
        let deviation = if id == "reacher-v4" {
            replay_freely(&mut *env, &records, 60)
        } else {
            replay_each_step(&mut *env, &records)
        };
        eprintln!("{id}: {deviation:?}");
        assert!(deviation.observation < tolerance, "{id}: {deviation:?}");
        assert!(deviation.reward < 1e-6, "{id}: {deviation:?}");
        assert_eq!(deviation.wrong_terminations, 0, "{id}");
    }
}

#[test]
fn a_maze_recording_holds_contacts_and_the_margin_rule_shows() {
    let records = read(&golden("pointmaze-medium-v1.bin"), Layout::Golden);
    let deviation = replay_each_step(
        &mut *make("pointmaze-medium-v1", Some(Margin::Sum)),
        &records,
    );
    assert!(deviation.observation > 1e-4, "{deviation:?}");
}

#[test]
fn a_folded_hoppers_own_links_push_one_another() {
    let records = read(&golden("hopper-folded.bin"), Layout::Golden);
    let deviation = replay_each_step(&mut *make("hopper-v4", Some(Margin::Max)), &records);
    eprintln!("hopper-folded: {deviation:?}");
    assert!(deviation.observation < 1e-9, "{deviation:?}");
    assert_eq!(deviation.wrong_terminations, 0);
}
