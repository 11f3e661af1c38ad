//! Fused CPU operations: what burn's portable backend leaves on the table for small networks.

pub mod adam;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod amx;
pub mod arithmetic;
pub mod fused;
pub mod host;
pub mod math;
pub mod mlp;
pub mod parallel;
pub mod pass;
#[allow(unsafe_code)]
pub mod product;
pub mod rows;
pub mod train;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod wide;
