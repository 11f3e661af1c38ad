//! Models, networks and agents: what relative trajectory balance ([`tilt`]) works on.
//!
//! A prior μ(a|s) is a [`models::GaussianDiffusion`] over a network of [`nets`]; an [`agent::Critic`] says what an
//! action is worth; [`tilt::finetune::Finetuner`] turns the prior into the posterior π(a|s) ∝ μ(a|s) exp(Q(s, a)/α).
#![forbid(unsafe_code)]

pub mod agent;
mod compute;
pub mod fast;
pub mod models;
pub mod nets;
pub mod worlds;

pub use {compute::Compute, tiltrl_tilt as tilt};
