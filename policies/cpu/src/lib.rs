//! The CPU engine: what burn's portable backend leaves on the table for small networks.
//!
//! Models see it through one door, this file: fused perceptrons ([`mlp_forward`]), compiled paths of diffusion policies
//! ([`PathSampler`]), sets of perceptrons trained together ([`Networks`]) and an optimizer that steps parameters where they lie
//! ([`HostAdam`]). Everything takes an [`Engine`], whose arithmetic and buffers are values: nothing here is global.

mod adam;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod amx;
mod arithmetic;
mod engine;
mod fused;
mod host;
mod linear;
mod math;
mod mlp;
mod networks;
mod parallel;
mod pass;
mod paths;
#[allow(unsafe_code)]
mod product;
mod rows;
mod shape;
mod train;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod transpose;

pub use adam::{Average, HostAdam};
pub use arithmetic::Arithmetic;
pub use engine::Engine;
pub use fused::{mlp_forward, mlp_portable};
pub use linear::{HostScores, host_scores};
pub use math::Activation;
pub use networks::{NetworkPass, Networks};
pub use parallel::{build_pool, for_each};
pub use paths::{Diffusion, DiffusionStep, HostField, Keep, PathSampler, bytes_per_row};
pub use shape::{LayerOffsets, MlpSpec};
