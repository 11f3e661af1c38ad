//! Trained actors of other programs: data generation and return oracles.
//!
//! A file is read by its ending: `.safetensors` and `.npz` hold the weights of Stable-Baselines3 or d3rlpy under those libraries' own
//! names (docs/actors.md), anything else is a flat file.

mod activation;
mod coordinates;
mod flat;
mod imported;
mod layout;
mod linear;
mod policy;
mod reading;
mod tensors;

pub use flat::FlatActor;
pub use imported::ImportedActor;
pub use policy::{Actor, ActorPolicy};
