//! TD3+BC (Fujimoto and Gu 2021, arXiv:2106.06860): TD3 whose policy also regresses to the data's actions.

use serde::{Deserialize, Serialize};

use super::deterministic::{Deterministic, Plan};
use super::keys::{
    BATCH, DISCOUNT, HIDDEN, NOISE_CLIP, NORMALIZE, POLICY_EVERY, POLICY_NOISE, RATE, REWARD_SCALE,
    TARGET_RATE, UPDATE_COUNT, key,
};
use crate::agent::algorithm::{AlgorithmKind, Trains};
use crate::agent::critic::{object, parse};
use crate::agent::setting::Range;

/// Settings, the authors'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Td3Bc {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub learning_rate: f64,
    pub alpha: f64,
    pub discount: f64,
    pub target_rate: f64,
    pub policy_noise: f64,
    pub noise_clip: f64,
    pub policy_every: u64,
    pub normalize: bool,
    pub reward_scale: String,
}

impl Default for Td3Bc {
    fn default() -> Self {
        Self {
            updates: 100_000,
            batch_size: 256,
            hidden: vec![256, 256],
            learning_rate: 3e-4,
            alpha: 2.5,
            discount: 0.99,
            target_rate: 0.005,
            policy_noise: 0.2,
            noise_clip: 0.5,
            policy_every: 2,
            normalize: true,
            reward_scale: "raw".into(),
        }
    }
}

impl Td3Bc {
    /// −α Q₁/mean |Q₁| + the mean squared error over entries and rows.
    pub(super) fn plan(&self, action_dim: usize) -> Plan {
        Plan {
            updates: self.updates,
            batch_size: self.batch_size,
            hidden: self.hidden.clone(),
            layer_norm: false,
            learning_rate: self.learning_rate as f32,
            discount: self.discount,
            target_rate: self.target_rate as f32,
            policy_noise: self.policy_noise as f32,
            noise_clip: self.noise_clip as f32,
            policy_every: self.policy_every,
            normalize: self.normalize,
            actor_penalty: 1.0 / action_dim as f32,
            critic_penalty: 0.0,
            value_weight: self.alpha as f32,
            lowest: false,
            last_scales: [1.0; 2],
        }
    }
}

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "td3bc",
    summary: "TD3+BC: deterministic policy gradient with a pull to the data's actions",
    settings: || {
        let meaning = "Weight α of Q / mean |Q| against the squared distance to the data";
        let alpha = key("alpha", Range::Above(0.0, 1e6), meaning);
        vec![
            UPDATE_COUNT,
            BATCH,
            HIDDEN,
            RATE,
            alpha,
            DISCOUNT,
            TARGET_RATE,
            POLICY_NOISE,
            NOISE_CLIP,
            POLICY_EVERY,
            NORMALIZE,
            REWARD_SCALE,
        ]
    },
    defaults: || object(&Td3Bc::default()),
    changes: "",
    trains: Trains::Policy(|settings, shape, observation| {
        let plan = parse::<Td3Bc>(settings)?.plan(shape.action_dim);
        Ok(Box::new(Deterministic::new(plan, shape, observation)))
    }),
};
