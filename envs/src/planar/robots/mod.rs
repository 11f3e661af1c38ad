//! The planar robots, each with its numbers, their units and their source.

mod half_cheetah;
mod hopper;
mod inverted_double_pendulum;
mod inverted_pendulum;
mod reacher;
mod walker2d;

pub use half_cheetah::HALF_CHEETAH;
pub use hopper::HOPPER;
pub use inverted_double_pendulum::INVERTED_DOUBLE_PENDULUM;
pub use inverted_pendulum::INVERTED_PENDULUM;
pub use reacher::REACHER;
pub use walker2d::{WALKER2D, WALKER2D_V5};
