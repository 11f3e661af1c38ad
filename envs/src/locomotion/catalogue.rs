//! The tasks by name: robot, rules and specification put together.

use super::rules::{self, LocomotionRules};
use super::task::{Precision, Task};
use crate::env::{Component, EnvSpec, Rules};
use crate::planar::description::{JointKind, RobotDescription};
use crate::planar::robots::{HALF_CHEETAH, HOPPER, WALKER2D, WALKER2D_V5};
use crate::planar::{Margin, compile};
use crate::scores::{self, ReferenceScores};
use std::sync::Arc;

/// Which of Gymnasium's rule sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// v4: what D4RL calls v2.
    V4,
    /// v5: no alive bonus on the terminating step; Walker2d has another foot friction.
    V5,
}

/// Returns HalfCheetah: nine degrees of freedom, six motors.
pub fn half_cheetah(variant: Variant, margin: Margin) -> Arc<Task<9>> {
    let words = Words {
        id: ["halfcheetah-v4", "halfcheetah-v5"],
        summary: "A two-legged planar robot runs forward as fast as it can.",
        versions: "v5 differs from v4 in the information beside the reward only. D4RL's v2 is v4.",
        reference: scores::HALF_CHEETAH,
    };
    task(&HALF_CHEETAH, rules::HALF_CHEETAH, variant, margin, words)
}

/// Returns Hopper: six degrees of freedom, three motors.
pub fn hopper(variant: Variant, margin: Margin) -> Arc<Task<6>> {
    let words = Words {
        id: ["hopper-v4", "hopper-v5"],
        summary: "A planar one-legged robot hops forward without falling.",
        versions: "v5 pays no alive bonus on the step that terminates. D4RL's v2 is v4 under the margin rule max; \
                   MuJoCo from 3.6.0 has the rule sum, which changes the physics.",
        reference: scores::HOPPER,
    };
    task(&HOPPER, rules::HOPPER, variant, margin, words)
}

/// Returns Walker2d: nine degrees of freedom, six motors.
pub fn walker2d(variant: Variant, margin: Margin) -> Arc<Task<9>> {
    let words = Words {
        id: ["walker2d-v4", "walker2d-v5"],
        summary: "A planar biped walks forward without falling.",
        versions: "v5 pays no alive bonus on the step that terminates and has a foot friction of 1.9 on both feet \
                   (v4: 0.9 on the right one). D4RL's v2 is v4.",
        reference: scores::WALKER2D,
    };
    let robot = match variant {
        Variant::V4 => &WALKER2D,
        Variant::V5 => &WALKER2D_V5,
    };
    task(robot, rules::WALKER2D, variant, margin, words)
}

struct Words {
    id: [&'static str; 2],
    summary: &'static str,
    versions: &'static str,
    reference: ReferenceScores,
}

fn task<const N: usize>(
    robot: &'static RobotDescription,
    rules: LocomotionRules,
    variant: Variant,
    margin: Margin,
    words: Words,
) -> Arc<Task<N>> {
    let (rules, id) = match variant {
        Variant::V4 => (rules, words.id[0]),
        Variant::V5 => (rules.v5(), words.id[1]),
    };
    let spec = EnvSpec {
        id: id.into(),
        observation_dim: 2 * N - 1,
        action_dim: robot.motors.len(),
        horizon: 1000,
        timestep: robot.timestep * rules.frame_skip as f64,
        engine: "tiltrl-planar".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: Some(margin),
        reference: Some(words.reference),
        observation: observation(robot, &rules),
        action: robot
            .motors
            .iter()
            .map(|motor| {
                let torque = motor.gear * motor.control_limit;
                Component::bounded(
                    format!("torque of {}", motor.joint),
                    "N·m",
                    [-torque, torque],
                )
            })
            .collect(),
        rules: Rules {
            summary: words.summary.into(),
            reward: reward(&rules),
            start: start(&rules),
            termination: termination(&rules),
            versions: words.versions.into(),
            source: robot.source.into(),
        },
    };
    Arc::new(Task {
        spec,
        model: compile(robot, margin),
        rules,
        robot,
        precision: Precision::F64,
    })
}

fn observation(robot: &RobotDescription, rules: &LocomotionRules) -> Vec<Component> {
    let joints = || robot.bodies.iter().flat_map(|body| body.joints);
    let positions = joints().skip(1).map(|joint| match joint.kind {
        JointKind::Slide(_) => Component::unbounded(format!("position of {}", joint.name), "m"),
        JointKind::Hinge(_) => Component::unbounded(format!("angle of {}", joint.name), "rad"),
    });
    let clip = rules.velocity_clip.unwrap_or(f64::INFINITY);
    let velocities = joints().map(|joint| {
        let unit = if matches!(joint.kind, JointKind::Slide(_)) {
            "m/s"
        } else {
            "rad/s"
        };
        Component::bounded(format!("velocity of {}", joint.name), unit, [-clip, clip])
    });
    positions.chain(velocities).collect()
}

fn reward(rules: &LocomotionRules) -> String {
    let bonus = match &rules.health {
        None => "",
        Some(health) if health.bonus_on_last_step => {
            " + 1 (alive; also on the step that terminates)"
        }
        Some(_) => " + 1 (alive; not on the step that terminates)",
    };
    format!("forward velocity{bonus} − {}·Σ action²", rules.control_cost)
}

fn start(rules: &LocomotionRules) -> String {
    match rules.start {
        rules::StartNoise::Uniform(scale) => {
            format!(
                "the drawn pose; every position and velocity moved by a uniform number within ±{scale}"
            )
        }
        rules::StartNoise::UniformAndNormal(scale) => format!(
            "the drawn pose; positions moved by a uniform number within ±{scale}, velocities normal with deviation {scale}"
        ),
    }
}

fn termination(rules: &LocomotionRules) -> String {
    let Some(health) = &rules.health else {
        return "never".into();
    };
    let [low, high] = health.height;
    let height = if high.is_finite() {
        format!("{low} < height < {high} m")
    } else {
        format!("height > {low} m")
    };
    let bound = health
        .state_bound
        .map(|bound| format!(" and every other state component within ±{bound}"))
        .unwrap_or_default();
    format!("unless {height} and |angle| < {} rad{bound}", health.angle)
}
