//! What every baseline starts from.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::models::GaussianDiffusion;
use tiltrl_tilt::host::host;

/// log r of samples [rows, dim] under conditions [rows, width].
type LogReward = dyn Fn(&[f32], &[f32]) -> Vec<f64> + Send + Sync;
/// ∇ log r of samples [rows, dim] under conditions [rows, width], [rows, dim].
type RewardGradient = dyn Fn(&[f32], &[f32]) -> Vec<f32> + Send + Sync;
/// What a baseline starts from: a frozen prior, and the log-reward of samples under conditions with its gradient.
#[derive(Clone)]
pub struct Tilt {
    /// Frozen model whose samples the reward tilts.
    pub prior: GaussianDiffusion,
    /// log r of samples [rows, dim] under conditions [rows, width].
    pub log_reward: Arc<LogReward>,
    /// ∇ log r, [rows, dim].
    pub gradient: Arc<RewardGradient>,
}

impl Tilt {
    /// Returns the log-reward of samples under conditions, one row per path each.
    pub fn log_reward_of(&self, sample: &Tensor<2>, condition: &Tensor<2>) -> Vec<f64> {
        (self.log_reward)(&host(sample.clone()), &host(condition.clone()))
    }
}
