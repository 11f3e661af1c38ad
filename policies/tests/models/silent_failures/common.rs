//! Shared by all files of this suite.

use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::HostAdam;
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_policies::tilt::host::host64;
use tiltrl_policies::tilt::optimizer::AdamConfig;
use tiltrl_policies::tilt::reward::Reward;
use tiltrl_policies::tilt::score::{Known, Paths, Scores, score};
use tiltrl_policies::tilt::sequential::SequentialModel;
use tiltrl_policies::worlds::{LinearGaussian, Settings};

/// The fine-tuner of this suite.
pub type Tuner<M> = Finetuner<M, HostAdam>;

/// Adam without weight decay and clipping.
pub fn adam(learning_rate: f32) -> HostAdam {
    HostAdam::new(AdamConfig::plain(learning_rate))
}

/// A fine-tuner whose posterior starts as its prior.
pub fn tuner<M: SequentialModel<Condition = Tensor<2>>>(
    prior: &M,
    learning_rate: f32,
    mixture: Mixture,
) -> Tuner<M> {
    let adam = adam(learning_rate);
    Finetuner::new(prior.clone(), prior.clone(), adam, mixture, &none(8)).expect("the prior itself")
}

/// One group of paths without a condition and without data.
pub fn group<M: SequentialModel<Condition = Tensor<2>>>() -> Batch<M> {
    Batch::new(none(1))
}

/// A cosine schedule that predicts ε.
pub fn cosine(steps: usize) -> Schedule {
    Schedule::new(ScheduleKind::Cosine, steps, Prediction::Epsilon).expect("memoryless")
}

/// A world's model of one hidden layer with fixed variances.
pub fn fixed(schedule: Schedule, hidden: usize, seed: u64) -> Settings {
    Settings {
        schedule,
        hidden: vec![hidden],
        step: StepShape::default(),
        waves: 0,
        seed,
        compute: Compute::cpu(),
    }
}

/// Conditions of a world that has none.
pub fn none(paths: usize) -> Tensor<2> {
    Tensor::zeros([paths, 1], &Device::flex())
}

/// The first coordinate of every sample.
pub fn first(sample: &Tensor<2>) -> Vec<f64> {
    let width = sample.dims()[1];
    let rows = host64(sample.clone());
    rows.chunks_exact(width).map(|row| row[0]).collect()
}

/// (gain, offset) of the mean of step k of a linear Gaussian world's prior: a x + b ε*(x) with
/// ε*(x) = √(1 − ᾱ)(x − √ᾱ m)/(ᾱ s² + 1 − ᾱ).
pub fn gain_and_offset(world: &LinearGaussian, schedule: &Schedule, k: usize) -> [f64; 2] {
    let level = schedule.alpha_bar[schedule.sigma.len() - k];
    let [a, b] = schedule.coefficients(k);
    let slope = (1.0 - level).sqrt() / (level * world.std.powi(2) + 1.0 - level);
    [a + b * slope, -b * slope * level.sqrt() * world.mean]
}

/// Returns the arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of each path's steps [paths, T], in f64.
pub fn path_sums(steps: Tensor<2>) -> Vec<f64> {
    let width = steps.dims()[1];
    let rows = host64(steps);
    rows.chunks_exact(width)
        .map(|row| row.iter().sum())
        .collect()
}

/// Scores paths under a posterior, a prior and a log-reward of samples alone.
pub fn scored<M: SequentialModel<Condition = Tensor<2>>>(
    posterior: &M,
    prior: &M,
    path: &M::Path,
    log_reward: &dyn Fn(&M::Sample) -> Vec<f64>,
) -> Scores {
    let value = |sample: &M::Sample, _: &Tensor<2>| log_reward(sample);
    let reward = Reward {
        value: &value,
        alpha: 1.0,
    };
    let paths = Paths {
        condition: &none(1),
        path,
    };
    score(posterior, prior, reward, paths, Known::default())
}

/// The moments of a step of paths without a condition.
pub fn variances(model: &GaussianDiffusion, state: &Tensor<2>, step: usize) -> Vec<f64> {
    let rows = state.dims()[0];
    let moments = model.step_moments(state, step, &none(rows));
    moments.std.iter().map(|s| s * s).collect()
}
