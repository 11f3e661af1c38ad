//! Fine-tunes the prior of a closed-form world and measures the result against the exact answer.

use burn::tensor::Tensor;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::finetune::{Batch, Finetuner, Mixture, Options};
use tiltrl_tilt::host::{host64, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, cosine_decay};
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::{Shaping, effective_share, log_mean_exp};
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Batched, Scored, SequentialModel};

use super::Problem;
use crate::agent::baselines::{Learner, Method, systematic};
use crate::fast::HostAdam;
use crate::models::GaussianDiffusion;

/// How a world is solved.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Updates of the fine-tuner.
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
    /// Variants of the fine-tuner's update.
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
            paths: Mixture::on_policy(paths),
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

/// The fine-tuner of a world.
pub(crate) type WorldTuner = Finetuner<GaussianDiffusion, HostAdam>;

/// Fine-tunes a world's prior and returns the fine-tuner.
///
/// # Errors
/// [`TiltError::NonFinite`].
pub fn solve(problem: &Problem, recipe: &Recipe) -> Result<WorldTuner, TiltError> {
    let adam = AdamConfig {
        max_gradient_norm: recipe.max_gradient_norm,
        ..AdamConfig::plain(recipe.learning_rate)
    };
    let prior = &problem.tilt.prior;
    let probe = problem.condition(0, 8);
    let optimizer = HostAdam::new(adam);
    let mut tuner = Finetuner::new(
        prior.clone(),
        prior.clone(),
        optimizer,
        recipe.paths,
        &probe,
    )?
    .shaped(recipe.shaping)
    .with_options(recipe.options.clone(), recipe.seed);
    let pool = (recipe.paths.data > 0).then(|| {
        let condition = problem.condition(0, recipe.pool);
        let mut noise = Noise::keyed(recipe.seed, "solve-pool", 0);
        let samples = prior.sample(&condition, &mut noise);
        let rewards = problem.tilt.log_reward_of(&samples, &condition);
        (samples, rewards)
    });
    for update in 0..recipe.updates {
        let mut noise = Noise::keyed(recipe.seed, "solve", update);
        let rows = (problem.draw)(recipe.conditions, &mut noise);
        let data = pool.as_ref().map(|(samples, rewards)| {
            let mut noise = Noise::keyed(recipe.seed, "solve-data", update);
            let count = recipe.paths.data * recipe.conditions;
            samples.pick(&systematic(rewards, count, noise.uniform()))
        });
        let batch = Batch {
            conditions: matrix(rows, problem.width, &prior.device()),
            data,
        };
        let value = |sample: &Tensor<2>, c: &Tensor<2>| problem.tilt.log_reward_of(sample, c);
        tuner.set_learning_rate(recipe.learning_rate * cosine_decay(update, recipe.updates));
        tuner.update(&batch, &value, &mut noise)?;
    }
    Ok(tuner)
}

/// Fine-tunes a world's prior by a baseline and returns the model.
///
/// # Errors
/// [`TiltError::NonFinite`].
pub fn train_baseline(
    problem: &Problem,
    recipe: &Recipe,
    method: Method,
) -> Result<GaussianDiffusion, TiltError> {
    let adam = AdamConfig {
        max_gradient_norm: recipe.max_gradient_norm,
        ..AdamConfig::plain(recipe.learning_rate)
    };
    let paths = recipe.paths.total();
    let mut learner = Learner::new(
        problem.tilt.clone(),
        method,
        &problem.tilt.prior,
        adam,
        paths,
    );
    for update in 0..recipe.updates {
        let mut noise = Noise::keyed(recipe.seed, method.name(), update);
        let rows = (problem.draw)(recipe.conditions, &mut noise);
        let condition = matrix(rows, problem.width, &problem.tilt.prior.device()).repeated(paths);
        learner.set_learning_rate(recipe.learning_rate * cosine_decay(update, recipe.updates));
        learner.update(&condition, &mut noise)?;
    }
    Ok(learner.model)
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
    let count = problem.num_conditions();
    let value = |sample: &Tensor<2>, c: &Tensor<2>| problem.tilt.log_reward_of(sample, c);
    let reward = Reward {
        value: &value,
        alpha: 1.0,
    };
    for index in 0..count {
        let mut noise = Noise::keyed(seed, "measure", index as u64);
        let condition = problem.condition(index, paths);
        let Scored { path, scores } = model.sample_path(&condition, &mut noise);
        let known = Known {
            posterior: Some(scores),
            prior: None,
        };
        let scores = score(
            model,
            &problem.tilt.prior,
            reward,
            Paths {
                condition: &condition,
                path: &path,
            },
            known,
        );
        let l = scores.log_weights();
        worst.path_kl += scores.path_kl() / count as f64;
        let samples = host64(model.sample_of(&path));
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
        let condition = problem.condition(index, 3 * paths);
        all.extend(host64(model.sample(&condition, &mut noise)));
    }
    all
}

/// Samples compared by [`distances`].
const COMPARED: usize = 2000;
/// Pairs of exact sets that the floor is the mean of.
const FLOOR_PAIRS: usize = 8;

/// Returns the energy distance of samples to exact ones, and the mean of that between two exact sets of the same size.
pub fn distances(problem: &Problem, index: usize, samples: &[f64], noise: &mut Noise) -> [f64; 2] {
    let dim = problem.tilt.prior.dim();
    let count = COMPARED.min(samples.len() / dim);
    let mut exact = || (problem.exact)(index, count, noise);
    let energy = energy_distance(&samples[..count * dim], &exact(), dim);
    let pairs = (0..FLOOR_PAIRS).map(|_| energy_distance(&exact(), &exact(), dim));
    [energy, pairs.sum::<f64>() / FLOOR_PAIRS as f64]
}

/// Returns 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ of two sets of equal size, rows of `dim` values (a V-statistic, ≥ 0).
pub(crate) fn energy_distance(x: &[f64], y: &[f64], dim: usize) -> f64 {
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
