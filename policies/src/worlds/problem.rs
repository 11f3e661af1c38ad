//! A world made ready for fine-tuning: prior, reward, and the exact answer at finite T.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::agent::baselines::Tilt;
use crate::compute::Compute;
use crate::models::{Prediction, Schedule, ScheduleKind, StepShape, Units};
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;

/// Exact posterior samples: (evaluation condition, count, noise) → [count, dim].
pub(super) type ExactSamples = dyn Fn(usize, usize, &mut Noise) -> Vec<f64> + Send + Sync;
/// Draws conditions of training, [rows, width].
pub(super) type DrawConditions = dyn Fn(usize, &mut Noise) -> Vec<f32> + Send + Sync;

/// A prior, a reward, and the exact posterior.
#[derive(Clone)]
pub struct Problem {
    /// Name in the tables of `verify`.
    pub name: String,
    /// The prior, its perceptron at zero, and the log-reward with its gradient.
    pub tilt: Tilt,
    /// Width of a condition row (1 and unused where there is none).
    pub width: usize,
    /// Draws conditions of training.
    pub draw: Arc<DrawConditions>,
    /// Conditions of evaluation, [count, width].
    pub conditions: Vec<f32>,
    /// Exact log Z of each evaluation condition, of the sampler's own marginal.
    pub log_z: Vec<f64>,
    /// Exact samples of the posterior.
    pub exact: Arc<ExactSamples>,
    /// The posterior's modes at each evaluation condition; a sample belongs to the nearest.
    pub modes: Vec<Vec<Mode>>,
}

/// A mode of a posterior.
#[derive(Clone, Debug)]
pub struct Mode {
    /// Its centre, one number per dimension.
    pub centre: Vec<f64>,
    /// Its exact mass, a share of 1.
    pub mass: f64,
}

impl Mode {
    pub(super) fn new(centre: Vec<f64>, mass: f64) -> Self {
        Self { centre, mass }
    }

    pub(super) fn all(centres: &[Vec<f64>], masses: &[f64]) -> Vec<Self> {
        let all = centres.iter().zip(masses);
        all.map(|(centre, &mass)| Self::new(centre.clone(), mass))
            .collect()
    }
}

/// Shape of a world's model.
#[derive(Clone)]
pub struct Settings {
    /// Noise levels of the model's steps.
    pub schedule: Schedule,
    /// Hidden layers of the perceptron.
    pub hidden: Vec<usize>,
    /// How it enters a step.
    pub step: StepShape,
    /// Octaves of the state that it sees.
    pub waves: usize,
    /// Seed of its weights.
    pub seed: u64,
    /// Where it computes.
    pub compute: Compute,
}

impl Settings {
    /// Returns a cosine schedule of `num_steps` steps with a learned variance and shifts in units of σ.
    ///
    /// # Panics
    /// When a cosine schedule of so few steps is not memoryless.
    pub fn new(num_steps: usize, hidden: &[usize]) -> Self {
        Self {
            schedule: Schedule::new(ScheduleKind::Cosine, num_steps, Prediction::Epsilon)
                .expect("a cosine schedule is memoryless"),
            hidden: hidden.to_vec(),
            step: StepShape {
                units: Units::Sigma,
                learned_variance: true,
                ..StepShape::default()
            },
            waves: 0,
            seed: 1,
            compute: Compute::cpu(),
        }
    }
}

impl Problem {
    /// Returns how many evaluation conditions there are.
    pub(crate) fn num_conditions(&self) -> usize {
        self.conditions.len() / self.width
    }

    /// Returns evaluation condition `index`, repeated for `paths` paths.
    pub fn condition(&self, index: usize, paths: usize) -> Tensor<2> {
        let row = &self.conditions[index * self.width..(index + 1) * self.width];
        matrix(row.repeat(paths), self.width, &self.tilt.prior.device())
    }

    /// Returns the share of samples [count, dim] nearest to each mode of a condition.
    pub(crate) fn mode_shares(&self, index: usize, samples: &[f64]) -> Vec<f64> {
        let modes = &self.modes[index];
        let mut counts = vec![0.0; modes.len()];
        if modes.is_empty() {
            return counts;
        }
        let rows = samples.chunks_exact(self.tilt.prior.dim());
        let share = 1.0 / rows.len() as f64;
        for x in rows {
            counts[nearest(modes.iter().map(|mode| mode.centre.as_slice()), x)] += share;
        }
        counts
    }

    /// Returns the largest relative error of a mode's mass among modes of at least 5 %.
    pub fn mode_mass_error(&self, index: usize, samples: &[f64]) -> f64 {
        self.mode_shares(index, samples)
            .iter()
            .zip(&self.modes[index])
            .filter(|(_, mode)| mode.mass >= 0.05)
            .map(|(share, mode)| (share / mode.mass - 1.0).abs())
            .fold(0.0, f64::max)
    }
}

/// Returns the index of the nearest centre.
pub(super) fn nearest<'a>(centres: impl Iterator<Item = &'a [f64]>, x: &[f64]) -> usize {
    let distance = |c: &[f64]| -> f64 { c.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum() };
    centres
        .map(distance)
        .enumerate()
        .fold(
            (0, f64::INFINITY),
            |best, (i, d)| {
                if d < best.1 { (i, d) } else { best }
            },
        )
        .0
}
