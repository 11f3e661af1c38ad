//! Sequential models: how steps are drawn and scored. The network is an argument.

pub mod autoregressive;
pub mod gaussian;
pub mod masked;
pub mod schedule;
pub mod strings;
