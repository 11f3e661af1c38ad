//! Advantage-weighted denoising: samples of the prior, noised backwards, with weights r/Σ r in their group
//! (Peng et al. 2019, arXiv:1910.00177, on a diffusion). Rewards that the prior rarely meets leave few effective samples.

use super::reinforce::train;
use crate::error::PolicyError;
use crate::gaussian::GaussianDiffusion;
use crate::nets::vector;
use crate::rtb::log_mean_exp;
use crate::sequential::SequentialModel;
use crate::solve::Recipe;
use crate::worlds::Problem;

/// Fits the weighted samples of the prior and returns the model.
///
/// # Errors
/// [`PolicyError::NonFinite`].
pub fn weighted_denoising(
    problem: &Problem,
    recipe: &Recipe,
) -> Result<GaussianDiffusion, PolicyError> {
    let paths = recipe.paths.total();
    train(problem, recipe, "weighted", &|tracked, condition, noise| {
        let sample = problem.prior.sample(condition, noise);
        let reward = problem.log_reward_of(&sample, condition);
        let count = reward.len() as f64;
        let groups = reward.chunks_exact(paths);
        let weights = groups.flat_map(|group| {
            let log_z = log_mean_exp(group);
            group
                .iter()
                .map(move |r| -((r - log_z).exp() / count) as f32)
        });
        let weights = vector(weights.collect(), &problem.prior.parameters().device());
        let path = problem.prior.path_to(condition, &sample, noise);
        let scores = tracked.step_log_probs(&path, 0..tracked.num_steps());
        (scores.sum_dim(1).reshape([reward.len()]) * weights).sum()
    })
}
