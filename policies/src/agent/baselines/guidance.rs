//! Guidance by the gradient of the reward at the predicted sample (Chung et al. 2023, arXiv:2209.14687).

use burn::tensor::Tensor;

use super::tilt::Tilt;
use crate::models::{GaussianDiffusion, Moments};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;

/// Longest shift of one step, in units of σ_k: steep rewards would throw particles off otherwise.
pub(super) const LONGEST_SHIFT: f64 = 5.0;

/// Returns E[x_T | x_k] [rows · dim] that a step of mean `mean` from `x` stands for.
pub(super) fn predicted(model: &GaussianDiffusion, x: &[f32], mean: &[f64], k: usize) -> Vec<f32> {
    let [sample, state] = model.schedule().mean_weights(k);
    let clean = mean.iter().zip(x);
    clean
        .map(|(m, &x)| ((m - state * f64::from(x)) / sample) as f32)
        .collect()
}

/// Returns ∇ log r(x̂(x)) at each row: the reward's gradient through the denoiser.
fn slope(tilt: &Tilt, x: &Tensor<2>, mean: &[f64], k: usize, condition: &Tensor<2>) -> Vec<f64> {
    let clean = predicted(&tilt.prior, &host(x.clone()), mean, k);
    let along = (tilt.gradient)(&clean, &host(condition.clone()));
    let through = tilt.prior.jacobian_transposed(x, k, condition, &along);
    let [sample, state] = tilt.prior.schedule().mean_weights(k);
    let both = through.iter().zip(&along);
    both.map(|(&t, &g)| (f64::from(t) - state * f64::from(g)) / sample)
        .collect()
}

/// Returns one sample per row of the condition [rows, dim], of the prior whose steps move by
/// `weight` · σ_k² ∇ log r(x̂). Biased: no weight of a path corrects it.
pub fn guided(tilt: &Tilt, condition: &Tensor<2>, weight: f64, noise: &mut Noise) -> Vec<f32> {
    let (prior, dim, count) = (&tilt.prior, tilt.prior.dim(), condition.dims()[0]);
    let device = condition.device();
    let mut x: Tensor<2> = matrix(noise.normals(count, dim), dim, &device);
    for k in 0..prior.num_steps() {
        let Moments { mean, std } = prior.step_moments(&x, k, condition);
        let along = slope(tilt, &x, &mean, k, condition);
        let z = noise.normals(count, dim);
        let mut next = Vec::with_capacity(count * dim);
        for row in 0..count {
            let of_row = row * dim..(row + 1) * dim;
            let shift = |i: usize| weight * std[i] * along[i];
            let square: f64 = of_row.clone().map(|i| shift(i).powi(2)).sum();
            let scale = (LONGEST_SHIFT / square.sqrt()).min(1.0);
            for i in of_row {
                next.push((mean[i] + std[i] * (scale * shift(i) + f64::from(z[i]))) as f32);
            }
        }
        x = matrix(next, dim, &device);
    }
    host(x)
}
