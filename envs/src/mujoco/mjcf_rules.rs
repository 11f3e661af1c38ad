//! The rules under which a user's own model runs: Gymnasium's for Ant and Humanoid, as numbers.

/// The distribution of the first velocities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Velocity {
    /// Uniform within ± the start noise.
    Uniform,
    /// Normal with the start noise as its deviation.
    Normal,
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
    /// Which position is the height, and between which values (inclusive) the episode goes on; `None`: it always does.
    pub healthy: Option<(usize, [f64; 2])>,
    /// Weight of the forward velocity of the first body, per m/s.
    pub forward_weight: f64,
    /// Reward of every step on which the robot is healthy.
    pub alive_bonus: f64,
    /// Whether that bonus is also paid on the step that terminates (v4 pays it, v5 does not).
    pub bonus_on_last_step: bool,
    /// Weight of the squared controls.
    pub control_cost: f32,
    /// The control for an action of one.
    pub control_limit: f64,
    /// Uniform noise of the first positions, and the scale of the first velocities.
    pub start_noise: f64,
    /// The distribution of the first velocities.
    pub start_velocity: Velocity,
    /// How these rules differ from Gymnasium's, for the documentation.
    pub versions: String,
}

impl MjcfRules {
    /// The ids of the rules below.
    pub const IDS: [&'static str; 4] = ["ant-v4", "ant-v5", "humanoid-v4", "humanoid-v5"];

    /// The rules of an id, or `None` if it is none of [`Self::IDS`].
    pub fn of(id: &str) -> Option<Self> {
        match id.to_lowercase().as_str() {
            "ant-v4" => Some(Self::ant()),
            "ant-v5" => Some(Self::ant().v5()),
            "humanoid-v4" => Some(Self::humanoid()),
            "humanoid-v5" => Some(Self::humanoid().v5()),
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
            healthy: Some((2, [0.2, 1.0])),
            forward_weight: 1.0,
            alive_bonus: 1.0,
            bonus_on_last_step: true,
            control_cost: 0.5,
            control_limit: 1.0,
            start_noise: 0.1,
            start_velocity: Velocity::Normal,
            versions: "Gymnasium's Ant-v4 with its default use_contact_forces=False.".into(),
        }
    }

    /// Humanoid-v4 with positions and velocities alone, for Gymnasium's `humanoid.xml`.
    pub fn humanoid() -> Self {
        Self {
            id: "humanoid-v4".into(),
            healthy: Some((2, [1.0, 2.0])),
            forward_weight: 1.25,
            alive_bonus: 5.0,
            control_cost: 0.1,
            control_limit: 0.4,
            start_noise: 0.01,
            start_velocity: Velocity::Uniform,
            versions: "After Gymnasium's Humanoid-v4, but: 45 of its 376 observations (positions and velocities), and the \
                       forward velocity is the torso's, not the centre of mass's. Returns are not comparable."
                .into(),
            ..Self::ant()
        }
    }

    /// The same task under the v5 rules: no bonus on the step that terminates.
    fn v5(self) -> Self {
        let versions = if self.id == "ant-v4" {
            "Gymnasium's Ant-v5 with include_cfrc_ext_in_observation=False and contact_cost_weight=0."
        } else {
            "After Gymnasium's Humanoid-v5 with every include_… option off and contact_cost_weight=0, but the forward \
             velocity is the torso's, not the centre of mass's. Returns are not comparable."
        };
        Self {
            id: self.id.replace("-v4", "-v5"),
            bonus_on_last_step: false,
            versions: versions.into(),
            ..self
        }
    }
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
