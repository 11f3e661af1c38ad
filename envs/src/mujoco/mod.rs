//! MuJoCo as an engine, loaded at run time: nothing of it is needed to build this crate.

mod data;
mod environment;
mod library;
pub mod mjcf;
mod mjcf_env;
mod mjcf_rules;
mod mjcf_spec;
mod readings;

pub use data::Data;
pub use environment::MujocoLocomotion;
pub use library::{Library, Model};
pub use mjcf_env::MjcfEnv;
pub use mjcf_rules::{HealthyRange, MjcfRules, Observed, Progress, Velocity};
pub use readings::Reading;
