//! Advantage-weighted denoising: samples of the prior, noised backwards, with weights r/Σ r in their group
//! (Peng et al. 2019, arXiv:1910.00177, on a diffusion). Rewards that the prior rarely meets leave few effective samples.

use burn::tensor::Tensor;

use super::tilt::Tilt;
use crate::models::GaussianDiffusion;
use tiltrl_tilt::host::vector;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::log_mean_exp;
use tiltrl_tilt::sequential::SequentialModel;

/// Returns the scalar to descend: −log q of noised prior samples under their weights; groups are `paths` rows.
pub(super) fn surrogate(
    tilt: &Tilt,
    tracked: &GaussianDiffusion,
    condition: &Tensor<2>,
    paths: usize,
    noise: &mut Noise,
) -> Tensor<1> {
    let sample = tilt.prior.sample(condition, noise);
    let reward = tilt.log_reward_of(&sample, condition);
    let count = reward.len() as f64;
    let weights = reward.chunks_exact(paths).flat_map(|group| {
        let log_z = log_mean_exp(group);
        let weight = move |r: &f64| -((r - log_z).exp() / count) as f32;
        group.iter().map(weight)
    });
    let weights = vector(weights.collect(), &tilt.prior.device());
    let path = tilt.prior.path_to(condition, &sample, noise);
    let scores = tracked.step_log_probs(&path, 0..tracked.num_steps());
    (scores.sum_dim(1).reshape([reward.len()]) * weights).sum()
}
