//! The one place where paths are scored: under the posterior, the prior and the reward.

use burn::tensor::Tensor;

use crate::host::host64;
use crate::reward::Reward;
use crate::rtb;
use crate::sequential::SequentialModel;

/// Log-probabilities of a path's steps [paths, T] that sampling has computed already.
#[derive(Clone, Default)]
pub struct Known {
    /// log q of each step under the posterior.
    pub posterior: Option<Tensor<2>>,
    /// log p of each step under the prior.
    pub prior: Option<Tensor<2>>,
}

/// Numbers of a batch of paths, in f64: log q − log p is a small difference of larger numbers.
pub struct Scores {
    /// Steps T of every path.
    pub num_steps: usize,
    /// log q of the steps as the posterior gave it, with its graph if the posterior is tracked, [paths, T].
    pub tracked: Tensor<2>,
    /// log q of each step, [paths, T].
    pub posterior: Vec<f64>,
    /// log p of each step, [paths, T].
    pub prior: Vec<f64>,
    /// Raw value of each path's sample.
    pub values: Vec<f64>,
    /// log r = value / α.
    pub log_reward: Vec<f64>,
}

/// Paths and what they were drawn under.
pub struct Paths<'a, M: SequentialModel> {
    /// One row per path.
    pub condition: &'a M::Condition,
    /// States of all paths.
    pub path: &'a M::Path,
}

/// Scores paths under both models and their samples under the reward.
pub fn score<M: SequentialModel>(
    posterior: &M,
    prior: &M,
    reward: Reward<'_, M>,
    paths: Paths<'_, M>,
    known: Known,
) -> Scores {
    let (num_steps, Paths { condition, path }) = (prior.num_steps(), paths);
    let tracked = known
        .posterior
        .unwrap_or_else(|| posterior.step_log_probs(path, 0..num_steps));
    let of_prior = known
        .prior
        .unwrap_or_else(|| prior.step_log_probs(path, 0..num_steps));
    let values = (reward.value)(&prior.sample_of(path), condition);
    Scores {
        num_steps,
        posterior: host64(tracked.clone()),
        tracked,
        prior: host64(of_prior),
        log_reward: values.iter().map(|v| v / reward.alpha).collect(),
        values,
    }
}

fn sums(steps: &[f64], num_steps: usize) -> Vec<f64> {
    let rows = steps.chunks_exact(num_steps);
    rows.map(|row| row.iter().sum()).collect()
}

impl Scores {
    /// Returns log q of each path.
    pub fn log_posterior(&self) -> Vec<f64> {
        sums(&self.posterior, self.num_steps)
    }

    /// Returns log p of each path.
    pub(crate) fn log_prior(&self) -> Vec<f64> {
        sums(&self.prior, self.num_steps)
    }

    /// Returns log q − log p of each step, [paths, T].
    pub fn gaps(&self) -> Vec<f64> {
        let pairs = self.posterior.iter().zip(&self.prior);
        pairs.map(|(q, p)| q - p).collect()
    }

    /// Returns ℓ = log r + log p − log q of each path.
    pub fn log_weights(&self) -> Vec<f64> {
        rtb::log_weights(&self.log_posterior(), &self.log_prior(), &self.log_reward)
    }

    /// Returns the mean of log q − log p over the paths, nats.
    pub fn path_kl(&self) -> f64 {
        self.gaps().iter().sum::<f64>() / self.values.len().max(1) as f64
    }
}
