//! Baselines that only choose among samples of the prior.

use burn::tensor::Tensor;

use super::guidance::predicted;
use super::tilt::Tilt;
use crate::models::Moments;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::{effective_share, log_mean_exp};
use tiltrl_tilt::sequential::SequentialModel;

/// Returns, of each group of `n` values, the row of the highest: not the posterior, but a common stand-in.
pub fn best_of(values: &[f64], n: usize) -> Vec<usize> {
    let groups = values.chunks_exact(n).enumerate();
    groups
        .map(|(group, v)| group * n + (0..n).fold(0, |b, i| if v[i] > v[b] { i } else { b }))
        .collect()
}

/// Returns, of each group of `n` log-weights, `count` rows drawn ∝ their exponentials: self-normalised importance resampling, by
/// one uniform number per group, evenly spaced.
pub fn resample(log_weights: &[f64], [n, count]: [usize; 2], noise: &mut Noise) -> Vec<usize> {
    let groups = log_weights.len() / n;
    let draws = noise.uniform_rows(groups, 1);
    let groups = log_weights.chunks_exact(n).zip(draws).enumerate();
    let rows = groups.flat_map(|(group, (w, draw))| {
        let drawn = systematic(w, count, draw).into_iter();
        drawn.map(move |row| group * n + row)
    });
    rows.collect()
}

/// Returns `count` indices drawn ∝ exp(weights) by systematic resampling: one uniform number, evenly spaced.
pub(crate) fn systematic(log_weights: &[f64], count: usize, uniform: f64) -> Vec<usize> {
    let top = log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|l| (l - top).exp()).collect();
    let spacing = weights.iter().sum::<f64>() / count as f64;
    let mut target = spacing * uniform;
    let (mut index, mut sum) = (0, weights[0]);
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        while sum <= target && index + 1 < weights.len() {
            index += 1;
            sum += weights[index];
        }
        out.push(index);
        target += spacing;
    }
    out
}

/// What sequential Monte Carlo ends with: groups of consecutive weighted samples.
pub struct Particles {
    /// Samples [groups · n, dim].
    pub samples: Vec<f32>,
    /// Their log-weights since the last resampling, [groups · n].
    pub log_weights: Vec<f64>,
    /// Estimate of log Z of each group.
    pub log_z: Vec<f64>,
}

/// Runs twisted sequential Monte Carlo with groups of `n` particles, `n` consecutive rows of the condition each.
///
/// Particles follow the prior; the twist of a state is r at its predicted sample; resampling is systematic, whenever
/// ESS/N falls below one half (Wu et al. 2023, arXiv:2306.17775, with the prior as proposal).
pub fn twisted_smc(tilt: &Tilt, condition: &Tensor<2>, n: usize, noise: &mut Noise) -> Particles {
    let (prior, dim, rows) = (&tilt.prior, tilt.prior.dim(), condition.dims()[0]);
    let steps = prior.num_steps();
    let device = condition.device();
    let conditions = host(condition.clone());
    let mut x = noise.normals(rows, dim);
    let mut before = vec![0.0; rows];
    let mut weights = vec![0.0; rows];
    let mut log_z = vec![0.0; rows / n];
    for k in 0..steps {
        let state = matrix(x.clone(), dim, &device);
        let Moments { mean, std } = prior.step_moments(&state, k, condition);
        let twist = (tilt.log_reward)(&predicted(prior, &x, &mean, k), &conditions);
        reweigh(&mut weights, &mut before, twist);
        let parents = parents(&mut weights, &mut log_z, n, noise);
        before = parents.iter().map(|&i| before[i]).collect();
        let z = noise.normals(rows, dim);
        for (row, &parent) in parents.iter().enumerate() {
            for i in 0..dim {
                let at = parent * dim + i;
                x[row * dim + i] = (mean[at] + std[at] * f64::from(z[row * dim + i])) as f32;
            }
        }
    }
    let reward = (tilt.log_reward)(&x, &conditions);
    reweigh(&mut weights, &mut before, reward);
    let groups = log_z.iter_mut().zip(weights.chunks_exact(n));
    groups.for_each(|(z, w)| *z += log_mean_exp(w));
    Particles {
        samples: x,
        log_weights: weights,
        log_z,
    }
}

/// Multiplies the weights by the new twist over the one before.
fn reweigh(weights: &mut [f64], before: &mut Vec<f64>, twist: Vec<f64>) {
    let change = weights.iter_mut().zip(before.iter()).zip(&twist);
    change.for_each(|((w, b), t)| *w += t - b);
    *before = twist;
}

/// Resamples the groups whose ESS/N is below one half; returns the parent of each row.
fn parents(weights: &mut [f64], log_z: &mut [f64], n: usize, noise: &mut Noise) -> Vec<usize> {
    // One number per group whether it is used or not: groups do not shift each other's draws.
    let draws = noise.uniform_rows(log_z.len(), 1);
    let mut out = Vec::with_capacity(weights.len());
    for (group, (w, draw)) in weights.chunks_exact_mut(n).zip(draws).enumerate() {
        if effective_share(w) < 0.5 {
            log_z[group] += log_mean_exp(w);
            out.extend(systematic(w, n, draw).iter().map(|i| group * n + i));
            w.fill(0.0);
        } else {
            out.extend(group * n..(group + 1) * n);
        }
    }
    out
}
