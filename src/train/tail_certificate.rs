//! The certificate of a posterior whose last steps are drawn several times: [`tiltrl_policies::agent::tailed`].

use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::agent::{Tail, tailed};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::certificate::{PathScores, Thresholds, Verdict, certify};
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Rows;

use super::training_data::TrainingData;

/// Returns the verdict over `states` states of the data, those of the posterior's own certificate, with `paths` rows of either side.
///
/// ESS/N and log Z are those of exp(ℓ₀) · mean exp(ℓ) over the ends, one number per row.
pub fn tail_verdict(
    (tilt, posterior): (&Tilt, &GaussianDiffusion),
    data: &TrainingData,
    seed: u64,
    tail: Tail,
    [states, paths]: [usize; 2],
) -> Verdict {
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
        certify(&scores(&found.log_weights), &scores(&rewards))
    };
    let conditions: Vec<_> = rows.iter().map(one).collect();
    Verdict::of(&conditions, Thresholds::default())
}
