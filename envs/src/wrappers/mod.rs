//! Environments around environments: each changes one thing and passes the rest through.

mod frame_stack;
mod normalize;
mod rescale;
mod statistics;
mod time_limit;

pub use frame_stack::FrameStack;
pub use normalize::{Moments, NormalizeObservation};
pub use rescale::RescaleAction;
pub use statistics::{EpisodeRecord, EpisodeStatistics};
pub use time_limit::TimeLimit;
