//! Other ways to the same posterior, on the same prior and reward: what RTB must be compared with.
//!
//! All of them tilt a [`Tilt`]; closed-form worlds and control differ in nothing else.
//!
//! | baseline | needs ∇ log r | trains | function |
//! |---|---|---|---|
//! | best-of-n | no | no | [`best_of`] |
//! | self-normalised importance resampling | no | no | [`resample`] |
//! | twisted SMC, systematic resampling | no | no | [`twisted_smc`] |
//! | guidance by the reward's gradient | yes | no | [`guided`] |
//! | REINFORCE + KL, correctly specified | no | yes | [`Method::Reinforce`] |
//! | AWR-weighted denoising | no | yes | [`Method::WeightedDenoising`] |
//! | adjoint matching | yes | yes | [`Method::AdjointMatching`] |

mod adjoint;
mod guidance;
mod learner;
mod reinforce;
mod resampling;
mod weighted;

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::models::gaussian::GaussianDiffusion;
use tiltrl_tilt::host::host;

pub use guidance::guided;
pub use learner::{Learner, Method};
pub use resampling::{Particles, best_of, resample, systematic, twisted_smc};

/// log r of samples [rows, dim] under conditions [rows, width].
pub type LogReward = dyn Fn(&[f32], &[f32]) -> Vec<f64> + Send + Sync;
/// ∇ log r of samples [rows, dim] under conditions [rows, width], [rows, dim].
pub type RewardGradient = dyn Fn(&[f32], &[f32]) -> Vec<f32> + Send + Sync;
/// What a baseline starts from: a frozen prior, and the log-reward of samples under conditions with its gradient.
#[derive(Clone)]
pub struct Tilt {
    /// The prior.
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
