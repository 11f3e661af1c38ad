//! Policies: batches of observations in, batches of actions out.

use ndarray::{Array2, ArrayView2};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;

use super::baselines::{Tilt, best_of, guided, resample, twisted_smc};
use super::coordinates::Coordinates;
use super::critic::Critic;
use super::tail::{Tail, tailed};
use super::transitions::gather;
use crate::models::GaussianDiffusion;
use crate::nets::{Denoiser, Network};

/// Anything that acts.
pub trait Policy: Sync {
    /// Returns actions [rows, action_dim] in [-1, 1] for observations [rows, observation_dim].
    ///
    /// Row i draws from stream i of `noise` alone.
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32>;
}

/// How an action is chosen among samples of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// One sample: what the model says.
    Sample,
    /// The sample of highest Q out of n.
    BestOf(usize),
    /// One of n, drawn with probability ∝ exp(Q/α): self-normalised importance resampling.
    Resample(usize, f64),
}

/// A diffusion model with its coordinates and, for choices by value, a critic.
pub struct DiffusionPolicy<'a, N: Denoiser = Network> {
    /// Diffusion model whose samples are actions, in its coordinates.
    pub model: &'a GaussianDiffusion<N>,
    /// How observations and actions are normalised for the model.
    pub coordinates: &'a Coordinates,
    /// The critic, needed unless the choice is `Sample`.
    pub critic: Option<&'a dyn Critic>,
    /// How an action is chosen.
    pub choice: Choice,
}

impl<N: Denoiser> DiffusionPolicy<'_, N> {
    /// Rows of the chosen candidates; `count` consecutive ones share their observation.
    fn pick(
        &self,
        observations: &[f32],
        candidates: &[f32],
        count: usize,
        noise: &mut Noise,
    ) -> Vec<usize> {
        let critic = self.critic.expect("a choice by value needs a critic");
        let values = critic.values(observations, candidates);
        match self.choice {
            Choice::Resample(_, alpha) => {
                let log_rewards: Vec<f64> = values.iter().map(|v| v / alpha).collect();
                resample(&log_rewards, [count, 1], noise)
            }
            _ => best_of(&values, count),
        }
    }
}

impl<N: Denoiser + Sync> Policy for DiffusionPolicy<'_, N> {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let device = self.model.device();
        let (rows, width) = observations.dim();
        let count = match self.choice {
            Choice::Sample => 1,
            Choice::BestOf(n) | Choice::Resample(n, _) => n.max(1),
        };
        let repeated = self.coordinates.conditions(observations, count);
        let dim = self.model.dim();
        let condition = matrix(repeated.clone(), width, &device);
        let latent = host(self.model.sample(&condition, noise));
        let candidates = self.coordinates.actions(latent);
        let actions = if self.choice == Choice::Sample {
            candidates
        } else {
            let picks = self.pick(&repeated, &candidates, count, noise);
            gather(&candidates, dim, &picks)
        };
        Array2::from_shape_vec((rows, dim), actions).expect("one action per row")
    }
}

/// How samples are led to the reward while they are drawn.
#[derive(Clone, Copy)]
pub enum Steering<'a> {
    /// Twisted sequential Monte Carlo with so many particles per action.
    Smc(usize),
    /// The reward's gradient at the predicted sample, times this weight.
    Guidance(f64),
    /// A posterior in place of the prior, the ends of whose paths are drawn several times, as by [`tailed`].
    Tail(&'a GaussianDiffusion, Tail),
}

/// A prior, or a posterior near its end, steered by the reward without further training.
pub struct SteeredPolicy<'a> {
    /// Prior and log-reward of latent samples at normalised observations.
    pub tilt: &'a Tilt,
    /// Coordinates of both.
    pub coordinates: &'a Coordinates,
    /// How samples are led towards the reward.
    pub steering: Steering<'a>,
}

impl Policy for SteeredPolicy<'_> {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let device = self.tilt.prior.device();
        let (rows, width) = observations.dim();
        let dim = self.tilt.prior.dim();
        let conditions = |count| {
            matrix(
                self.coordinates.conditions(observations, count),
                width,
                &device,
            )
        };
        let latent = match self.steering {
            Steering::Smc(n) => {
                let found = twisted_smc(self.tilt, &conditions(n), n, noise);
                let picks = resample(&found.log_weights, [n, 1], noise);
                gather(&found.samples, dim, &picks)
            }
            Steering::Guidance(weight) => guided(self.tilt, &conditions(1), weight, noise),
            Steering::Tail(posterior, tail) => {
                tailed(posterior, self.tilt, &conditions(1), tail, noise).samples
            }
        };
        let actions = self.coordinates.actions(latent);
        Array2::from_shape_vec((rows, dim), actions).expect("one action per row")
    }
}
