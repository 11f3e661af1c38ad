//! The last steps of a posterior drawn several times, and one of the ends kept: a cure for what is left between a fine-tuned
//! posterior and its target, where most of it arises.
//!
//! A path is drawn to x_{T−K}. From there M ends are drawn, and one is kept with probability ∝ exp(ℓ), with
//! ℓ = log r + log p − log q of its last K steps. With ℓ₀ = log p − log q of the first steps, exp(ℓ₀) · mean exp(ℓ) is an unbiased
//! estimate of Z(s): so ESS and log Z of these numbers certify the policy, as those of whole paths do the posterior. This is
//! sequential Monte Carlo with one resampling (Wu et al. 2023, arXiv:2306.17775, whose proposal is the prior).

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::log_mean_exp;
use tiltrl_tilt::sequential::{Batched, SequentialModel};

use super::baselines::{Particles, Tilt, resample};
use crate::models::GaussianDiffusion;

/// How many ends are drawn, and over how many steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// M, ends per path.
    pub ends: usize,
    /// K, steps of an end; at most all of them.
    pub steps: usize,
}

/// Draws one sample per row of `condition`, [rows, condition_dim]: groups of one particle, resampled, with the log of each row's
/// estimate of Z.
///
/// # Panics
/// When `tail.ends` is 0.
pub fn tailed(
    posterior: &GaussianDiffusion,
    tilt: &Tilt,
    condition: &Tensor<2>,
    tail: Tail,
    noise: &mut Noise,
) -> Particles {
    let (dim, steps) = (posterior.dim(), posterior.num_steps());
    let from = steps - tail.steps.clamp(1, steps);
    let path = posterior.sample_path(condition, noise).path;
    let sums = |model: &GaussianDiffusion| -> Vec<f64> {
        if from == 0 {
            return vec![0.0; condition.dims()[0]];
        }
        let scores = host(model.step_log_probs(&path, 0..from));
        let rows = scores.chunks_exact(from);
        rows.map(|row| row.iter().map(|s| f64::from(*s)).sum())
            .collect()
    };
    let (q, p) = (sums(posterior), sums(&tilt.prior));
    let conditions = condition.repeated(tail.ends);
    let mut x = host(path.states[from].repeated(tail.ends));
    let mut weights = vec![0.0; x.len() / dim];
    for k in from..steps {
        let state = matrix(x.clone(), dim, &posterior.device());
        let q = posterior.step_moments(&state, k, &conditions);
        let p = tilt.prior.step_moments(&state, k, &conditions);
        let z = noise.normals(weights.len(), dim);
        let drawn = |i: usize| (q.mean[i] + q.std[i] * f64::from(z[i])) as f32;
        x = (0..x.len()).map(drawn).collect();
        let ratios = p.log_ratio(&q, &x, dim);
        weights.iter_mut().zip(ratios).for_each(|(w, r)| *w += r);
    }
    let rewards = (tilt.log_reward)(&x, &host(conditions));
    weights.iter_mut().zip(rewards).for_each(|(w, r)| *w += r);
    let kept = resample(&weights, [tail.ends, 1], noise);
    let groups = weights.chunks_exact(tail.ends).zip(q.iter().zip(&p));
    Particles {
        samples: kept
            .iter()
            .flat_map(|&row| x[row * dim..(row + 1) * dim].iter().copied())
            .collect(),
        log_weights: vec![0.0; q.len()],
        log_z: groups.map(|(w, (q, p))| p - q + log_mean_exp(w)).collect(),
    }
}
