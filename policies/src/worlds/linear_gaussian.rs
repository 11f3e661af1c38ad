//! F1 and F4: a Gaussian prior with its exact denoiser under an exponential-quadratic reward.

use std::sync::Arc;

use super::model::exact_model;
use super::problem::Settings;
use crate::fast::HostField;
use crate::models::{GaussianDiffusion, Prediction, Schedule};

/// F1: data N(m, s²) in each of `dim` dimensions with the exact denoiser, reward exp(b x − c x²/2) on the first.
#[derive(Clone, Copy, Debug)]
pub struct LinearGaussian {
    /// Mean of the data.
    pub mean: f64,
    /// Standard deviation of the data.
    pub std: f64,
    /// Linear term of the log-reward.
    pub b: f64,
    /// Quadratic term of the log-reward, ≥ 0.
    pub c: f64,
    /// Independent copies; the reward sees the first only.
    pub dim: usize,
}

impl LinearGaussian {
    /// Returns the prior: the exact ε* of N(m, s²), plus a perceptron that starts at zero. It predicts ε, whatever the schedule says.
    pub fn prior(&self, settings: &Settings) -> GaussianDiffusion {
        let mut schedule = settings.schedule.clone();
        schedule.prediction = Prediction::Epsilon;
        let exact = self.denoiser(&schedule);
        exact_model([self.dim, 0], schedule, exact, settings)
    }

    /// Returns the exact denoiser of rows.
    pub(crate) fn denoiser(&self, schedule: &Schedule) -> Arc<HostField> {
        let (mean, variance, dim) = (self.mean, self.std * self.std, self.dim);
        let levels = schedule.alpha_bar.clone();
        Arc::new(move |x: &[f32], steps: &[usize], _: &[f32]| {
            x.iter()
                .enumerate()
                .map(|(i, &x)| {
                    let level = levels[levels.len() - 1 - steps[i / dim]];
                    epsilon_of_gaussian(f64::from(x), level, mean, variance) as f32
                })
                .collect()
        })
    }

    /// Returns (mean, variance, weight of x_0) of the sampler's own marginal, by the scalar recursion.
    pub fn marginal(&self, schedule: &Schedule) -> [f64; 3] {
        let (mut mean, mut variance, mut start) = (0.0, 1.0, 1.0);
        for k in 0..schedule.num_steps() {
            let [gain, offset] = self.transition(schedule, k);
            mean = gain * mean + offset;
            variance = gain * gain * variance + schedule.sigma[k].powi(2);
            start *= gain;
        }
        [mean, variance, start]
    }

    /// Returns (log Z, posterior mean, posterior variance) for the sampler's marginal.
    pub fn posterior(&self, schedule: &Schedule) -> [f64; 3] {
        let [m, v, _] = self.marginal(schedule);
        let shrink = 1.0 + self.c * v;
        let log_z = -0.5 * shrink.ln()
            + (self.b * self.b * v + 2.0 * self.b * m - self.c * m * m) / (2.0 * shrink);
        [log_z, (m + self.b * v) / shrink, v / shrink]
    }

    /// Returns the log-reward of each sample, given its first coordinate.
    pub fn log_reward(&self, first: f64) -> f64 {
        self.b * first - 0.5 * self.c * first * first
    }

    /// Returns (gain, offset) of the prior's mean at step k: gain · x + offset.
    pub(crate) fn transition(&self, schedule: &Schedule, k: usize) -> [f64; 2] {
        let level = schedule.alpha_bar[schedule.num_steps() - k];
        let schedule = Schedule {
            prediction: Prediction::Epsilon,
            ..schedule.clone()
        };
        let [a, b] = schedule.coefficients(k);
        let slope = (1.0 - level).sqrt() / (level * self.std * self.std + 1.0 - level);
        [a + b * slope, -b * slope * level.sqrt() * self.mean]
    }
}

/// Returns ε*(x) = √(1 − ᾱ)(x − √ᾱ m)/(ᾱ s² + 1 − ᾱ), the exact denoiser of N(m, s²).
pub(crate) fn epsilon_of_gaussian(x: f64, level: f64, mean: f64, variance: f64) -> f64 {
    (1.0 - level).sqrt() * (x - level.sqrt() * mean) / (level * variance + 1.0 - level)
}
