//! Pendulum-v1: swing a pole up and hold it there with too weak a motor.
//!
//! θ̈ = 3g/(2l)·sin θ + 3/(ml²)·u with g = 10, m = l = 1, semi-implicit Euler of 0.05 s; θ = 0 is upright. The rules and the
//! mixed f32/f64 arithmetic are Gymnasium's (`classic_control/pendulum.py`).

use crate::env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
use crate::random::Stream;
use crate::render::{Scene, Shape, scene_palette as palette};
use std::f64::consts::{PI, TAU};

pub(crate) const MAX_SPEED: f64 = 8.0;
pub(crate) const MAX_TORQUE: f32 = 2.0;
pub(crate) const TIMESTEP: f64 = 0.05;
pub(crate) const GRAVITY: f64 = 10.0;
pub(crate) const EFFORT_COST: f32 = 0.001;
pub(crate) const SPEED_COST: f64 = 0.1;
/// The first speed lies within ± this.
pub(crate) const START_SPEED: f64 = 1.0;

/// Gymnasium's Pendulum-v1: a rod to be swung up and held.
#[derive(Clone, Debug)]
pub struct Pendulum {
    spec: EnvSpec,
    angle: f64,
    speed: f64,
}

impl Pendulum {
    /// A pendulum at rest, upright.
    pub fn new() -> Self {
        Self {
            spec: spec(),
            angle: 0.0,
            speed: 0.0,
        }
    }

    fn write(&self, observation: &mut [f32]) {
        let (sine, cosine) = libm::sincos(self.angle);
        observation.copy_from_slice(&[cosine as f32, sine as f32, self.speed as f32]);
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Pendulum {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let mut stream = Stream::new(seed);
        self.angle = stream.uniform(-PI, PI);
        self.speed = stream.uniform(-START_SPEED, START_SPEED);
        self.write(observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let [action] = action else {
            panic!("the pendulum has one action")
        };
        let torque = (action * MAX_TORQUE).clamp(-MAX_TORQUE, MAX_TORQUE);
        // Python's modulo: the result has the divisor's sign.
        let turned = libm::fmod(self.angle + PI, TAU);
        let turned = if turned < 0.0 { turned + TAU } else { turned };
        let from_upright = turned - PI;
        // The torque's terms are f32 in Gymnasium.
        let effort = f64::from(EFFORT_COST * (torque * torque));
        let cost = from_upright * from_upright + SPEED_COST * (self.speed * self.speed) + effort;
        let acceleration = 3.0 * GRAVITY / 2.0 * libm::sin(self.angle) + f64::from(3.0 * torque);
        self.speed = (self.speed + acceleration * TIMESTEP).clamp(-MAX_SPEED, MAX_SPEED);
        self.angle += self.speed * TIMESTEP;
        self.write(observation);
        Step {
            reward: -cost,
            terminated: false,
        }
    }
}

impl Stateful for Pendulum {
    fn state_dims(&self) -> [usize; 2] {
        [1, 1]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        (self.angle, self.speed) = (position[0], velocity[0]);
    }

    fn state(&self) -> Joints {
        Joints {
            position: vec![self.angle],
            velocity: vec![self.speed],
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        let (sine, cosine) = libm::sincos(self.angle);
        observation.copy_from_slice(&[cosine, sine, self.speed]);
    }

    fn scene(&self) -> Scene {
        let (sine, cosine) = libm::sincos(self.angle);
        // Angles turn counterclockwise, as in Gymnasium's pictures.
        let pole = Shape::Capsule {
            from: [0.0; 2],
            to: [-sine, cosine],
            radius: 0.08,
            colour: palette::BODY,
        };
        let pin = Shape::Capsule {
            from: [0.0; 2],
            to: [0.0; 2],
            radius: 0.04,
            colour: palette::FLOOR,
        };
        Scene {
            centre: [0.0; 2],
            size: [2.6; 2],
            shapes: vec![pole, pin],
        }
    }
}

pub(crate) fn spec() -> EnvSpec {
    EnvSpec {
        id: "pendulum-v1".into(),
        observation_dim: 3,
        action_dim: 1,
        horizon: 200,
        timestep: TIMESTEP,
        engine: "analytic".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: None,
        reference: None,
        observation: vec![
            Component::bounded("cosine of the angle from upright", "", [-1.0, 1.0]),
            Component::bounded("sine of the angle from upright", "", [-1.0, 1.0]),
            Component::bounded("angular velocity", "rad/s", [-MAX_SPEED, MAX_SPEED]),
        ],
        action: vec![Component::bounded("torque", "N·m", [-2.0, 2.0])],
        rules: Rules {
            summary:
                "Swing a pole up and hold it upright with a motor too weak to lift it at once."
                    .into(),
            reward: "−(angle² + 0.1·velocity² + 0.001·torque²), the angle from upright in [−π, π)"
                .into(),
            start: "angle uniform in [−π, π), velocity uniform in [−1, 1)".into(),
            termination: "never".into(),
            versions: "v1: gravity 10 m/s². The action in [−1, 1] is scaled to a torque of ±2 N·m."
                .into(),
            source: "gymnasium/envs/classic_control/pendulum.py (MIT)".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upright_pendulum_at_rest_stays_there_for_free() {
        let mut pendulum = Pendulum::new();
        let mut observation = [0.0; 3];
        let step = pendulum.step(&[0.0], &mut observation);
        assert_eq!((step.reward, observation), (0.0, [1.0, 0.0, 0.0]));
    }

    #[test]
    fn a_hanging_pendulum_pays_the_square_of_half_a_turn() {
        let mut pendulum = Pendulum::new();
        pendulum.set_state(&[PI], &[0.0]);
        let step = pendulum.step(&[0.5], &mut [0.0; 3]);
        assert!((step.reward + PI * PI + 0.001).abs() < 1e-9);
        assert!((pendulum.state().velocity[0] - 3.0 * 0.05).abs() < 1e-9);
    }
}
