//! Guidance by the gradient of the reward at the predicted sample (Chung et al. 2023, arXiv:2209.14687).

use burn::tensor::Tensor;

use crate::gaussian::GaussianDiffusion;
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::sequential::SequentialModel;
use crate::worlds::Problem;

/// Longest shift of one step, in units of σ_k: steep rewards would throw particles off otherwise.
pub const LONGEST_SHIFT: f64 = 5.0;

/// Returns E[x_T | x_k] as the denoiser predicts it, [rows, dim]. The schedule must predict ε.
pub fn predicted(
    model: &GaussianDiffusion,
    x: &Tensor<2>,
    step: usize,
    condition: &Tensor<2>,
) -> Tensor<2> {
    let exact = model.exact.as_ref().expect("worlds have an exact denoiser");
    let level = model.schedule.alpha_bar[model.schedule.num_steps() - step];
    let rows = x.dims()[0];
    let values = host(x.clone());
    let noise = exact(&values, &vec![step; rows], &host(condition.clone()));
    let (signal, spread) = (level.sqrt() as f32, (1.0 - level).sqrt() as f32);
    let clean = values
        .iter()
        .zip(&noise)
        .map(|(x, e)| (x - spread * e) / signal);
    matrix(clean.collect(), model.dim, &x.device())
}

/// Returns ∇ log r(x̂(x)) at each row, by central differences of the scalar: the chain rule through the denoiser.
fn slope(problem: &Problem, x: &Tensor<2>, step: usize, condition: &Tensor<2>) -> Vec<f64> {
    let (dim, half) = (problem.prior.dim, 1e-3f32);
    let values = host(x.clone());
    let mut out = vec![0.0; values.len()];
    for i in 0..dim {
        let at = |shift: f32| {
            let mut moved = values.clone();
            moved
                .iter_mut()
                .skip(i)
                .step_by(dim)
                .for_each(|v| *v += shift);
            let clean = predicted(
                &problem.prior,
                &matrix(moved, dim, &x.device()),
                step,
                condition,
            );
            problem.log_reward_of(&clean, condition)
        };
        for (row, (up, down)) in at(half).iter().zip(at(-half)).enumerate() {
            out[row * dim + i] = (up - down) / (2.0 * f64::from(half));
        }
    }
    out
}

/// Returns `count` samples of the prior whose steps move by σ_k² ∇ log r(x̂). Biased: no weight corrects it.
pub fn guided(problem: &Problem, index: usize, count: usize, noise: &mut Noise) -> Vec<f64> {
    let (prior, dim) = (&problem.prior, problem.prior.dim);
    let condition = problem.condition(index, count);
    let device = burn::tensor::Device::flex();
    let mut x: Tensor<2> = matrix(noise.normals(count, dim), dim, &device);
    for k in 0..prior.num_steps() {
        let (mean, std) = prior.step_moments(&x, k, &condition);
        let along = slope(problem, &x, k, &condition);
        let z = noise.normals(count, dim);
        let mut next = Vec::with_capacity(count * dim);
        for row in 0..count {
            let of_row = row * dim..(row + 1) * dim;
            let square: f64 = of_row.clone().map(|i| (std[i] * along[i]).powi(2)).sum();
            let scale = (LONGEST_SHIFT / square.sqrt()).min(1.0);
            for i in of_row {
                let shift = scale * std[i] * along[i];
                next.push((mean[i] + std[i] * (shift + f64::from(z[i]))) as f32);
            }
        }
        x = matrix(next, dim, &device);
    }
    host(x).iter().map(|&v| f64::from(v)).collect()
}
