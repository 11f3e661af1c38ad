//! The kernels' text, compiled for the CPU, against the Rust engine and against MuJoCo.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

mod support;
#[path = "support/twin.rs"]
mod twin;

use support::libraries;
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::{PROGRAMS, Program};
use tiltrl_envs::planar::RobotDescription;
use tiltrl_envs::planar::robots::{HALF_CHEETAH, HOPPER, WALKER2D, WALKER2D_V5};
use tiltrl_envs::random::Stream;
use tiltrl_envs::{Engine, EnvOptions, Margin, Stateful, make_stateful};
use twin::Twin;

const STATES: usize = 10_000;

fn robot(id: &str) -> &'static RobotDescription {
    match id {
        "halfcheetah-v4" | "halfcheetah-v5" => &HALF_CHEETAH,
        "hopper-v4" | "hopper-v5" => &HOPPER,
        "walker2d-v4" => &WALKER2D,
        _ => &WALKER2D_V5,
    }
}

fn env(id: &str, engine: Engine, margin: Option<Margin>) -> Box<dyn Stateful> {
    let options = EnvOptions {
        engine,
        margin,
        ..EnvOptions::default()
    };
    make_stateful(id, &options).unwrap()
}

/// A random state: mostly near the ground, some deep in it, joints up to 0.1 rad beyond their limits (tests/mujoco.rs has
/// the same distribution). Hopper's links then often touch one another.
fn random_state(robot: &RobotDescription, stream: &mut Stream) -> (Vec<f64>, Vec<f64>) {
    let mut position = Vec::new();
    for joint in robot.bodies.iter().flat_map(|body| body.joints) {
        position.push(match (joint.name, joint.range) {
            ("rootz", _) => joint.reference + stream.uniform(-1.1, 0.0),
            (_, Some([low, high])) => stream.uniform(low - 0.1, high + 0.1),
            _ => stream.uniform(-1.0, 1.0),
        });
    }
    let velocity = position.iter().map(|_| 3.0 * stream.normal()).collect();
    (position, velocity)
}

fn random_actions(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| stream.uniform(-1.2, 1.2) as f32)
        .collect()
}

fn column(rows: &[f32], env: usize, count: usize) -> Vec<f32> {
    rows.iter().skip(env).step_by(count).copied().collect()
}

/// The largest difference of two states' numbers, relative to the largest number.
fn difference(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
    let numbers = |s: &(Vec<f64>, Vec<f64>)| [s.0.clone(), s.1.clone()].concat();
    let (a, b) = (numbers(a), numbers(b));
    let scale = a.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(x, y)| (x - y).abs() / scale);
    // A NaN is a difference too.
    differences.fold(0.0, |most, x| if x <= most { most } else { x })
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
        differences.push(difference(&other.state(), &twin.state(k)));
        let reward = (step.reward - twin.rewards[k]).abs() <= slack;
        let ended = step.terminated == (twin.status[k] == 1);
        wrong += usize::from(!reward || !ended);
    }
    differences.sort_by(|a, b| a.total_cmp(b));
    (differences, wrong)
}

fn say(name: &str, mode: Mode, differences: &[f64], wrong: usize) {
    let at = |share: f64| differences[(share * (differences.len() - 1) as f64) as usize];
    eprintln!(
        "{name} {mode}: median {:.1e}, 99 % {:.1e}, 99.9 % {:.1e}, worst {:.1e}; {wrong} rewards or ends differ",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

#[test]
fn ten_thousand_random_states_step_with_the_rust_engines_bytes() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in PROGRAMS {
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
fn the_fast_mode_is_near_the_f64_engine() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in PROGRAMS {
        let program = Program::of(id, margin).unwrap();
        let mut other = env(id, Engine::Embedded, Some(margin));
        let (differences, wrong) = one_step(&program, Mode::Fast, id, &mut *other, 1e-2);
        say(name, Mode::Fast, &differences, wrong);
    }
    let _ = libraries;
}
