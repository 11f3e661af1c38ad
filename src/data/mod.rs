//! Offline data: reading, writing, recording, summarising. D4RL's HDF5 layout is built in; [`register`] adds a format.
//!
//! A file of D4RL's layout holds one row per timestep, all episodes after one another:
//! `observations` `[N, observation_dim]`, `actions` `[N, action_dim]`, `rewards` `[N]`,
//! `terminals` `[N]` (the task ended: no bootstrap), `timeouts` `[N]` (the clock ended: bootstrap),
//! and sometimes `next_observations` `[N, observation_dim]`. Reference: Fu et al., D4RL
//! (arXiv 2004.07219) and its `qlearning_dataset`. Minari and OGBench files are not read here.

mod attributes;
mod collector;
mod column;
mod dataset;
mod decode;
mod dense;
mod ends;
mod error;
mod explain;
mod file;
mod formats;
mod hints;
mod join;
mod link;
mod links;
mod notes;
mod options;
mod plan;
mod read;
mod signature;
mod successors;
mod summary;
mod suspicions;
mod table;
mod transitions;
mod units;
mod write;

pub use attributes::read_attributes;
pub use collector::{Ending, NextObservations, Recorder, Row};
pub use dataset::{Dataset, Interruptions, Source};
pub use error::DataError;
pub use formats::{Format, formats, register};
pub use notes::{Note, NoteKind};
pub use options::{BothFlags, Environment, ReadOptions};
pub use summary::{Histogram, NormalizedScore, Statistics, Summary, summarize};
pub use transitions::Transitions;
pub use units::{ActionBounds, clip_actions};
pub use write::write;
