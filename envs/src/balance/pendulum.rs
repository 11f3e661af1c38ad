//! InvertedPendulum: keep a pole upright by pushing its cart.

use super::environment::{Balance, Rule, Snapshot, Words};
use crate::env::{Component, Rules, Step};
use crate::locomotion::Variant;
use crate::planar::robots::INVERTED_PENDULUM;
use crate::random::Stream;
use crate::render::{Shape, scene_palette as palette};

/// Starts are moved by uniform numbers within ± this, m, rad, m/s or rad/s.
pub(crate) const START_NOISE: f64 = 0.01;
/// How far the pole may lean, rad.
pub(crate) const LEAN: f64 = 0.2;

/// Alive while the pole leans less than 0.2 rad.
pub struct PendulumRule(Variant);

impl Rule<2> for PendulumRule {
    fn start(&self, stream: &mut Stream, first: &mut Snapshot<2>) {
        for value in first.position.iter_mut().chain(&mut first.velocity) {
            *value += stream.uniform(-START_NOISE, START_NOISE);
        }
    }

    fn observe(&self, now: &Snapshot<2>, observation: &mut [f64]) {
        observation[..2].copy_from_slice(&now.position);
        observation[2..].copy_from_slice(&now.velocity);
    }

    fn judge(&self, _: &Snapshot<2>, now: &Snapshot<2>, _: &[f32]) -> Step {
        let finite = now
            .position
            .iter()
            .chain(&now.velocity)
            .all(|x| x.is_finite());
        let terminated = !finite || now.position[1].abs() > LEAN;
        let paid = self.0 == Variant::V4 || !terminated;
        Step {
            reward: f64::from(u8::from(paid)),
            terminated,
        }
    }

    fn scenery(&self, _: &Snapshot<2>) -> Vec<Shape> {
        let colour = palette::FLOOR;
        vec![Shape::Capsule {
            from: [-1.0, 0.0],
            to: [1.0, 0.0],
            radius: 0.02,
            colour,
        }]
    }

    fn view(&self) -> [f64; 3] {
        [0.2, 2.6, 1.6]
    }
}

/// InvertedPendulum-v4 or -v5.
pub fn inverted_pendulum(variant: Variant) -> Balance<2, PendulumRule> {
    let words = Words {
        name: "invertedpendulum",
        variant,
        horizon: 1000,
        observation: vec![
            Component::unbounded("position of the cart", "m"),
            Component::unbounded("angle of the pole", "rad"),
            Component::unbounded("velocity of the cart", "m/s"),
            Component::unbounded("angular velocity of the pole", "rad/s"),
        ],
        rules: Rules {
            summary: "Keep a pole upright by pushing its cart.".into(),
            reward: "1 every step".into(),
            start: "upright at rest; every position and velocity moved by a uniform number within ±0.01".into(),
            termination: "|angle of the pole| > 0.2 rad".into(),
            versions: "v5 pays nothing on the step that terminates. The action in [−1, 1] is Gymnasium's in [−3, 3]."
                .into(),
            source: String::new(),
        },
    };
    Balance::new(&INVERTED_PENDULUM, PendulumRule(variant), 2, words)
}
