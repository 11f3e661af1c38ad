//! ReBRAC (Tarasov et al. 2023, arXiv:2305.09836): TD3+BC with a penalty in the critic too, deeper networks, layer normalisation in
//! the critics and large batches.

use serde::{Deserialize, Serialize};

use super::deterministic::{Deterministic, Plan};
use super::keys::{
    BATCH, DISCOUNT, HIDDEN, LAYER_NORM, NOISE_CLIP, NORMALIZE, POLICY_EVERY, POLICY_NOISE, RATE,
    REWARD_SCALE, TARGET_RATE, UPDATE_COUNT, key,
};
use crate::agent::algorithm::{AlgorithmKind, Trains};
use crate::agent::critic::{object, parse};
use crate::agent::setting::Range;

/// Settings, the authors'; the two penalties are chosen per task, see the presets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebrac {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub layer_norm: bool,
    pub learning_rate: f64,
    pub actor_bc: f64,
    pub critic_bc: f64,
    pub discount: f64,
    pub target_rate: f64,
    pub policy_noise: f64,
    pub noise_clip: f64,
    pub policy_every: u64,
    pub normalize: bool,
    pub reward_scale: String,
}

impl Default for Rebrac {
    fn default() -> Self {
        Self {
            updates: 100_000,
            batch_size: 1024,
            hidden: vec![256, 256, 256],
            layer_norm: true,
            learning_rate: 1e-3,
            actor_bc: 0.01,
            critic_bc: 0.01,
            discount: 0.99,
            target_rate: 0.005,
            policy_noise: 0.2,
            noise_clip: 0.5,
            policy_every: 2,
            normalize: false,
            reward_scale: "raw".into(),
        }
    }
}

impl Rebrac {
    /// β₁ ‖π − a‖² − min Q/mean |min Q|; the target is less by β₂ ‖a′ − a′_data‖². The last layers start small.
    pub(super) fn plan(&self) -> Plan {
        let width = self.hidden.last().map_or(1.0, |&width| width as f32);
        Plan {
            updates: self.updates,
            batch_size: self.batch_size,
            hidden: self.hidden.clone(),
            layer_norm: self.layer_norm,
            learning_rate: self.learning_rate as f32,
            discount: self.discount,
            target_rate: self.target_rate as f32,
            policy_noise: self.policy_noise as f32,
            noise_clip: self.noise_clip as f32,
            policy_every: self.policy_every,
            normalize: self.normalize,
            actor_penalty: self.actor_bc as f32,
            critic_penalty: self.critic_bc as f32,
            value_weight: 1.0,
            lowest: true,
            last_scales: [1e-3 * width.sqrt(), 3e-3 * width.sqrt()],
        }
    }
}

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "rebrac",
    summary: "ReBRAC: TD3+BC with a penalty in the critic too, layer normalisation and large batches",
    settings: || {
        let weight = |name, meaning| key(name, Range::Number(0.0, 1e6), meaning);
        vec![
            UPDATE_COUNT,
            BATCH,
            HIDDEN,
            LAYER_NORM,
            RATE,
            weight("actor_bc", "Weight β₁ of ‖π(s) − a‖² in the policy's loss"),
            weight(
                "critic_bc",
                "Weight β₂ of ‖a′ − a′_data‖² in the critic's target",
            ),
            DISCOUNT,
            TARGET_RATE,
            POLICY_NOISE,
            NOISE_CLIP,
            POLICY_EVERY,
            NORMALIZE,
            REWARD_SCALE,
        ]
    },
    defaults: || object(&Rebrac::default()),
    changes: "",
    trains: Trains::Policy(|settings, shape, observation| {
        let plan = parse::<Rebrac>(settings)?.plan();
        Ok(Box::new(Deterministic::new(plan, shape, observation)))
    }),
};
