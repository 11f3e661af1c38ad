//! Environments against what is known of them: recordings, MuJoCo, other programs, trained agents. One binary, because each is linked anew.
#![allow(clippy::unwrap_used)]

mod conformity;
mod cs285_transitions;
mod determinism;
mod docs;
mod gymnasium_traces;
mod mjcf;
mod mujoco;
mod python;
mod render;
mod single_precision;
#[path = "../support/mod.rs"]
mod support;
mod trained_agents;
mod warm_start;
