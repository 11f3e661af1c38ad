//! Gymnasium's small MuJoCo tasks on the embedded engine: InvertedPendulum, InvertedDoublePendulum and Reacher.

pub(crate) mod double_pendulum;
mod environment;
pub(crate) mod pendulum;
pub(crate) mod reacher;

pub use double_pendulum::{DoublePendulumRule, inverted_double_pendulum};
pub use environment::{Balance, Rule, Snapshot};
pub use pendulum::{PendulumRule, inverted_pendulum};
pub use reacher::{ReacherRule, reacher};
