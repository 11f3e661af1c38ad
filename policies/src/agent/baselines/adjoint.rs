//! Adjoint matching (Domingo-Enrich et al. 2025, arXiv:2409.08861): regress the control on the lean adjoint.
//!
//! a_T = ∇ log r(x_T), a_k = J_k(x_k)ᵀ a_{k+1} with the Jacobian of the PRIOR's mean; the control, in units of σ_k, is
//! regressed on σ_k a_{k+1} along paths of the model itself. Exact as T grows; needs the reward's gradient.

use burn::tensor::Tensor;

use super::tilt::Tilt;
use crate::models::{GaussianDiffusion, GaussianPath, Moments};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;

/// Returns the scalar to descend, from fresh paths of the model, whose variances must be those of the prior.
pub(super) fn surrogate(
    tilt: &Tilt,
    tracked: &GaussianDiffusion,
    condition: &Tensor<2>,
    noise: &mut Noise,
) -> Tensor<1> {
    let steps = tracked.num_steps();
    let path = tracked.sample_path(condition, noise).path;
    let sample = host(path.states[steps].clone());
    let mut adjoint = (tilt.gradient)(&sample, &host(condition.clone()));
    let count = condition.dims()[0] as f32;
    let mut total: Option<Tensor<1>> = None;
    for k in (0..steps).rev() {
        let target = target_path(&tilt.prior, &path, k, &adjoint);
        let term = tracked.step_log_probs(&target, k..k + 1).sum() * (-1.0 / count);
        total = Some(total.map_or(term.clone(), |t| t + term));
        adjoint = tilt
            .prior
            .jacobian_transposed(&path.states[k], k, condition, &adjoint);
    }
    total.expect("a model has steps")
}

/// A path whose step k ends where the adjoint's control would put its mean: −log q of that step is the regression loss.
fn target_path(
    prior: &GaussianDiffusion,
    path: &GaussianPath,
    k: usize,
    adjoint: &[f32],
) -> GaussianPath {
    let Moments { mean, std } = prior.step_moments(&path.states[k], k, &path.condition);
    let moved = mean.iter().zip(&std).zip(adjoint);
    let moved = moved
        .map(|((m, s), &a)| (m + s * s * f64::from(a)) as f32)
        .collect();
    let mut target = path.clone();
    target.states[k + 1] = matrix(moved, prior.dim(), &path.states[k].device());
    target
}
