//! TiltRL: diffusion policies as priors, tilted by a critic into the posterior π(a|s) ∝ μ(a|s) exp(Q(s, a)/α).

pub mod actor;
pub mod agent;
mod agent_choices;
mod agent_dial;
pub mod agent_policy;
pub mod card;
pub mod commands;
pub mod comparison;
pub mod config;
pub mod console;
pub mod data;
pub mod device;
pub mod dial_curve;
pub mod error;
pub mod export;
pub mod files;
pub mod jobs;
pub mod page;
pub mod pictures;
pub mod policy_name;
mod protobuf;
pub mod quickstart;
pub mod report;
pub mod rollout;
pub mod run;
pub mod scripted;
pub mod stage;
pub mod stats;
pub mod sweep;
pub mod systems;
pub mod tensorboard;
pub mod train;
pub mod video;

pub use agent::Agent;
pub use tiltrl_envs as envs;
pub use tiltrl_plots as plots;
pub use tiltrl_policies as policies;
pub use tiltrl_tilt as tilt;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
