//! The planar robots, each with its numbers, their units and their source.

mod half_cheetah;
mod hopper;
mod walker2d;

pub use half_cheetah::HALF_CHEETAH;
pub use hopper::HOPPER;
pub use walker2d::{WALKER2D, WALKER2D_V5};
