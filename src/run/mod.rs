//! A run on disk: folder of seeds, locks, logs, results, and what may change between two calls.

mod changes;
mod commands;
mod folder;
mod lock;
mod log;
mod results;
mod seeds;
mod state;

pub use changes::{Change, allowed as allowed_changes, changes};
pub use commands::{commands, keep_notes, kept_notes, record_command, shell};
pub use folder::{Provenance, RunDir, seeds_in};
pub use lock::Lock;
pub use log::{Log, rounded};
pub use results::{Evaluation, Results};
pub use seeds::{Seeds, is_finished};
pub use state::{read_state, write_state};
