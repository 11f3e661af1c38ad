//! Episodes on a card, without one: a driver that is none runs the kernels' twins on the processor.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "../../envs/tests/support/fake.rs"]
mod fake;
#[path = "../../envs/tests/support/twin.rs"]
mod twin;

mod commands;
mod episodes;
#[cfg(feature = "cuda-networks")]
mod networks;
mod policies;
mod trained;
