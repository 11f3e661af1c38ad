//! Behaviour cloning: a deterministic policy regresses to the data's actions.

use serde::{Deserialize, Serialize};

use super::deterministic::{Deterministic, Plan};
use super::keys::{BATCH, DISCOUNT, HIDDEN, NORMALIZE, RATE, REWARD_SCALE, UPDATE_COUNT};
use crate::agent::algorithm::{AlgorithmKind, Trains};
use crate::agent::critic::{object, parse};

/// Settings, those of the CORL library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bc {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub learning_rate: f64,
    pub normalize: bool,
    /// Unused: every algorithm has one.
    pub discount: f64,
    pub reward_scale: String,
}

impl Default for Bc {
    fn default() -> Self {
        Self {
            updates: 100_000,
            batch_size: 256,
            hidden: vec![256, 256],
            learning_rate: 3e-4,
            normalize: true,
            discount: 0.99,
            reward_scale: "raw".into(),
        }
    }
}

impl Bc {
    /// The mean squared error over entries and rows, alone.
    pub(super) fn plan(&self, action_dim: usize) -> Plan {
        Plan {
            updates: self.updates,
            batch_size: self.batch_size,
            hidden: self.hidden.clone(),
            layer_norm: false,
            learning_rate: self.learning_rate as f32,
            discount: self.discount,
            target_rate: 1.0,
            policy_noise: 0.0,
            noise_clip: 0.0,
            policy_every: 1,
            normalize: self.normalize,
            actor_penalty: 1.0 / action_dim as f32,
            critic_penalty: 0.0,
            value_weight: 0.0,
            lowest: false,
            last_scales: [1.0; 2],
        }
    }
}

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "bc",
    summary: "behaviour cloning: a deterministic policy regresses to the data's actions",
    settings: || {
        vec![
            UPDATE_COUNT,
            BATCH,
            HIDDEN,
            RATE,
            NORMALIZE,
            DISCOUNT,
            REWARD_SCALE,
        ]
    },
    defaults: || object(&Bc::default()),
    changes: "",
    trains: Trains::Policy(|settings, shape, observation| {
        let plan = parse::<Bc>(settings)?.plan(shape.action_dim);
        Ok(Box::new(Deterministic::new(plan, shape, observation)))
    }),
};
