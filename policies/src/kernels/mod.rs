//! Fused CPU operations: what burn's portable backend leaves on the table for small networks.

pub mod adam;
pub mod fused;
pub mod host;
pub mod math;
#[allow(unsafe_code)]
pub mod matmul;
pub mod mlp;
pub mod parallel;
pub mod pass;
pub mod rows;
