//! Offline data in D4RL's HDF5 layout: reading, writing, recording, summarising.
//!
//! A file holds one row per timestep, all episodes after one another:
//! `observations` `[N, observation_dim]`, `actions` `[N, action_dim]`, `rewards` `[N]`,
//! `terminals` `[N]` (the task ended: no bootstrap), `timeouts` `[N]` (the clock ended: bootstrap),
//! and sometimes `next_observations` `[N, observation_dim]`. Reference: Fu et al., D4RL
//! (arXiv 2004.07219) and its `qlearning_dataset`. Minari and OGBench files are not read here.

mod collector;
mod dataset;
mod error;
mod file;
mod read;
mod signature;
mod summary;
mod table;
mod transitions;
mod write;

pub use collector::{Ending, NextObservations, Recorder, Row};
pub use dataset::{Dataset, Source};
pub use error::DataError;
pub use file::read_attributes;
pub use summary::{Histogram, NormalizedScore, Statistics, Summary, summarize};
pub use transitions::Transitions;
pub use write::write;
