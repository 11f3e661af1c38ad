//! The door to the CPU engine: the only file here that names it. A model or critic asks through these names for its fast form.

pub use tiltrl_cpu::{
    Activation, Arithmetic, Engine, HostAdam, HostField, MlpSpec, NetworkPass, Networks,
    build_pool, bytes_per_row, for_each,
};
pub(crate) use tiltrl_cpu::{
    Diffusion, DiffusionStep, HostScores, Keep, LayerOffsets, PathSampler, host_scores, mlp_forward,
};
