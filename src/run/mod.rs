//! A run on disk: folder of seeds, locks, logs, results, and what may change between two calls.

mod changes;
mod folder;
mod lock;
mod log;
mod results;

pub use changes::{Change, allowed as allowed_changes};
pub use folder::{Provenance, RunDir, Seeds, read_state, seeds_in, write_state};
pub use lock::Lock;
pub use log::{Log, rounded};
pub use results::{Evaluation, Results};
