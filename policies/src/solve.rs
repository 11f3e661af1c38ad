//! Fine-tunes the prior of a closed-form world and measures the result against the exact answer.

use burn::tensor::Tensor;

use crate::baselines::systematic;
use crate::error::PolicyError;
use crate::finetune::{Finetuner, Mixture, Options, path_sums};
use crate::gaussian::GaussianDiffusion;
use crate::kernels::adam::AdamConfig;
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::rtb::{Shaping, effective_share, log_mean_exp, log_weights};
use crate::sequential::{Rows, SequentialModel};
use crate::worlds::Problem;

/// How a world is solved.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Updates.
    pub updates: u64,
    /// Conditions per update.
    pub conditions: usize,
    /// Paths per condition, by source.
    pub paths: Mixture,
    /// Step size of Adam at the start; it falls to 2 % along a cosine.
    pub learning_rate: f32,
    /// Joint gradient norm limit; 0 = none.
    pub max_gradient_norm: f32,
    /// Dead zone and cap.
    pub shaping: Shaping,
    /// Variants.
    pub options: Options,
    /// Prior samples that `data` paths are drawn from, with probability ∝ their reward; unconditional worlds only.
    pub pool: usize,
    /// Seed of paths and conditions.
    pub seed: u64,
}

impl Recipe {
    /// Returns on-policy VarGrad with `paths` paths of one condition per update.
    pub fn new(updates: u64, paths: usize) -> Self {
        Self {
            updates,
            conditions: 1,
            paths: Mixture {
                on_policy: paths,
                prior: 0,
                data: 0,
            },
            learning_rate: 5e-3,
            max_gradient_norm: 1.0,
            shaping: Shaping {
                dead_zone: 0.0,
                huber: 5.0,
            },
            options: Options::default(),
            pool: 20_000,
            seed: 1,
        }
    }
}

/// Returns 1 at the start, 0.02 at the end, along a cosine.
pub fn decay(update: u64, updates: u64) -> f32 {
    let share = update as f64 / updates.max(1) as f64;
    (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())) as f32
}

/// Returns rows of `width` values, each `count` times in a row.
pub fn repeated(rows: &[f32], width: usize, count: usize) -> Tensor<2> {
    let row = |r: &[f32]| r.repeat(count);
    let values = rows.chunks_exact(width).flat_map(row).collect();
    matrix(values, width, &burn::tensor::Device::flex())
}

/// Fine-tunes a world's prior and returns the fine-tuner.
///
/// # Errors
/// [`PolicyError::NonFinite`].
pub fn solve(
    problem: &Problem,
    recipe: &Recipe,
) -> Result<Finetuner<GaussianDiffusion>, PolicyError> {
    let adam = AdamConfig {
        learning_rate: recipe.learning_rate,
        weight_decay: 0.0,
        max_gradient_norm: recipe.max_gradient_norm,
    };
    let mut tuner = Finetuner::new(problem.prior.clone(), adam, recipe.paths, recipe.shaping)
        .with_options(recipe.options.clone(), recipe.seed);
    let width = problem.width;
    let pool = (recipe.paths.data > 0).then(|| {
        let condition = problem.condition(0, recipe.pool);
        let mut noise = Noise::keyed(recipe.seed, "solve-pool", 0);
        let samples = problem.prior.sample(&condition, &mut noise);
        let rewards = problem.log_reward_of(&samples, &condition);
        (samples, rewards)
    });
    for update in 0..recipe.updates {
        let mut noise = Noise::keyed(recipe.seed, "solve", update);
        let rows = (problem.draw)(recipe.conditions, &mut noise);
        let condition = |c: usize| repeated(&rows, width, c);
        let data = |c: usize| {
            let mut noise = Noise::keyed(recipe.seed, "solve-data", update);
            let (samples, rewards) = pool.as_ref().expect("drawn when there are data paths");
            samples.pick(&systematic(rewards, c * recipe.conditions, noise.uniform()))
        };
        let value = |sample: &Tensor<2>, c: usize| problem.log_reward_of(sample, &condition(c));
        tuner.optimizer.config.learning_rate = recipe.learning_rate * decay(update, recipe.updates);
        tuner.update(&condition, &data, &value, &mut noise)?;
    }
    Ok(tuner)
}

/// A posterior beside the exact answer; the worst evaluation condition of each number.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Measured {
    /// |log Z from importance sampling under q − exact|.
    pub log_z_error: f64,
    /// ESS/N of paths.
    pub ess: f64,
    /// Largest relative error of a mode's mass.
    pub mode_error: f64,
    /// Energy distance to exact samples.
    pub energy: f64,
    /// Mean energy distance between two sets of exact samples of the same size.
    pub floor: f64,
    /// Mean over conditions of log q − log p under q, nats.
    pub path_kl: f64,
}

/// Measures a model with `paths` paths per evaluation condition.
pub fn measure(problem: &Problem, model: &GaussianDiffusion, paths: usize, seed: u64) -> Measured {
    let mut worst = Measured {
        ess: 1.0,
        ..Measured::default()
    };
    let steps = model.num_steps();
    let count = problem.num_conditions();
    for index in 0..count {
        let mut noise = Noise::keyed(seed, "measure", index as u64);
        let condition = problem.condition(index, paths);
        let (path, scores) = model.sample_path(&condition, &mut noise);
        let q = path_sums(scores);
        let p = path_sums(problem.prior.step_log_probs(&path, 0..steps));
        let sample = model.sample_of(&path);
        let r = problem.log_reward_of(&sample, &condition);
        let l = log_weights(&q, &p, &r);
        let gaps = q.iter().zip(&p).map(|(q, p)| q - p);
        worst.path_kl += gaps.sum::<f64>() / (paths * count) as f64;
        let samples: Vec<f64> = host(sample).iter().map(|&v| f64::from(v)).collect();
        let error = (log_mean_exp(&l) - problem.log_z[index]).abs();
        worst.log_z_error = worst.log_z_error.max(error);
        worst.ess = worst.ess.min(effective_share(&l));
        let modes = problem.mode_mass_error(index, &many(problem, model, index, paths, &samples));
        worst.mode_error = worst.mode_error.max(modes);
        let [energy, floor] = distances(problem, index, &samples, &mut noise);
        worst.energy = worst.energy.max(energy);
        worst.floor = worst.floor.max(floor);
    }
    worst
}

/// Returns the samples with three times as many more where modes are counted: a mass of 5 % of 20,000 samples is uncertain
/// by 3 % of itself.
fn many(
    problem: &Problem,
    model: &GaussianDiffusion,
    index: usize,
    paths: usize,
    samples: &[f64],
) -> Vec<f64> {
    let mut all = samples.to_vec();
    if problem.modes[index].len() > 1 {
        let mut noise = Noise::keyed(index as u64, "measure-modes", 0);
        let more = host(model.sample(&problem.condition(index, 3 * paths), &mut noise));
        all.extend(more.iter().map(|&v| f64::from(v)));
    }
    all
}

/// Samples compared by [`distances`].
const COMPARED: usize = 2000;
/// Pairs of exact sets that the floor is the mean of.
const FLOOR_PAIRS: usize = 8;

/// Returns the energy distance of samples to exact ones, and the mean of that between two exact sets of the same size.
pub fn distances(problem: &Problem, index: usize, samples: &[f64], noise: &mut Noise) -> [f64; 2] {
    let dim = problem.prior.dim;
    let count = COMPARED.min(samples.len() / dim);
    let mut exact = || (problem.exact)(index, count, noise);
    let energy = energy_distance(&samples[..count * dim], &exact(), dim);
    let pairs = (0..FLOOR_PAIRS).map(|_| energy_distance(&exact(), &exact(), dim));
    [energy, pairs.sum::<f64>() / FLOOR_PAIRS as f64]
}

/// Returns 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ of two sets of equal size, rows of `dim` values (a V-statistic, ≥ 0).
pub fn energy_distance(x: &[f64], y: &[f64], dim: usize) -> f64 {
    let mean = |a: &[f64], b: &[f64]| -> f64 {
        let mut sum = 0.0;
        for p in a.chunks_exact(dim) {
            for q in b.chunks_exact(dim) {
                let square: f64 = p.iter().zip(q).map(|(s, t)| (s - t) * (s - t)).sum();
                sum += square.sqrt();
            }
        }
        sum * (dim * dim) as f64 / (a.len() * b.len()) as f64
    };
    2.0 * mean(x, y) - mean(x, x) - mean(y, y)
}
