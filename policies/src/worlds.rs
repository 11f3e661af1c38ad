//! Closed-form worlds: priors whose exact posterior and log Z are known at finite T.

use std::sync::Arc;

use burn::tensor::Device;

use crate::gaussian::{ExactDenoiser, GaussianDiffusion};
use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::Mlp;
use crate::noise::Noise;
use crate::schedule::{Prediction, Schedule};

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
    /// Returns the prior: the exact ε* of N(m, s²), plus a perceptron that starts at zero.
    pub fn prior(
        &self,
        mut schedule: Schedule,
        hidden: usize,
        seed: u64,
        device: &Device,
    ) -> GaussianDiffusion {
        schedule.prediction = Prediction::Epsilon;
        let (mean, variance, dim) = (self.mean, self.std * self.std, self.dim);
        let levels = schedule.alpha_bar.clone();
        let exact: Arc<ExactDenoiser> = Arc::new(move |x: &[f32], steps: &[usize], _: &[f32]| {
            x.iter()
                .enumerate()
                .map(|(i, &x)| {
                    let level = levels[levels.len() - 1 - steps[i / dim]];
                    let spread = level * variance + 1.0 - level;
                    ((1.0 - level).sqrt() * (f64::from(x) - level.sqrt() * mean) / spread) as f32
                })
                .collect()
        });
        let spec = MlpSpec {
            sizes: vec![GaussianDiffusion::net_inputs(dim, 0), hidden, dim],
            activation: Activation::Silu,
            layer_norm: false,
        };
        let net = Mlp::new(spec, 0.0, &mut Noise::keyed(seed, "world", 0), device);
        GaussianDiffusion {
            net,
            schedule: Arc::new(schedule),
            dim,
            condition_dim: 0,
            exact: Some(exact),
            kernel: crate::gaussian::Kernel::default(),
        }
    }

    /// Returns (mean, variance, weight of x_0) of the sampler's own marginal, by the scalar recursion.
    pub fn marginal(&self, schedule: &Schedule) -> [f64; 3] {
        let (mut mean, mut variance, mut start) = (0.0, 1.0, 1.0);
        for k in 0..schedule.num_steps() {
            let level = schedule.alpha_bar[schedule.num_steps() - k];
            let schedule = Schedule {
                prediction: Prediction::Epsilon,
                ..schedule.clone()
            };
            let [a, b] = schedule.coefficients(k);
            let slope = (1.0 - level).sqrt() / (level * self.std * self.std + 1.0 - level);
            let gain = a + b * slope;
            mean = gain * mean - b * slope * level.sqrt() * self.mean;
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
}
