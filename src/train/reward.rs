//! The reward that tilts a posterior: what the critic says of a latent sample, and nothing else.
//!
//! log r(u, s) = A(s, tanh(u))/α. The prior already lives in u: no Jacobian of tanh belongs here.

use std::sync::Arc;

use tiltrl_policies::agent::Coordinates;
use tiltrl_policies::agent::Critic;
use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::agent::critic_gradient;
use tiltrl_policies::models::GaussianDiffusion;

/// Returns log r times α of latent samples [rows · action_dim] at normalised observations [rows · observation_dim].
pub fn values(
    critic: &dyn Critic,
    coordinates: &Coordinates,
    observations: &[f32],
    latent: Vec<f32>,
) -> Vec<f64> {
    critic.values(observations, &coordinates.actions(latent))
}

/// Returns a run's prior with its reward at temperature α: what the baselines tilt.
pub fn tilt(
    prior: &GaussianDiffusion,
    coordinates: &Coordinates,
    critic: &Arc<dyn Critic>,
    alpha: f64,
) -> Tilt {
    let gradient = critic_gradient(critic, coordinates, alpha);
    let dim = prior.dim();
    let (critic, coordinates) = (critic.clone(), coordinates.clone());
    Tilt {
        prior: prior.clone(),
        log_reward: Arc::new(move |samples: &[f32], observations: &[f32]| {
            let found = values(&*critic, &coordinates, observations, samples.to_vec());
            found.iter().map(|v| v / alpha).collect()
        }),
        gradient: Arc::new(move |samples: &[f32], observations: &[f32]| {
            gradient(samples, &vec![0; samples.len() / dim], observations)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tiltrl_policies::agent::{Lesson, Normalizer};
    use tiltrl_tilt::TiltError;
    use tiltrl_tilt::checkpoint::Checkpoint;

    use super::*;

    /// Says the same of all actions.
    struct Constant;

    impl Critic for Constant {
        fn updates(&self) -> u64 {
            0
        }

        fn figures(&self) -> Vec<&'static str> {
            Vec::new()
        }

        fn update(&mut self, _: &Lesson<'_>, _: u64) -> Result<Vec<f64>, TiltError> {
            Ok(Vec::new())
        }

        fn values(&self, _: &[f32], actions: &[f32]) -> Vec<f64> {
            vec![0.7; actions.len() / 2]
        }

        fn gradient(&self, _: &[f32], actions: &[f32]) -> Vec<f32> {
            vec![0.0; actions.len()]
        }

        fn save(&self, _: &mut Checkpoint) {}

        fn load(&mut self, _: &Checkpoint, _: &Path) -> Result<(), TiltError> {
            Ok(())
        }
    }

    /// With Q ≡ const the reward is the same for u = 0 and for a saturated u: the posterior is then the prior.
    #[test]
    fn silent_failure_06_a_constant_critic_gives_a_constant_reward() {
        let unit = |width: usize| Normalizer {
            mean: vec![0.0; width],
            std: vec![1.0; width],
        };
        let coordinates = Coordinates {
            observation: unit(3),
            action: unit(2),
        };
        let latent = vec![0.0, 0.0, 3.0, -3.0, 8.0, 0.1];
        let found = values(&Constant, &coordinates, &[0.5; 9], latent);
        assert_eq!(found, [0.7; 3]);
    }
}
