//! The kernels' text, compiled for the CPU, against the Rust engine: steps, starts and whole episodes.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/episodes.rs"]
mod episodes;
#[path = "support/states.rs"]
mod states;
#[path = "support/twin.rs"]
mod twin;

use episodes::{env, play};
use states::{STATES, column, difference, random_actions, random_state, robot, say};
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::{PROGRAMS, Program};
use tiltrl_envs::random::Stream;
use tiltrl_envs::{Engine, Joints, Margin, Stateful};
use twin::Twin;

/// As the twin gives it.
fn pair(joints: Joints) -> (Vec<f64>, Vec<f64>) {
    (joints.position, joints.velocity)
}

/// The programs of the robots.
fn runners() -> impl Iterator<Item = (&'static str, &'static str, Margin)> {
    let runs = |(_, id, margin): &(_, &str, Margin)| {
        Program::of(id, *margin).unwrap().modes().len() == Mode::ALL.len()
    };
    PROGRAMS.into_iter().filter(runs)
}

/// Steps `STATES` random states once on the twin and in a Rust environment; returns the sorted differences of the states and
/// how many steps differed in reward (by more than `slack`) or in ending.
fn one_step(
    program: &Program,
    mode: Mode,
    id: &str,
    other: &mut dyn Stateful,
    slack: f64,
) -> (Vec<f64>, usize) {
    let mut stream = Stream::new(17);
    let mut twin = Twin::new(program, mode, STATES);
    let actions = random_actions(&mut stream, program.action_dim() * STATES);
    let mut starts = Vec::new();
    for k in 0..STATES {
        let (position, velocity) = random_state(robot(id), &mut stream);
        twin.set_state(k, &position, &velocity);
        starts.push((position, velocity));
    }
    twin.advance(&actions);
    let mut seen = vec![0.0; program.observation_dim()];
    let (mut differences, mut wrong) = (Vec::new(), 0);
    for (k, (position, velocity)) in starts.iter().enumerate() {
        other.set_state(position, velocity);
        let step = other.step(&column(&actions, k, STATES), &mut seen);
        differences.push(difference(&pair(other.state()), &twin.state(k)));
        let reward = (step.reward - twin.rewards[k]).abs() <= slack;
        let ended = step.terminated == (twin.status[k] == 1);
        wrong += usize::from(!reward || !ended);
    }
    differences.sort_by(f64::total_cmp);
    (differences, wrong)
}

#[test]
fn ten_thousand_random_states_step_with_the_rust_engines_bytes() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in runners() {
        let program = Program::of(id, margin).unwrap();
        for (mode, engine) in [
            (Mode::F64, Engine::Embedded),
            (Mode::F32, Engine::EmbeddedF32),
        ] {
            let mut other = env(id, engine, Some(margin));
            let (differences, wrong) = one_step(&program, mode, id, &mut *other, 0.0);
            say(name, mode, &differences, wrong);
            assert_eq!((differences[STATES - 1], wrong), (0.0, 0), "{name} {mode}");
        }
    }
}

#[test]
fn a_step_of_the_fast_mode_is_within_a_ten_thousandth_of_the_f64_engine() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in runners() {
        let program = Program::of(id, margin).unwrap();
        let mut other = env(id, Engine::Embedded, Some(margin));
        let (differences, wrong) = one_step(&program, Mode::Fast, id, &mut *other, 1e-3);
        say(name, Mode::Fast, &differences, wrong);
        let strays = differences.iter().filter(|d| **d > 1e-4).count();
        // Where the axes of two of Hopper's links nearly cross, the contact's normal turns round within a rounding error.
        let allowed = if name.starts_with("hopper") { 25 } else { 0 };
        assert!(
            strays <= allowed && wrong <= allowed,
            "{name}: {strays}, {wrong}"
        );
        assert!(differences[STATES / 2] > 1e-12, "{name}: this was not f32");
    }
}

#[test]
fn episodes_are_the_cpus_episodes_from_seed_to_end() {
    if !twin::compiler() {
        return;
    }
    for id in [
        "halfcheetah-v5",
        "hopper-v4",
        "hopper-v5",
        "walker2d-v4",
        "walker2d-v5",
    ] {
        let margin = if id == "hopper-v5" {
            Margin::Sum
        } else {
            Margin::Max
        };
        let program = Program::of(id, margin).unwrap();
        for mode in [Mode::F64, Mode::F32] {
            let [terminated, truncated] = play(&program, mode, id);
            eprintln!("{id} {mode}: {terminated} terminated, {truncated} cut at the horizon");
            assert_eq!(truncated > 0, id.starts_with("half"), "{id}");
            assert_eq!(terminated > 50, !id.starts_with("half"), "{id}");
        }
    }
}

#[test]
fn a_hundred_thousand_starts_are_the_cpus_to_the_last_bit() {
    if !twin::compiler() {
        return;
    }
    const COUNT: usize = 100_000;
    for id in ["halfcheetah-v4", "walker2d-v4"] {
        let program = Program::of(id, Margin::Max).unwrap();
        let mut twin = Twin::new(&program, Mode::F64, COUNT);
        let seed = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for k in 0..COUNT {
            twin.seeds[k] = seed(k);
        }
        twin.begin(1);
        let mut other = env(id, Engine::Embedded, None);
        let mut seen = vec![0.0; program.observation_dim()];
        for k in 0..COUNT {
            other.reset(seed(k), &mut seen);
            assert_eq!(twin.state(k), pair(other.state()), "{id} seed {}", seed(k));
            assert_eq!(twin.seeds[k], seed(k).wrapping_add(1));
        }
    }
}

#[test]
fn an_episode_that_has_ended_stands_still_and_earns_nothing() {
    if !twin::compiler() {
        return;
    }
    let program = Program::of("hopper-v4", Margin::Max).unwrap();
    let mut twin = Twin::new(&program, Mode::F64, 2);
    twin.begin(2);
    twin.set_state(0, &[0.0, 0.5, 0.0, 0.0, 0.0, 0.0], &[0.0; 6]);
    twin.advance(&[0.0; 6]);
    assert_eq!(twin.status, [1, 0]);
    assert!(twin.rewards[0] > 0.0, "v4 pays the last bonus");
    let (state, returns) = (twin.state(0), twin.returns.clone());
    twin.advance(&[0.0; 6]);
    assert_eq!((twin.state(0), twin.returns[0]), (state, returns[0]));
    assert_eq!((twin.rewards[0], twin.status[0]), (0.0, 1));
    assert!(twin.rewards[1] > 0.0 && twin.returns[1] > returns[1]);
}
