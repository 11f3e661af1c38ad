//! The rules under which a user's own model runs: Gymnasium's for Ant and Humanoid, as numbers.

use super::readings::Reading;

/// The distribution of the first velocities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Velocity {
    /// Uniform within ± the start noise.
    Uniform,
    /// Normal with the start noise as its deviation.
    Normal,
}

/// Whose way forward is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The first body's frame.
    FirstBody,
    /// The whole robot's centre of mass.
    CentreOfMass,
}

/// What is observed after positions and velocities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What MuJoCo computes.
    pub reading: Reading,
    /// How many of its first numbers are left out.
    pub skip: usize,
}

/// Which position is the height, and the heights at which an episode goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthyRange {
    /// Index among the positions.
    pub position: usize,
    /// Lowest height, m.
    pub low: f64,
    /// Greatest height, m.
    pub high: f64,
}

/// The rules of a user's task.
#[derive(Clone, Debug, PartialEq)]
pub struct MjcfRules {
    /// The id in the specification.
    pub id: String,
    /// Steps of an episode.
    pub horizon: usize,
    /// Simulation steps per environment step.
    pub frame_skip: usize,
    /// How many of the first positions are not observed.
    pub hidden_positions: usize,
    /// What is observed after positions and velocities.
    pub observed: Vec<Observed>,
    /// Which position is the height, and between which values the episode goes on; `None`: it always does.
    pub healthy: Option<HealthyRange>,
    /// Whether it still goes on at these values themselves.
    pub healthy_at_bounds: bool,
    /// Whose way forward is paid.
    pub progress: Progress,
    /// Weight of the forward velocity, per m/s.
    pub forward_weight: f64,
    /// Reward of every step on which the robot is healthy.
    pub alive_bonus: f64,
    /// Whether that bonus is also paid on the step that terminates (v4 pays it, v5 does not).
    pub bonus_on_last_step: bool,
    /// Weight of the squared controls.
    pub control_cost: f64,
    /// Whether that cost is computed in f32, from the action, as Gymnasium's Ant does it.
    pub control_cost_in_f32: bool,
    /// Weight of the squared contact forces and torques.
    pub contact_cost: f64,
    /// The most that they cost in a step.
    pub contact_cost_limit: f64,
    /// Contact forces and torques are clipped to ± this.
    pub contact_clip: f64,
    /// The control for an action of one.
    pub control_limit: f64,
    /// Uniform noise of the first positions, and the scale of the first velocities.
    pub start_noise: f64,
    /// The distribution of the first velocities.
    pub start_velocity: Velocity,
    /// How these rules differ from Gymnasium's, for the documentation.
    pub versions: String,
}

// What v5 leaves out of an observation: the world's row, and the free joint's motor forces.
const WORLD_INERTIA: usize = 10;
const WORLD_VELOCITY: usize = 6;
const FREE_JOINT: usize = 6;
const WORLD_FORCE: usize = 6;

impl MjcfRules {
    /// The ids of the rules below.
    pub const IDS: [&'static str; 4] = ["ant-v4", "ant-v5", "humanoid-v4", "humanoid-v5"];

    /// The rules of an id, or `None` if it is none of [`Self::IDS`].
    pub fn of(id: &str) -> Option<Self> {
        match id.to_lowercase().as_str() {
            "ant-v4" => Some(Self::ant()),
            "ant-v5" => Some(Self::ant_v5()),
            "humanoid-v4" => Some(Self::humanoid()),
            "humanoid-v5" => Some(Self::humanoid_v5()),
            _ => None,
        }
    }

    /// Ant-v4, for Gymnasium's `ant.xml`: its default, without contact forces.
    pub fn ant() -> Self {
        Self {
            id: "ant-v4".into(),
            horizon: 1000,
            frame_skip: 5,
            hidden_positions: 2,
            observed: Vec::new(),
            healthy: Some(HealthyRange {
                position: 2,
                low: 0.2,
                high: 1.0,
            }),
            healthy_at_bounds: true,
            progress: Progress::FirstBody,
            forward_weight: 1.0,
            alive_bonus: 1.0,
            bonus_on_last_step: true,
            control_cost: 0.5,
            control_cost_in_f32: true,
            contact_cost: 0.0,
            contact_cost_limit: f64::INFINITY,
            contact_clip: 1.0,
            control_limit: 1.0,
            start_noise: 0.1,
            start_velocity: Velocity::Normal,
            versions: "v4, Gymnasium's default (use_contact_forces=False): no contact forces, bonus also on the step that \
                       terminates. v5 observes and charges contact forces."
                .into(),
        }
    }

    /// Ant-v5: contact forces are observed and cost.
    pub fn ant_v5() -> Self {
        Self {
            id: "ant-v5".into(),
            observed: vec![Observed {
                reading: Reading::ContactForce,
                skip: WORLD_FORCE,
            }],
            bonus_on_last_step: false,
            contact_cost: 5e-4,
            versions: "v5: observes contact forces and torques, clipped to ±1, and charges 5e-4 of their squares; no bonus on the \
                       step that terminates."
                .into(),
            ..Self::ant()
        }
    }

    /// Humanoid-v4, for Gymnasium's `humanoid.xml`.
    pub fn humanoid() -> Self {
        Self {
            id: "humanoid-v4".into(),
            observed: observed_of_humanoid([0; 4]),
            healthy: Some(HealthyRange {
                position: 2,
                low: 1.0,
                high: 2.0,
            }),
            healthy_at_bounds: false,
            progress: Progress::CentreOfMass,
            forward_weight: 1.25,
            alive_bonus: 5.0,
            control_cost: 0.1,
            control_cost_in_f32: false,
            contact_clip: f64::INFINITY,
            control_limit: 0.4,
            start_noise: 0.01,
            start_velocity: Velocity::Uniform,
            versions: "v4: contact forces are observed but cost nothing; bonus also on the step that terminates.".into(),
            ..Self::ant()
        }
    }

    /// Humanoid-v5: contact forces cost, and the rows that are always zero are not observed.
    pub fn humanoid_v5() -> Self {
        Self {
            id: "humanoid-v5".into(),
            observed: observed_of_humanoid([
                WORLD_INERTIA,
                WORLD_VELOCITY,
                FREE_JOINT,
                WORLD_FORCE,
            ]),
            bonus_on_last_step: false,
            contact_cost: 5e-7,
            contact_cost_limit: 10.0,
            versions: "v5: charges 5e-7 of the squared contact forces and torques, at most 10; the world's rows and the free joint's \
                       motor forces, all zero, are not observed; no bonus on the step that terminates."
                .into(),
            ..Self::humanoid()
        }
    }
}

fn observed_of_humanoid(skip: [usize; 4]) -> Vec<Observed> {
    let readings = [
        Reading::Inertia,
        Reading::Velocity,
        Reading::MotorForce,
        Reading::ContactForce,
    ];
    let pairs = readings.into_iter().zip(skip);
    pairs
        .map(|(reading, skip)| Observed { reading, skip })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_rules_of_its_name_and_v5_pays_no_last_bonus() {
        for id in MjcfRules::IDS {
            let rules = MjcfRules::of(id).expect("listed");
            assert_eq!(rules.id, id);
            assert_eq!(rules.bonus_on_last_step, id.ends_with("v4"));
        }
        assert!(MjcfRules::of("hopper-v4").is_none());
    }
}
