//! Implicit Q-learning as a diffusion policy (Hansen-Estruch et al. 2023, arXiv:2304.10573): prior and critic as they are, with the
//! authors' settings, and the best of several samples of the prior.

use serde_json::{Map, Value};

use crate::agent::algorithm::{AlgorithmKind, Trains};
use crate::agent::setting::{Range, Setting};

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "idql",
    summary: "IDQL: diffusion prior and one-step IQL critic, acting by the best of N samples by the lowest Q",
    settings: || {
        vec![Setting {
            key: "samples",
            meaning: "Samples N of the prior per action; the authors' range is 16 to 256",
            range: Range::Count(1, 65_536),
        }]
    },
    defaults: || Map::from_iter([("samples".to_string(), Value::from(64))]),
    changes: CHANGES,
    trains: Trains::PriorAndCritic,
};

/// What the authors set otherwise than the presets.
const CHANGES: &str = "
[prior]
batch_size = 512
learning_rate = 3e-4

[critic]
kind = \"iql\"
n_step = 1
layer_norm = false
expectile = 0.7
ensemble = 2
lcb = 0.0
";
