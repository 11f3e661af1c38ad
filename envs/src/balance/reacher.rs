//! Reacher: bring an arm's fingertip to a target on a table.

use super::environment::{Balance, Rule, Snapshot, Words};
use crate::env::{Component, Rules, Step};
use crate::locomotion::Variant;
use crate::planar::robots::REACHER;
use crate::random::Stream;
use crate::render::{Shape, scene_palette as palette};

/// Length of the upper arm and of the lower arm with the fingertip, m.
pub(crate) const ARM: [f64; 2] = [0.1, 0.11];
/// Joints start within ± this of the drawn pose, rad.
pub(crate) const START_NOISE: f64 = 0.1;
/// Velocities start within ± this, rad/s.
pub(crate) const START_SPEED: f64 = 0.005;
/// Radius of the disc in which targets lie, m.
pub(crate) const DISC: f64 = 0.2;

/// Rewards closeness to the target.
pub struct ReacherRule(Variant);

/// The fingertip's place relative to the target, m.
fn gap(now: &Snapshot<2>) -> [f64; 2] {
    let (upper_sine, upper_cosine) = libm::sincos(now.pose[0]);
    let (lower_sine, lower_cosine) = libm::sincos(now.pose[0] + now.pose[1]);
    [
        ARM[0] * upper_cosine + ARM[1] * lower_cosine - now.target[0],
        ARM[0] * upper_sine + ARM[1] * lower_sine - now.target[1],
    ]
}

impl Rule<2> for ReacherRule {
    fn start(&self, stream: &mut Stream, first: &mut Snapshot<2>) {
        for position in &mut first.position {
            *position += stream.uniform(-START_NOISE, START_NOISE);
        }
        first.target = loop {
            let target = [stream.uniform(-DISC, DISC), stream.uniform(-DISC, DISC)];
            if libm::hypot(target[0], target[1]) < DISC {
                break target;
            }
        };
        for velocity in &mut first.velocity {
            *velocity += stream.uniform(-START_SPEED, START_SPEED);
        }
    }

    fn observe(&self, now: &Snapshot<2>, observation: &mut [f64]) {
        for joint in 0..2 {
            let (sine, cosine) = libm::sincos(now.position[joint]);
            observation[joint] = cosine;
            observation[2 + joint] = sine;
        }
        observation[4..6].copy_from_slice(&now.target);
        observation[6..8].copy_from_slice(&now.velocity);
        observation[8..10].copy_from_slice(&gap(now));
        if self.0 == Variant::V4 {
            observation[10] = 0.0;
        }
    }

    fn judge(&self, before: &Snapshot<2>, now: &Snapshot<2>, action: &[f32]) -> Step {
        let judged = if self.0 == Variant::V4 { before } else { now };
        let [x, y] = gap(judged);
        let effort: f32 = action.iter().map(|a| a * a).sum();
        Step {
            reward: -libm::hypot(x, y) - f64::from(effort),
            terminated: false,
        }
    }

    fn scenery(&self, now: &Snapshot<2>) -> Vec<Shape> {
        let [from, to] = [now.target; 2];
        vec![Shape::Capsule {
            from,
            to,
            radius: 0.015,
            colour: palette::GOAL,
        }]
    }

    fn view(&self) -> [f64; 3] {
        [0.0, 0.66, 0.66]
    }
}

/// Reacher-v4 or -v5.
pub fn reacher(variant: Variant) -> Balance<2, ReacherRule> {
    let joints = ["shoulder", "elbow"];
    let mut observation = Vec::new();
    for part in ["cosine", "sine"] {
        for joint in joints {
            let name = format!("{part} of the {joint}'s angle");
            observation.push(Component::bounded(name, "", [-1.0, 1.0]));
        }
    }
    for axis in ["x", "y"] {
        observation.push(Component::bounded(
            format!("{axis} of the target"),
            "m",
            [-DISC, DISC],
        ));
    }
    for joint in joints {
        observation.push(Component::unbounded(
            format!("velocity of the {joint}"),
            "rad/s",
        ));
    }
    for axis in ["x", "y"] {
        observation.push(Component::unbounded(
            format!("{axis} from target to fingertip"),
            "m",
        ));
    }
    if variant == Variant::V4 {
        observation.push(Component::unbounded(
            "z from target to fingertip (zero)",
            "m",
        ));
    }
    let words = Words {
        name: "reacher",
        variant,
        horizon: 50,
        observation,
        rules: Rules {
            summary: "Bring an arm's fingertip to a target on a table.".into(),
            reward: "−distance of fingertip and target − Σ action²".into(),
            start: "joints moved by a uniform number within ±0.1, velocities within ±0.005; target uniform in a disc of 0.2 m"
                .into(),
            termination: "never".into(),
            versions: "v4 rewards the distance before the step and observes a z that is always zero; v5 the one after it."
                .into(),
            source: String::new(),
        },
    };
    Balance::new(&REACHER, ReacherRule(variant), 2, words)
}
