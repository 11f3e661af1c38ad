//! InvertedDoublePendulum: keep two poles, one on the other, upright by pushing their cart.

use super::environment::{Balance, Rule, Snapshot, Words};
use crate::env::{Component, Rules, Step};
use crate::locomotion::Variant;
use crate::planar::robots::INVERTED_DOUBLE_PENDULUM;
use crate::random::Stream;
use crate::render::{Shape, scene_palette as palette};

/// Length of each pole, m.
pub(crate) const POLE: f64 = 0.6;
/// Positions start within ± this of upright, m or rad.
pub(crate) const START_NOISE: f64 = 0.1;
/// Standard deviation of the velocities at the start, m/s or rad/s.
pub(crate) const START_SPEED: f64 = 0.1;
/// Velocities and forces are observed within ± this.
pub(crate) const CLIP: f64 = 10.0;
/// Reward of every step on which the poles stand.
pub(crate) const ALIVE: f64 = 10.0;
/// At this height of the tip the task ends, m.
pub(crate) const LOWEST: f64 = 1.0;
/// The height from which distances are punished, m.
pub(crate) const HIGHEST: f64 = 2.0;
/// Cost of the square of the tip's way to the side.
pub(crate) const SIDEWAYS_COST: f64 = 0.01;
/// Costs of the squares of the lower and the upper pole's angular velocity.
pub(crate) const RATE_COSTS: [f64; 2] = [1e-3, 5e-3];

/// Alive while the tip is higher than a metre.
pub struct DoublePendulumRule(Variant);

impl Rule<3> for DoublePendulumRule {
    fn start(&self, stream: &mut Stream, first: &mut Snapshot<3>) {
        for position in &mut first.position {
            *position += stream.uniform(-START_NOISE, START_NOISE);
        }
        for velocity in &mut first.velocity {
            *velocity += START_SPEED * stream.normal();
        }
    }

    fn observe(&self, now: &Snapshot<3>, observation: &mut [f64]) {
        let clip = |x: f64| x.clamp(-CLIP, CLIP);
        observation[0] = now.position[0];
        for pole in 0..2 {
            let (sine, cosine) = libm::sincos(now.position[1 + pole]);
            observation[1 + pole] = sine;
            observation[3 + pole] = cosine;
        }
        for (slot, &velocity) in observation[5..8].iter_mut().zip(&now.velocity) {
            *slot = clip(velocity);
        }
        for (slot, &force) in observation[8..].iter_mut().zip(&now.constraint_force) {
            *slot = clip(force);
        }
    }

    fn judge(&self, _: &Snapshot<3>, now: &Snapshot<3>, _: &[f32]) -> Step {
        let [cart, lower, upper] = now.pose;
        let (lower_sine, lower_cosine) = libm::sincos(lower);
        let (upper_sine, upper_cosine) = libm::sincos(lower + upper);
        let x = cart + POLE * (lower_sine + upper_sine);
        let height = POLE * (lower_cosine + upper_cosine);
        let terminated = height <= LOWEST;
        let alive = if self.0 == Variant::V4 || !terminated {
            ALIVE
        } else {
            0.0
        };
        let distance = SIDEWAYS_COST * x * x + (height - HIGHEST) * (height - HIGHEST);
        let [_, v1, v2] = now.velocity;
        let [lower_cost, upper_cost] = RATE_COSTS;
        Step {
            reward: alive - distance - (lower_cost * v1 * v1 + upper_cost * v2 * v2),
            terminated,
        }
    }

    fn scenery(&self, _: &Snapshot<3>) -> Vec<Shape> {
        let colour = palette::FLOOR;
        vec![Shape::Capsule {
            from: [-1.0, 0.0],
            to: [1.0, 0.0],
            radius: 0.02,
            colour,
        }]
    }

    fn view(&self) -> [f64; 3] {
        [0.3, 2.6, 2.6]
    }
}

/// InvertedDoublePendulum-v4 or -v5.
pub fn inverted_double_pendulum(variant: Variant) -> Balance<3, DoublePendulumRule> {
    let mut observation = vec![Component::unbounded("position of the cart", "m")];
    for part in ["sine", "cosine"] {
        for pole in ["lower pole", "upper pole against the lower"] {
            observation.push(Component::bounded(
                format!("{part} of the angle of the {pole}"),
                "",
                [-1.0, 1.0],
            ));
        }
    }
    observation.push(Component::bounded(
        "velocity of the cart",
        "m/s",
        [-CLIP, CLIP],
    ));
    for pole in ["lower", "upper"] {
        observation.push(Component::bounded(
            format!("angular velocity of the {pole} pole"),
            "rad/s",
            [-CLIP, CLIP],
        ));
    }
    observation.push(Component::bounded(
        "force of the rail's end on the cart",
        "N",
        [-CLIP, CLIP],
    ));
    if variant == Variant::V4 {
        for pole in ["lower", "upper"] {
            let name = format!("constraint torque on the {pole} pole (zero)");
            observation.push(Component::bounded(name, "N·m", [-CLIP, CLIP]));
        }
    }
    let words = Words {
        name: "inverteddoublependulum",
        variant,
        horizon: 1000,
        observation,
        rules: Rules {
            summary: "Keep two poles, one on the other, upright by pushing their cart.".into(),
            reward: "10 − 0.01·x² − (z − 2)² − 1e-3·ω₁² − 5e-3·ω₂², (x, z) the upper pole's tip".into(),
            start: "upright; positions moved by a uniform number within ±0.1, velocities normal with deviation 0.1".into(),
            termination: "the tip is at 1 m or lower".into(),
            versions: "v5 pays no 10 on the step that terminates and observes one constraint force instead of three."
                .into(),
            source: String::new(),
        },
    };
    Balance::new(
        &INVERTED_DOUBLE_PENDULUM,
        DoublePendulumRule(variant),
        5,
        words,
    )
}
