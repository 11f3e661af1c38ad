//! The certificate of a posterior whose last steps are drawn several times: [`tiltrl_policies::agent::tailed`].

use serde::{Deserialize, Serialize};
use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::agent::{Tail, tailed};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::certificate::{ConditionCertificate, PathScores, Thresholds, Verdict, certify};
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Batched;

use super::training_data::TrainingData;

/// The certificate of the policy tail-N.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TailCertificate {
    /// N: how often the last steps are drawn.
    pub ends: usize,
    /// Whether it passes, with the thresholds.
    pub verdict: Verdict,
    /// Numbers of each state; of a path's numbers those that whole paths alone have are zero.
    pub states: Vec<ConditionCertificate>,
}

impl TailCertificate {
    fn new(ends: usize, states: Vec<ConditionCertificate>) -> Self {
        Self {
            ends,
            verdict: Verdict::of(&states, Thresholds::default()),
            states,
        }
    }

    /// Puts several seeds together, where all have one with as many ends.
    pub fn joined(seeds: &[&Self]) -> Option<Self> {
        let ends = seeds.first()?.ends;
        let alike = seeds.iter().all(|c| c.ends == ends);
        let states = seeds.iter().flat_map(|c| c.states.iter().copied());
        alike.then(|| Self::new(ends, states.collect()))
    }
}

/// Returns what `tail-N` draws: N ends of the last three steps, where most of a residual arises.
pub fn tail_of(ends: usize) -> Tail {
    Tail { ends, steps: 3 }
}

/// Returns the certificate over `states` states of the data, those of the posterior's own certificate, with `paths` rows of either side.
///
/// ESS/N and log Z are those of exp(ℓ₀) · mean exp(ℓ) over the ends, one number per row.
pub fn tail_certificate(
    tilt: &Tilt,
    posterior: &GaussianDiffusion,
    data: &TrainingData,
    seed: u64,
    tail: Tail,
    [states, paths]: [usize; 2],
) -> TailCertificate {
    let mut noise = Noise::keyed(seed, "certificate", 0);
    let rows = noise.indices(states, data.len());
    let zeros = vec![0.0; paths];
    let one = |chosen: &usize| {
        let observation = data.observations(&[*chosen]);
        let condition = matrix(observation, data.widths()[0], &tilt.prior.device());
        let condition = condition.repeated(paths);
        let found = tailed(posterior, tilt, &condition, tail, &mut noise);
        let prior = tilt.prior.sample(&condition, &mut noise);
        let rewards = tilt.log_reward_of(&prior, &condition);
        let scores = |log_reward| PathScores {
            log_posterior: &zeros,
            log_prior: &zeros,
            log_reward,
        };
        ConditionCertificate {
            reward_gap: None,
            ..certify(&scores(&found.log_z), &scores(&rewards))
        }
    };
    TailCertificate::new(tail.ends, rows.iter().map(one).collect())
}
