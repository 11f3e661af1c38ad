//! D4RL's reference returns and the normalised score.
//!
//! J. Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning" (arXiv 2004.07219), `d4rl/infos.py`.
//! Scores on data sets other than D4RL's must not be called D4RL scores.

/// The returns that count as 0 (a random policy) and 100 (an expert).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceScores {
    /// Return of the random policy.
    pub min: f64,
    /// Return of the expert.
    pub max: f64,
}

impl ReferenceScores {
    /// 100·(return − min)/(max − min).
    pub fn normalize(&self, episode_return: f64) -> f64 {
        100.0 * (episode_return - self.min) / (self.max - self.min)
    }
}

/// HalfCheetah, every version.
pub const HALF_CHEETAH: ReferenceScores = ReferenceScores {
    min: -280.178_953,
    max: 12_135.0,
};
/// Hopper, every version.
pub const HOPPER: ReferenceScores = ReferenceScores {
    min: -20.272_305,
    max: 3_234.3,
};
/// Walker2d, every version.
pub const WALKER2D: ReferenceScores = ReferenceScores {
    min: 1.629_008,
    max: 4_592.3,
};
/// Ant, every version.
pub const ANT: ReferenceScores = ReferenceScores {
    min: -325.6,
    max: 3_879.7,
};
/// Point maze, U-shaped, sparse reward.
pub const MAZE_UMAZE: ReferenceScores = ReferenceScores {
    min: 23.85,
    max: 161.86,
};
/// Point maze, medium, sparse reward.
pub const MAZE_MEDIUM: ReferenceScores = ReferenceScores {
    min: 13.13,
    max: 277.39,
};
/// Point maze, large, sparse reward.
pub const MAZE_LARGE: ReferenceScores = ReferenceScores {
    min: 6.7,
    max: 273.99,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_score_zero_and_one_hundred() {
        assert_eq!(HOPPER.normalize(HOPPER.min), 0.0);
        assert_eq!(HOPPER.normalize(HOPPER.max), 100.0);
        assert!((HALF_CHEETAH.normalize(5_927.410_523_5) - 50.0).abs() < 1e-6);
    }
}
