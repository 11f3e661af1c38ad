//! Adjoint matching (Domingo-Enrich et al. 2025, arXiv:2409.08861): regress the control on the lean adjoint.
//!
//! a_T = ∇ log r(x_T), a_k = J_k(x_k)ᵀ a_{k+1} with the Jacobian of the PRIOR's mean; the control, in units of σ_k, is
//! regressed on σ_k a_{k+1} along paths of the model itself. Exact as T grows; needs the reward's gradient.

use burn::tensor::Tensor;

use super::reinforce::train;
use crate::error::PolicyError;
use crate::gaussian::{GaussianDiffusion, GaussianPath, Kernel};
use crate::nets::{host, matrix};
use crate::sequential::SequentialModel;
use crate::solve::Recipe;
use crate::worlds::Problem;

/// Fine-tunes a world's prior with fixed variances and returns the model.
///
/// # Errors
/// [`PolicyError::NonFinite`].
pub fn adjoint_matching(
    problem: &Problem,
    recipe: &Recipe,
) -> Result<GaussianDiffusion, PolicyError> {
    let problem = with_fixed_variance(problem);
    train(&problem, recipe, "adjoint", &|tracked, condition, noise| {
        let steps = tracked.num_steps();
        let (path, _) = tracked.sample_path(condition, noise);
        let sample = host(path.states[steps].clone());
        let mut adjoint: Vec<f64> = (problem.gradient)(&sample, &host(condition.clone()))
            .iter()
            .map(|&g| f64::from(g))
            .collect();
        let count = condition.dims()[0] as f32;
        let mut total: Option<Tensor<1>> = None;
        for k in (0..steps).rev() {
            let x = &path.states[k];
            let scores =
                tracked.step_log_probs(&target_path(&problem, &path, k, &adjoint), k..k + 1);
            let term = scores.sum() * (-1.0 / count);
            total = Some(total.map_or(term.clone(), |t| t + term));
            adjoint = pulled_back(&problem.prior, x, k, condition, &adjoint);
        }
        total.expect("a model has steps")
    })
}

/// A path whose step k ends where the adjoint's control would put its mean: −log q of that step is the regression loss.
fn target_path(problem: &Problem, path: &GaussianPath, k: usize, adjoint: &[f64]) -> GaussianPath {
    let (mean, std) = problem
        .prior
        .step_moments(&path.states[k], k, &path.condition);
    let moved = mean.iter().zip(&std).zip(adjoint);
    let moved = moved.map(|((m, s), a)| (m + s * s * a) as f32).collect();
    let mut target = path.clone();
    target.states[k + 1] = matrix(moved, problem.prior.dim, &path.states[k].device());
    target
}

/// Returns Jᵀ a of the prior's mean at each row, by central differences.
fn pulled_back(
    prior: &GaussianDiffusion,
    x: &Tensor<2>,
    k: usize,
    condition: &Tensor<2>,
    adjoint: &[f64],
) -> Vec<f64> {
    let (dim, half) = (prior.dim, 1e-3f32);
    let values = host(x.clone());
    let mut out = vec![0.0; adjoint.len()];
    for i in 0..dim {
        let at = |shift: f32| {
            let mut moved = values.clone();
            moved
                .iter_mut()
                .skip(i)
                .step_by(dim)
                .for_each(|v| *v += shift);
            prior
                .step_moments(&matrix(moved, dim, &x.device()), k, condition)
                .0
        };
        let (up, down) = (at(half), at(-half));
        for row in 0..adjoint.len() / dim {
            out[row * dim + i] = (0..dim)
                .map(|j| {
                    let cell = row * dim + j;
                    (up[cell] - down[cell]) / (2.0 * f64::from(half)) * adjoint[cell]
                })
                .sum();
        }
    }
    out
}

/// The same problem without the outputs of a learned variance.
fn with_fixed_variance(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    let prior = &problem.prior;
    let kernel = Kernel {
        learned_variance: false,
        ..prior.kernel.clone()
    };
    let mut sizes = prior.net.spec.sizes.clone();
    let hidden = sizes.split_off(1);
    problem.prior = crate::worlds::exact_model(
        [prior.dim, prior.condition_dim],
        (*prior.schedule).clone(),
        prior.exact.clone().expect("worlds have an exact denoiser"),
        &hidden[..hidden.len() - 1],
        kernel,
        (1, &burn::tensor::Device::flex()),
    );
    problem
}
