//! The rules of the locomotion tasks: observation, reward, termination and start, as numbers.

/// What keeps an episode alive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// The root's height must lie between these, exclusive, m.
    pub height: [f64; 2],
    /// The root's angle must be smaller than this, rad.
    pub angle: f64,
    /// If set, every state component but x and z must be smaller than this.
    pub state_bound: Option<f64>,
    /// Whether the alive bonus is also paid on the step that terminates (v4 pays it, v5 does not).
    pub bonus_on_last_step: bool,
}

/// How far the first state lies from the drawn pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartNoise {
    /// Uniform within ± this on positions and velocities.
    Uniform(f64),
    /// Uniform within ± this on positions, normal with this deviation on velocities.
    UniformAndNormal(f64),
}

/// One task's rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocomotionRules {
    /// Simulation steps per environment step.
    pub frame_skip: usize,
    /// Weight of the squared action.
    pub control_cost: f32,
    /// Velocities are clipped to ± this in the observation.
    pub velocity_clip: Option<f64>,
    /// What ends an episode; `None`: nothing does, and no bonus is paid.
    pub health: Option<Health>,
    /// The first state.
    pub start: StartNoise,
}

/// HalfCheetah-v4 and -v5.
pub const HALF_CHEETAH: LocomotionRules = LocomotionRules {
    frame_skip: 5,
    control_cost: 0.1,
    velocity_clip: None,
    health: None,
    start: StartNoise::UniformAndNormal(0.1),
};

/// Rules of Hopper-v4.
pub const HOPPER: LocomotionRules = LocomotionRules {
    frame_skip: 4,
    control_cost: 1e-3,
    velocity_clip: Some(10.0),
    health: Some(Health {
        height: [0.7, f64::INFINITY],
        angle: 0.2,
        state_bound: Some(100.0),
        bonus_on_last_step: true,
    }),
    start: StartNoise::Uniform(5e-3),
};

/// Rules of Walker2d-v4.
pub const WALKER2D: LocomotionRules = LocomotionRules {
    health: Some(Health {
        height: [0.8, 2.0],
        angle: 1.0,
        state_bound: None,
        bonus_on_last_step: true,
    }),
    ..HOPPER
};

impl LocomotionRules {
    /// The same task under the v5 rules: no alive bonus on the step that terminates.
    pub const fn v5(mut self) -> Self {
        if let Some(mut health) = self.health {
            health.bonus_on_last_step = false;
            self.health = Some(health);
        }
        self
    }

    /// Whether a state keeps the episode alive. A NaN does not.
    pub fn is_healthy(&self, position: &[f64], velocity: &[f64]) -> bool {
        let Some(health) = &self.health else {
            return true;
        };
        let within = |x: &f64, bound: f64| -bound < *x && *x < bound;
        let bounded = health.state_bound.is_none_or(|bound| {
            position[2..]
                .iter()
                .chain(velocity)
                .all(|x| within(x, bound))
        });
        let [low, high] = health.height;
        bounded && low < position[1] && position[1] < high && within(&position[2], health.angle)
    }

    /// The reward of a step, with the control cost in f32 arithmetic on the action as given, as Gymnasium does it.
    pub fn reward(&self, forward_velocity: f64, action: &[f32], healthy: bool) -> f64 {
        let mut squares = 0.0_f32;
        for &component in action {
            squares += component * component;
        }
        let cost = f64::from(self.control_cost * squares);
        let bonus = match &self.health {
            Some(health) if healthy || health.bonus_on_last_step => 1.0,
            _ => 0.0,
        };
        forward_velocity + bonus - cost
    }

    /// One velocity as it is observed.
    #[inline]
    pub fn observed_velocity(&self, velocity: f64) -> f64 {
        self.velocity_clip
            .map_or(velocity, |clip| velocity.clamp(-clip, clip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallen_hopper_earns_its_last_bonus_in_v4_only() {
        let fallen = ([0.0, 0.69, 0.0, 0.0, 0.0, 0.0], [0.0; 6]);
        assert!(!HOPPER.is_healthy(&fallen.0, &fallen.1));
        assert_eq!(HOPPER.reward(2.0, &[0.0; 3], false), 3.0);
        assert_eq!(HOPPER.v5().reward(2.0, &[0.0; 3], false), 2.0);
        assert_eq!(HOPPER.v5().reward(2.0, &[0.0; 3], true), 3.0);
    }

    #[test]
    fn a_state_that_is_not_a_number_is_not_healthy() {
        let mut position = [0.0, 1.25, 0.0, 0.0, 0.0, 0.0];
        assert!(HOPPER.is_healthy(&position, &[0.0; 6]));
        position[4] = f64::NAN;
        assert!(!HOPPER.is_healthy(&position, &[0.0; 6]));
        assert!(
            WALKER2D.is_healthy(&position, &[0.0; 6]),
            "Walker2d looks at height and angle only"
        );
        position[2] = f64::NAN;
        assert!(!WALKER2D.is_healthy(&position, &[0.0; 6]));
    }

    #[test]
    fn the_cheetah_pays_for_the_action_as_given() {
        assert_eq!(
            HALF_CHEETAH.reward(0.0, &[2.0, 0.0, 0.0, 0.0, 0.0, 0.0], true),
            -f64::from(0.4_f32)
        );
    }
}
