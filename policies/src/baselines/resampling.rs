//! Baselines that only choose among samples of the prior.

use burn::tensor::Tensor;

use super::guidance::predicted;
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::rtb::effective_share;
use crate::sequential::{Rows, SequentialModel};
use crate::worlds::Problem;

/// Draws `count · n` samples of the prior with their log-rewards.
fn candidates(
    problem: &Problem,
    index: usize,
    rows: usize,
    noise: &mut Noise,
) -> (Vec<f32>, Vec<f64>) {
    let condition = problem.condition(index, rows);
    let sample = problem.prior.sample(&condition, noise);
    let reward = problem.log_reward_of(&sample, &condition);
    (host(sample), reward)
}

/// Returns `count` samples, each the best of `n` of the prior: not the posterior, but a common stand-in.
pub fn best_of(
    problem: &Problem,
    index: usize,
    [count, n]: [usize; 2],
    noise: &mut Noise,
) -> Vec<f64> {
    let (samples, rewards) = candidates(problem, index, count * n, noise);
    let dim = problem.prior.dim;
    let pick = |(group, r): (usize, &[f64])| {
        let best = (0..n).fold(0, |b, i| if r[i] > r[b] { i } else { b });
        let row = group * n + best;
        samples[row * dim..(row + 1) * dim].to_vec()
    };
    let groups = rewards.chunks_exact(n).enumerate();
    groups.flat_map(pick).map(f64::from).collect()
}

/// Returns `count` samples, each one of `n` of the prior drawn ∝ r: self-normalised importance resampling.
pub fn resample(
    problem: &Problem,
    index: usize,
    [count, n]: [usize; 2],
    noise: &mut Noise,
) -> Vec<f64> {
    let (samples, rewards) = candidates(problem, index, count * n, noise);
    let dim = problem.prior.dim;
    let mut out = Vec::with_capacity(count * dim);
    for (group, r) in rewards.chunks_exact(n).enumerate() {
        let row = group * n + systematic(r, 1, noise)[0];
        let sample = &samples[row * dim..(row + 1) * dim];
        out.extend(sample.iter().map(|&v| f64::from(v)));
    }
    out
}

/// Returns `count` indices drawn ∝ exp(weights) by systematic resampling: one uniform number, evenly spaced.
pub fn systematic(log_weights: &[f64], count: usize, noise: &mut Noise) -> Vec<usize> {
    let top = log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|l| (l - top).exp()).collect();
    let spacing = weights.iter().sum::<f64>() / count as f64;
    let mut target = spacing * noise.uniform();
    let (mut index, mut sum) = (0, weights[0]);
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        while sum < target && index + 1 < weights.len() {
            index += 1;
            sum += weights[index];
        }
        out.push(index);
        target += spacing;
    }
    out
}

/// Returns (`particles` samples, log Z estimate) of one run of twisted sequential Monte Carlo.
///
/// Particles follow the prior; the twist of a state is r at its predicted sample; resampling is systematic, whenever
/// ESS/N falls below one half (Wu et al. 2023, arXiv:2306.17775, with the prior as proposal).
pub fn twisted_smc(
    problem: &Problem,
    index: usize,
    particles: usize,
    noise: &mut Noise,
) -> (Vec<f64>, f64) {
    let (prior, dim) = (&problem.prior, problem.prior.dim);
    let condition = problem.condition(index, particles);
    let steps = prior.num_steps();
    let device = burn::tensor::Device::flex();
    let mut x: Tensor<2> = matrix(noise.normals(particles, dim), dim, &device);
    let twist = |x: &Tensor<2>, step: usize| {
        let clean = predicted(prior, x, step, &condition);
        problem.log_reward_of(&clean, &condition)
    };
    let mut before = twist(&x, 0);
    let mut weights = before.clone();
    let mut log_z = 0.0;
    for k in 0..steps {
        if effective_share(&weights) < 0.5 {
            log_z += crate::rtb::log_mean_exp(&weights);
            let rows = systematic(&weights, particles, noise);
            x = x.pick(&rows);
            before = rows.iter().map(|&i| before[i]).collect();
            weights = vec![0.0; particles];
        }
        let (mean, std) = prior.step_moments(&x, k, &condition);
        let z = noise.normals(particles, dim);
        let next = mean.iter().zip(&std).zip(&z);
        let next = next
            .map(|((m, s), &z)| (m + s * f64::from(z)) as f32)
            .collect();
        x = matrix(next, dim, &device);
        let after = if k + 1 == steps {
            problem.log_reward_of(&x, &condition)
        } else {
            twist(&x, k + 1)
        };
        for i in 0..particles {
            weights[i] += after[i] - before[i];
        }
        before = after;
    }
    log_z += crate::rtb::log_mean_exp(&weights);
    let rows = systematic(&weights, particles, noise);
    let samples = host(x.pick(&rows));
    (samples.iter().map(|&v| f64::from(v)).collect(), log_z)
}
