//! Random states of the robots, and how far two states are apart.
#![allow(dead_code)]

use tiltrl_envs::gpu::Mode;
use tiltrl_envs::planar::RobotDescription;
use tiltrl_envs::planar::robots::{HALF_CHEETAH, HOPPER, WALKER2D, WALKER2D_V5};
use tiltrl_envs::random::Stream;

pub const STATES: usize = 10_000;

pub fn robot(id: &str) -> &'static RobotDescription {
    match id {
        "halfcheetah-v4" | "halfcheetah-v5" => &HALF_CHEETAH,
        "hopper-v4" | "hopper-v5" => &HOPPER,
        "walker2d-v4" => &WALKER2D,
        _ => &WALKER2D_V5,
    }
}

/// A random state: mostly near the ground, some deep in it, joints up to 0.1 rad beyond their limits (tests/mujoco.rs has
/// the same distribution). Hopper's links then often touch one another.
pub fn random_state(robot: &RobotDescription, stream: &mut Stream) -> (Vec<f64>, Vec<f64>) {
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

pub fn random_actions(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| stream.uniform(-1.2, 1.2) as f32)
        .collect()
}

pub fn column(rows: &[f32], env: usize, count: usize) -> Vec<f32> {
    rows.iter().skip(env).step_by(count).copied().collect()
}

/// The largest difference of two states' numbers, relative to the largest number.
pub fn difference(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
    let numbers = |s: &(Vec<f64>, Vec<f64>)| [s.0.clone(), s.1.clone()].concat();
    let (a, b) = (numbers(a), numbers(b));
    let scale = a.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(x, y)| (x - y).abs() / scale);
    // A NaN is a difference too.
    differences.fold(0.0, |most, x| if x <= most { most } else { x })
}

pub fn say(name: &str, mode: Mode, differences: &[f64], wrong: usize) {
    let at = |share: f64| differences[(share * (differences.len() - 1) as f64) as usize];
    eprintln!(
        "{name} {mode}: median {:.1e}, 99 % {:.1e}, 99.9 % {:.1e}, worst {:.1e}; {wrong} rewards or ends differ",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
