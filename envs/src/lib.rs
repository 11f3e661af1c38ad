//! Control environments with an embedded physics engine.
//!
//! HalfCheetah, Hopper and Walker2d run on a planar articulated-body engine that reproduces MuJoCo's equations; the
//! classic systems are written out. Environments are made by id, stepped alone ([`Env`]) or many at a time
//! ([`EnvBatch`]), and need nothing installed.
//!
//! ```
//! let mut env = tiltrl_envs::make("hopper-v4")?;
//! let mut observation = vec![0.0; env.spec().observation_dim];
//! env.reset(0, &mut observation);
//! let step = env.step(&[0.0, 0.0, 0.0], &mut observation);
//! assert!(step.reward > 0.0 && !step.terminated);
//! # Ok::<(), tiltrl_envs::EnvError>(())
//! ```

pub mod balance;
mod batch;
#[cfg(feature = "burn-rl")]
pub mod burn_rl;
pub mod classic;
pub mod conformity;
mod dispatch;
pub mod docs;
mod env;
mod error;
mod fleet;
#[cfg(feature = "cuda")]
pub mod gpu;
#[cfg(feature = "gymnasium-rs")]
pub mod gymnasium_rs;
pub mod locomotion;
pub mod mujoco;
mod options;
pub mod planar;
pub mod python;
pub mod random;
mod registry;
pub mod render;
pub mod scores;
pub mod vector;
pub mod wrappers;

pub use batch::EnvBatch;
pub use env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
pub use error::EnvError;
pub use options::{Engine, EnvOptions};
pub use planar::Margin;
pub use registry::{
    ids, make, make_stateful, make_with, mjcf_ids, register, registered_ids, spec_of, spec_with,
};
pub use scores::ReferenceScores;
