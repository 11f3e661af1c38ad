//! The table of the algorithms that configurations can name.
//!
//! To add one, write its file and a line of `KINDS`.

mod batch;
mod bc;
mod deterministic;
mod diffusion_ql;
mod diffusion_steps;
mod iql;
mod keys;
mod rebrac;
mod td3bc;

use serde_json::{Map, Value};

use super::algorithm::{AlgorithmKind, Trains};
use super::setting::{Range, Setting};

/// Relative trajectory balance: what runs do unless another algorithm is named. Its settings are those of prior, critic and
/// fine-tuning.
const RTB: AlgorithmKind = AlgorithmKind {
    name: "rtb",
    summary: "diffusion prior, critic, and the posterior by relative trajectory balance (default)",
    settings: Vec::new,
    defaults: Map::new,
    trains: Trains::Posterior,
};

/// Implicit Q-learning as a diffusion policy (Hansen-Estruch et al. 2023, arXiv:2304.10573).
const IDQL: AlgorithmKind = AlgorithmKind {
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
    trains: Trains::PriorAndCritic,
};

/// Every algorithm.
const KINDS: [AlgorithmKind; 7] = [
    RTB,
    bc::KIND,
    td3bc::KIND,
    rebrac::KIND,
    iql::KIND,
    IDQL,
    diffusion_ql::KIND,
];

/// Returns all algorithms.
pub fn kinds() -> &'static [AlgorithmKind] {
    &KINDS
}

/// Returns the algorithm of that name.
pub fn kind(name: &str) -> Option<AlgorithmKind> {
    KINDS.into_iter().find(|k| k.name == name)
}
