//! Cart-pole swing-up: bring a hanging pole upright and keep it there by pushing its cart.
//!
//! The frictionless equations of A. Barto, R. Sutton, C. Anderson (1983) with the pole as a uniform rod, integrated by Runge–Kutta 4
//! in steps of 0.02 s; θ = 0 is upright. This crate's own task: no reference scores exist.

use crate::env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
use crate::random::Stream;
use crate::render::{Scene, Shape, scene_palette as palette};
use std::f64::consts::PI;

pub(crate) const GRAVITY: f64 = 9.81;
pub(crate) const CART_MASS: f64 = 1.0;
pub(crate) const POLE_MASS: f64 = 0.1;
/// Half the pole's length, m.
pub(crate) const HALF_LENGTH: f64 = 0.5;
pub(crate) const MAX_FORCE: f64 = 10.0;
pub(crate) const TIMESTEP: f64 = 0.02;
pub(crate) const TRACK: f64 = 2.4;
pub(crate) const CONTROL_COST: f64 = 0.001;
/// Every number of the first state lies within ± this of the hanging rest.
pub(crate) const START_NOISE: f64 = 0.05;

/// Cart position, pole angle, and their velocities.
type State = [f64; 4];

/// The cart with its pole.
#[derive(Clone, Debug)]
pub struct CartPole {
    spec: EnvSpec,
    state: State,
}

impl CartPole {
    /// A cart in the middle with the pole hanging.
    pub fn new() -> Self {
        Self {
            spec: spec(),
            state: [0.0, PI, 0.0, 0.0],
        }
    }

    fn write<T>(&self, observation: &mut [T], narrow: impl Fn(f64) -> T) {
        let [x, angle, velocity, spin] = self.state;
        let (sine, cosine) = libm::sincos(angle);
        for (slot, value) in observation
            .iter_mut()
            .zip([x, cosine, sine, velocity, spin])
        {
            *slot = narrow(value);
        }
    }
}

impl Default for CartPole {
    fn default() -> Self {
        Self::new()
    }
}

/// The state's time derivative under a force on the cart, N.
fn derivative(state: &State, force: f64) -> State {
    let [_, angle, velocity, spin] = *state;
    let (sine, cosine) = libm::sincos(angle);
    let total = CART_MASS + POLE_MASS;
    let push = (force + POLE_MASS * HALF_LENGTH * spin * spin * sine) / total;
    let spin_rate = (GRAVITY * sine - cosine * push)
        / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine * cosine / total));
    let acceleration = push - POLE_MASS * HALF_LENGTH * spin_rate * cosine / total;
    [velocity, spin, acceleration, spin_rate]
}

fn runge_kutta(state: &State, force: f64) -> State {
    let moved = |slope: &State, length: f64| -> State {
        std::array::from_fn(|k| state[k] + length * slope[k])
    };
    let first = derivative(state, force);
    let second = derivative(&moved(&first, 0.5 * TIMESTEP), force);
    let third = derivative(&moved(&second, 0.5 * TIMESTEP), force);
    let fourth = derivative(&moved(&third, TIMESTEP), force);
    let mean =
        std::array::from_fn(|k| (first[k] + 2.0 * second[k] + 2.0 * third[k] + fourth[k]) / 6.0);
    moved(&mean, TIMESTEP)
}

impl Env for CartPole {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let mut stream = Stream::new(seed);
        self.state =
            [0.0, PI, 0.0, 0.0].map(|rest| rest + stream.uniform(-START_NOISE, START_NOISE));
        self.write(observation, |x| x as f32);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let [action] = action else {
            panic!("the cart-pole has one action")
        };
        let action = f64::from(action.clamp(-1.0, 1.0));
        self.state = runge_kutta(&self.state, MAX_FORCE * action);
        self.write(observation, |x| x as f32);
        let upright = 0.5 * (1.0 + libm::cos(self.state[1]));
        let terminated = self.state[0].abs() > TRACK;
        Step {
            reward: upright - CONTROL_COST * action * action,
            terminated,
        }
    }
}

impl Stateful for CartPole {
    fn state_dims(&self) -> [usize; 2] {
        [2, 2]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.state = [position[0], position[1], velocity[0], velocity[1]];
    }

    fn state(&self) -> Joints {
        Joints {
            position: self.state[..2].to_vec(),
            velocity: self.state[2..].to_vec(),
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        self.write(observation, |x| x);
    }

    fn scene(&self) -> Scene {
        let [x, angle, ..] = self.state;
        let (sine, cosine) = libm::sincos(angle);
        let tip = [x + 2.0 * HALF_LENGTH * sine, 2.0 * HALF_LENGTH * cosine];
        let colour = palette::FLOOR;
        let shapes = vec![
            Shape::Capsule {
                from: [-TRACK, 0.0],
                to: [TRACK, 0.0],
                radius: 0.02,
                colour,
            },
            Shape::Rectangle {
                centre: [x, 0.0],
                half_size: [0.2, 0.1],
                colour: palette::LIMBS[0],
            },
            Shape::Capsule {
                from: [x, 0.0],
                to: tip,
                radius: 0.04,
                colour: palette::BODY,
            },
        ];
        Scene {
            centre: [0.0; 2],
            size: [5.4, 2.6],
            shapes,
        }
    }
}

pub(crate) fn spec() -> EnvSpec {
    EnvSpec {
        id: "cartpole-swingup-v0".into(),
        observation_dim: 5,
        action_dim: 1,
        horizon: 500,
        timestep: TIMESTEP,
        engine: "analytic".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: None,
        reference: None,
        observation: vec![
            Component::unbounded("position of the cart", "m"),
            Component::bounded("cosine of the pole's angle from upright", "", [-1.0, 1.0]),
            Component::bounded("sine of the pole's angle from upright", "", [-1.0, 1.0]),
            Component::unbounded("velocity of the cart", "m/s"),
            Component::unbounded("angular velocity of the pole", "rad/s"),
        ],
        action: vec![Component::bounded("force on the cart", "N", [-MAX_FORCE, MAX_FORCE])],
        rules: Rules {
            summary: "Swing a hanging pole up and keep it upright by pushing its cart.".into(),
            reward: "(1 + cos angle)/2 − 0.001·action²".into(),
            start: "hanging at rest in the middle; each state component moved by a uniform number within ±0.05".into(),
            termination: "the cart leaves ±2.4 m".into(),
            versions: "v0: this crate's own task.".into(),
            source: "equations of Barto, Sutton and Anderson (1983), uniform rod, no friction".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energy([_, angle, velocity, spin]: State) -> f64 {
        // Rod: kinetic energy of its centre and about it, potential energy of its centre.
        let (sine, cosine) = libm::sincos(angle);
        let centre = [
            velocity + HALF_LENGTH * spin * cosine,
            -HALF_LENGTH * spin * sine,
        ];
        let inertia = POLE_MASS * HALF_LENGTH * HALF_LENGTH / 3.0;
        0.5 * CART_MASS * velocity * velocity
            + 0.5 * POLE_MASS * (centre[0] * centre[0] + centre[1] * centre[1])
            + 0.5 * inertia * spin * spin
            + POLE_MASS * GRAVITY * HALF_LENGTH * cosine
    }

    #[test]
    fn without_a_force_the_energy_stays() {
        let mut state = [0.1, 0.4, 0.2, -0.3];
        let start = energy(state);
        for _ in 0..500 {
            state = runge_kutta(&state, 0.0);
        }
        assert!(
            (energy(state) - start).abs() < 1e-5,
            "{} {start}",
            energy(state)
        );
    }

    #[test]
    fn a_constant_push_drives_the_cart_off_the_track() {
        let mut cart = CartPole::new();
        let mut observation = [0.0; 5];
        cart.reset(0, &mut observation);
        assert!((0..500).any(|_| cart.step(&[1.0], &mut observation).terminated));
    }
}
