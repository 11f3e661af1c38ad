//! MountainCarContinuous-v0: rock a car out of a valley with too weak a motor, on little fuel.
//!
//! v ← v + 0.0015·u − 0.0025·cos 3x, x ← x + v, in f32 as in Gymnasium (`classic_control/continuous_mountain_car.py`). A. Moore, "Efficient
//! Memory-Based Learning for Robot Control", 1990. The first position is rounded to f32 here; Gymnasium rounds it after
//! one step.

use crate::env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
use crate::random::Stream;
use crate::render::{Scene, Shape, scene_palette as palette};

pub(crate) const POSITION: [f32; 2] = [-1.2, 0.6];
pub(crate) const MAX_SPEED: f32 = 0.07;
pub(crate) const GOAL: f32 = 0.45;
pub(crate) const POWER: f32 = 0.0015;
pub(crate) const SLOPE: f64 = 0.0025;
pub(crate) const FUEL_COST: f64 = 0.1;
pub(crate) const GOAL_REWARD: f64 = 100.0;
/// Where the first position lies.
pub(crate) const START: [f64; 2] = [-0.6, -0.4];

/// The car in the valley.
#[derive(Clone, Debug)]
pub struct MountainCar {
    spec: EnvSpec,
    position: f32,
    velocity: f32,
}

impl MountainCar {
    /// A car at rest at the bottom.
    pub fn new() -> Self {
        Self {
            spec: spec(),
            position: -0.5,
            velocity: 0.0,
        }
    }
}

impl Default for MountainCar {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for MountainCar {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.position = Stream::new(seed).uniform(START[0], START[1]) as f32;
        self.velocity = 0.0;
        observation.copy_from_slice(&[self.position, self.velocity]);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let [action] = action else {
            panic!("the mountain car has one action")
        };
        let slope = SLOPE * libm::cos(f64::from(3.0 * self.position));
        let gain = action.clamp(-1.0, 1.0) * POWER - slope as f32;
        self.velocity = (self.velocity + gain).clamp(-MAX_SPEED, MAX_SPEED);
        self.position = (self.position + self.velocity).clamp(POSITION[0], POSITION[1]);
        if self.position == POSITION[0] && self.velocity < 0.0 {
            self.velocity = 0.0;
        }
        observation.copy_from_slice(&[self.position, self.velocity]);
        let terminated = self.position >= GOAL && self.velocity >= 0.0;
        let fuel = FUEL_COST * f64::from(*action) * f64::from(*action);
        Step {
            reward: if terminated { GOAL_REWARD } else { 0.0 } - fuel,
            terminated,
        }
    }
}

impl Stateful for MountainCar {
    fn state_dims(&self) -> [usize; 2] {
        [1, 1]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        (self.position, self.velocity) = (position[0] as f32, velocity[0] as f32);
    }

    fn state(&self) -> Joints {
        Joints {
            position: vec![f64::from(self.position)],
            velocity: vec![f64::from(self.velocity)],
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        observation.copy_from_slice(&[f64::from(self.position), f64::from(self.velocity)]);
    }

    fn scene(&self) -> Scene {
        let at = |x: f64| [x, 0.45 * libm::sin(3.0 * x) + 0.55];
        let grid = |k: i32| -1.2 + 0.02 * f64::from(k);
        let mut shapes: Vec<Shape> = (0..90)
            .map(|k| Shape::Capsule {
                from: at(grid(k)),
                to: at(grid(k + 1)),
                radius: 0.01,
                colour: palette::FLOOR,
            })
            .collect();
        for (x, radius, colour) in [
            (f64::from(GOAL), 0.03, palette::GOAL),
            (f64::from(self.position), 0.04, palette::BODY),
        ] {
            let [from, to] = [[at(x)[0], at(x)[1] + radius]; 2];
            shapes.push(Shape::Capsule {
                from,
                to,
                radius,
                colour,
            });
        }
        Scene {
            centre: [-0.3, 0.6],
            size: [1.9, 1.2],
            shapes,
        }
    }
}

pub(crate) fn spec() -> EnvSpec {
    let speed = f64::from(MAX_SPEED);
    EnvSpec {
        id: "mountaincar-continuous-v0".into(),
        observation_dim: 2,
        action_dim: 1,
        horizon: 999,
        timestep: 1.0,
        engine: "analytic".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: None,
        reference: None,
        observation: vec![
            Component::bounded("position", "", POSITION.map(f64::from)),
            Component::bounded("velocity", "", [-speed, speed]),
        ],
        action: vec![Component::bounded("force", "", [-1.0, 1.0])],
        rules: Rules {
            summary:
                "Rock a car out of a valley whose slope is too steep for its motor, on little fuel."
                    .into(),
            reward: "100 on reaching the goal, − 0.1·action² every step".into(),
            start: "position uniform in [−0.6, −0.4), velocity 0".into(),
            termination: "position ≥ 0.45 with velocity ≥ 0".into(),
            versions:
                "v0. The first position is rounded to f32 at once (Gymnasium: after one step)."
                    .into(),
            source: "gymnasium/envs/classic_control/continuous_mountain_car.py (MIT)".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushing_right_alone_does_not_reach_the_goal_but_rocking_does() {
        let mut car = MountainCar::new();
        let mut observation = [0.0; 2];
        car.reset(0, &mut observation);
        assert!((0..999).all(|_| !car.step(&[1.0], &mut observation).terminated));
        car.reset(0, &mut observation);
        let steps = (0..999).position(|_| {
            let action = if observation[1] >= 0.0 { 1.0 } else { -1.0 };
            car.step(&[action], &mut observation).terminated
        });
        assert!(steps.is_some_and(|steps| steps < 200), "{steps:?}");
    }
}
