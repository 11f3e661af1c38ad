//! Variants of the fine-tuner; the defaults are plain on-policy VarGrad.

use serde::{Deserialize, Serialize};

/// Variants of one update. Every default leaves the update as it is without the option.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where log Z(s) comes from.
    pub log_z: LogZ,
    /// Step size of the networks for log Z(s) and for the value of states, as a multiple of the posterior's.
    pub value_rate: f32,
    /// Width of the hidden layer of those networks.
    pub value_hidden: usize,
    /// Steps per sub-trajectory, each of which is balanced by itself (Trust-PCL's multi-step loss); 0 = the whole path.
    pub sub_trajectory: usize,
    /// Steps whose graph is held at once; 0 = all. The gradient is the same.
    pub chunk: usize,
    /// Steps back-propagated per update, drawn at random and rescaled by T over their number; 0 = all.
    pub sampled_steps: usize,
    /// Paths from a noisier behaviour.
    pub exploration: Exploration,
    /// Good samples of earlier updates, noised backwards again.
    pub replay: ReplayOptions,
    /// An α that meets a stated path-KL.
    pub kl_budget: KlBudget,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_z: LogZ::VarGrad,
            value_rate: 100.0,
            value_hidden: 64,
            sub_trajectory: 0,
            chunk: 0,
            sampled_steps: 0,
            exploration: Exploration::default(),
            replay: ReplayOptions::default(),
            kl_budget: KlBudget::default(),
        }
    }
}

/// Where log Z(s) comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogZ {
    /// The leave-one-out mean of ℓ over the group (arXiv:2405.20971, eq. 8).
    #[default]
    VarGrad,
    /// The centre of the group under the Huber loss itself: with a cap, `robust_log_z` of [`crate::rtb`].
    Robust,
    /// A network of the condition, without weight decay.
    Learned,
}

/// Paths per condition from the posterior with σ (or logits' temperature) times `scale`, which falls linearly
/// to 1 over `updates`; they are scored under the posterior itself (arXiv:2402.05098).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exploration {
    /// Paths per condition; 0 = none.
    pub paths: usize,
    /// Factor at the start, ≥ 1.
    pub scale: f64,
    /// Updates until the factor is 1.
    pub updates: u64,
}

impl Default for Exploration {
    fn default() -> Self {
        Self {
            paths: 0,
            scale: 1.5,
            updates: 1000,
        }
    }
}

impl Exploration {
    /// Returns the factor at an update.
    pub fn scale_at(&self, update: u64) -> f64 {
        let left = 1.0 - update as f64 / self.updates.max(1) as f64;
        1.0 + (self.scale - 1.0) * left.max(0.0)
    }
}

/// Replay by condition: an entry holds a condition and its best samples with their raw values.
///
/// An entry is drawn with probability ∝ (1 + rank of its best value)^−value_priority ·
/// (1 + rank of its age)^−recency_priority.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayOptions {
    /// Entries replayed per update; 0 = no replay.
    pub groups: usize,
    /// Samples per entry, ≥ 2.
    pub paths: usize,
    /// Entries kept; the oldest goes first.
    pub capacity: usize,
    /// Exponent of the rank by value.
    pub value_priority: f64,
    /// Exponent of the rank by age.
    pub recency_priority: f64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            groups: 0,
            paths: 8,
            capacity: 1024,
            value_priority: 0.5,
            recency_priority: 0.5,
        }
    }
}

/// Dual ascent on log α: α grows while the path-KL is above the budget, and shrinks below it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlBudget {
    /// Path-KL from posterior to prior, in nats; 0 = α stays as it is.
    pub nats: f64,
    /// Step of log α per update and per relative excess.
    pub rate: f64,
}

impl Default for KlBudget {
    fn default() -> Self {
        Self {
            nats: 0.0,
            rate: 0.02,
        }
    }
}

impl KlBudget {
    /// Returns the next α after a measured path-KL.
    pub(crate) fn next(&self, alpha: f64, path_kl: f64) -> f64 {
        if self.nats <= 0.0 {
            return alpha;
        }
        let excess = (path_kl / self.nats - 1.0).clamp(-1.0, 1.0);
        alpha * (self.rate * excess).exp()
    }
}
