//! Offline data: reading, writing, recording, summarising. `formats` lists what is built in; [`register`] adds a format.
//!
//! A file of D4RL's layout holds one row per timestep, all episodes after one another:
//! `observations` `[N, observation_dim]`, `actions` `[N, action_dim]`, `rewards` `[N]`,
//! `terminals` `[N]` (the task ended: no bootstrap), `timeouts` `[N]` (the clock ended: bootstrap),
//! and sometimes `next_observations` `[N, observation_dim]`. Reference: Fu et al., D4RL
//! (arXiv 2004.07219) and its `qlearning_dataset`. Readers of other layouts give the same rows.

mod arrays;
mod attributes;
mod collector;
mod column;
mod columns;
mod container;
mod csv;
mod d3rlpy;
mod dataset;
mod decode;
mod dense;
mod ends;
mod error;
mod explain;
mod faults;
mod file;
mod formats;
mod fragments;
mod hdf5_messages;
mod hdf5_writer;
mod hints;
mod join;
mod link;
mod links;
mod matrix;
mod minari;
mod notes;
mod npy;
mod npz;
mod ogbench;
mod options;
mod parquet_table;
mod plan;
mod read;
mod recording;
mod scratch;
mod settle;
mod signature;
mod spaces;
mod successors;
mod summary;
mod suspicions;
mod table;
mod tabular;
mod transitions;
mod units;
mod write;
mod write_minari;
mod zip;

pub(crate) use arrays::{Array, npz_arrays};
pub use attributes::read_attributes;
pub use collector::{Ending, NextObservations, Recorder, Transition};
pub use dataset::{Dataset, Interruptions, Source};
pub use error::DataError;
pub use formats::{Format, formats, register};
pub(crate) use hints::nearest;
pub use matrix::Matrix;
pub use minari::{minari_name, minari_root};
pub use notes::{Note, NoteKind};
pub use options::{BothFlags, Environment, ReadOptions};
pub use scratch::Floats;
pub use summary::{Histogram, NormalizedScore, Statistics, Summary, summarize};
pub use transitions::Transitions;
pub use units::{ActionBounds, clip_actions};
pub use write::{write, write_in_own_units};
pub use write_minari::{Written, write_minari};
