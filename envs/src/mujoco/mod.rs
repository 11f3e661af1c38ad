//! MuJoCo as an engine, loaded at run time: nothing of it is needed to build this crate.

mod environment;
mod library;
pub mod mjcf;
mod mjcf_env;
mod mjcf_rules;

pub use environment::MujocoLocomotion;
pub use library::{Data, Library, Model};
pub use mjcf_env::MjcfEnv;
pub use mjcf_rules::{MjcfRules, Velocity};
