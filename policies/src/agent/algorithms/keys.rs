//! Settings that several algorithms share.

use crate::agent::setting::{ROWS, Range, Setting, UPDATES};

pub(super) const fn key(key: &'static str, range: Range, meaning: &'static str) -> Setting {
    Setting {
        key,
        meaning,
        range,
    }
}

pub(super) const UPDATE_COUNT: Setting = key("updates", Range::Count(1, UPDATES), "Updates");
pub(super) const BATCH: Setting = key(
    "batch_size",
    Range::Count(2, ROWS),
    "Transitions per update",
);
pub(super) const HIDDEN: Setting = key(
    "hidden",
    Range::Counts(1, 1, 16_384),
    "Hidden widths of every network",
);
pub(super) const RATE: Setting = key(
    "learning_rate",
    Range::Above(0.0, f64::INFINITY),
    "Step size of Adam",
);
pub(super) const DISCOUNT: Setting = key("discount", Range::Between(0.0, 1.0), "Discount γ");
pub(super) const TARGET_RATE: Setting = key(
    "target_rate",
    Range::Above(0.0, 1.0),
    "Share of the online weights that enters the targets",
);
pub(super) const LAYER_NORM: Setting = key(
    "layer_norm",
    Range::Flag,
    "Layer normalisation in the critics",
);
pub(super) const NORMALIZE: Setting = key(
    "normalize",
    Range::Flag,
    "Networks see normalised observations; false = as they were recorded",
);
pub(super) const POLICY_NOISE: Setting = key(
    "policy_noise",
    Range::Number(0.0, 10.0),
    "Standard deviation of the noise on the target's action",
);
pub(super) const NOISE_CLIP: Setting = key(
    "noise_clip",
    Range::Number(0.0, 10.0),
    "Limit of that noise",
);
pub(super) const POLICY_EVERY: Setting = key(
    "policy_every",
    Range::Count(1, 1000),
    "Critic updates per update of the policy and of the targets",
);
pub(super) const REWARD_SCALE: Setting = key(
    "reward_scale",
    Range::Choice(&["raw", "range"]),
    "Rewards as recorded, or times 1000 / (highest − lowest return of an episode)",
);
