//! The specification of a user's model: what its page shows.

use super::library::Model;
use super::mjcf_rules::{HealthyRange, MjcfRules, Observed, Progress, Velocity};
use super::readings::{Place, Reading};
use crate::env::{Component, EnvSpec, Rules};
use crate::scores;

/// The specification of a model under the rules; `places` belong to the rules' `observed`.
pub fn write(
    rules: &MjcfRules,
    model: &Model,
    places: &[Place],
    timestep: f64,
    file: &str,
) -> EnvSpec {
    let positions = (rules.hidden_positions..model.num_positions)
        .map(|k| Component::unbounded(format!("position {k}"), ""));
    let velocities =
        (0..model.num_velocities).map(|k| Component::unbounded(format!("velocity {k}"), ""));
    let parts = rules.observed.iter().zip(places);
    let readings = parts.flat_map(|(part, place)| {
        (part.skip..place.len).map(|k| component(*part, k, rules.contact_clip))
    });
    let observation: Vec<Component> = positions.chain(velocities).chain(readings).collect();
    let limit = rules.control_limit;
    EnvSpec {
        id: rules.id.clone(),
        observation_dim: observation.len(),
        action_dim: model.num_controls,
        horizon: rules.horizon,
        timestep,
        engine: "mujoco".into(),
        engine_version: model.library().version(),
        margin: None,
        reference: rules.id.starts_with("ant-").then_some(scores::ANT),
        observation,
        action: (0..model.num_controls)
            .map(|k| Component::bounded(format!("control {k}"), "", [-limit, limit]))
            .collect(),
        rules: words(rules, file),
    }
}

/// Number `k` of a reading, by name and unit.
fn component(part: Observed, k: usize, clip: f64) -> Component {
    let of_body =
        |width: usize, names: &[&str]| format!("body {}: {}", k / width, names[k % width]);
    let unit =
        |angular: &'static str, linear: &'static str| if k % 6 < 3 { angular } else { linear };
    match part.reading {
        Reading::SubtreeCentre => {
            Component::unbounded(of_body(3, &["centre x", "centre y", "centre z"]), "m")
        }
        Reading::Inertia => {
            let names = [
                "inertia xx",
                "inertia yy",
                "inertia zz",
                "inertia xy",
                "inertia xz",
                "inertia yz",
                "first moment x",
                "first moment y",
                "first moment z",
                "mass",
            ];
            let unit = match k % 10 {
                0..6 => "kg·m²",
                6..9 => "kg·m",
                _ => "kg",
            };
            Component::unbounded(of_body(10, &names), unit)
        }
        Reading::Velocity => {
            let names = [
                "angular velocity x",
                "angular velocity y",
                "angular velocity z",
                "velocity x",
                "velocity y",
                "velocity z",
            ];
            Component::unbounded(of_body(6, &names), unit("rad/s", "m/s"))
        }
        Reading::ContactForce => {
            let names = [
                "contact torque x",
                "contact torque y",
                "contact torque z",
                "contact force x",
                "contact force y",
                "contact force z",
            ];
            Component::bounded(of_body(6, &names), unit("N·m", "N"), [-clip, clip])
        }
        Reading::MotorForce => Component::unbounded(format!("motor force on velocity {k}"), "N·m"),
    }
}

fn words(rules: &MjcfRules, file: &str) -> Rules {
    let noise = rules.start_noise;
    let velocities = match rules.start_velocity {
        Velocity::Uniform => format!("velocities uniform within ±{noise}"),
        Velocity::Normal => format!("velocities normal with deviation {noise}"),
    };
    let last = if rules.bonus_on_last_step {
        ""
    } else {
        " (not on the step that terminates)"
    };
    let whose = match rules.progress {
        Progress::FirstBody => "the first body",
        Progress::CentreOfMass => "the centre of mass",
    };
    let mut contacts = String::new();
    if rules.contact_cost > 0.0 {
        contacts = format!(" − {:e}·Σ (contact force or torque)²", rules.contact_cost);
        if rules.contact_clip.is_finite() {
            contacts += &format!(", each clipped to ±{}", rules.contact_clip);
        }
        if rules.contact_cost_limit.is_finite() {
            contacts += &format!(", at most {}", rules.contact_cost_limit);
        }
    }
    let within = if rules.healthy_at_bounds { "≤" } else { "<" };
    Rules {
        summary: format!("Run forward with the model of {file}."),
        reward: format!(
            "{}·forward velocity of {whose} + {}{last} − {}·Σ control²{contacts}",
            rules.forward_weight, rules.alive_bonus, rules.control_cost
        ),
        start: format!("positions moved by a uniform number within ±{noise}, {velocities}"),
        termination: match rules.healthy {
            Some(range) => {
                let HealthyRange {
                    position,
                    low,
                    high,
                } = range;
                format!("unless {low} {within} position {position} {within} {high}")
            }
            None => "never".into(),
        },
        versions: rules.versions.clone(),
        source: file.into(),
    }
}
