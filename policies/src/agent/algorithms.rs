//! The table of the algorithms that configurations can name.
//!
//! To add one, write its file and a line of `KINDS`.

mod batch;
mod bc;
mod deterministic;
mod diffusion_ql;
mod diffusion_steps;
mod idql;
mod iql;
mod keys;
mod rebrac;
mod td3bc;

use serde_json::Map;

use super::algorithm::{AlgorithmKind, Trains};

/// Relative trajectory balance: what runs do unless another algorithm is named. Its settings are those of prior, critic and
/// fine-tuning.
const RTB: AlgorithmKind = AlgorithmKind {
    name: "rtb",
    summary: "diffusion prior, critic, and the posterior by relative trajectory balance (default)",
    settings: Vec::new,
    defaults: Map::new,
    changes: "",
    trains: Trains::Posterior,
};

/// The table, in the order in which it is printed.
const KINDS: [AlgorithmKind; 7] = [
    RTB,
    bc::KIND,
    td3bc::KIND,
    rebrac::KIND,
    iql::KIND,
    idql::KIND,
    diffusion_ql::KIND,
];

impl AlgorithmKind {
    /// Returns all algorithms.
    pub const fn all() -> &'static [Self] {
        &KINDS
    }
}
