//! The embedded physics engine: articulated bodies in the plane, joint limits, contacts with the floor and between
//! links, by MuJoCo's equations (`description` → `compile` → `model` → `engine`).

pub mod ball;
pub mod compile;
mod constraints;
mod contact;
pub mod description;
pub mod drawing;
mod dynamics;
pub mod engine;
mod kinematics;
pub mod lanes;
pub mod model;
#[cfg(all(test, feature = "phases"))]
mod phases;
pub mod robots;
mod segments;
mod solver;
mod tree;
pub(crate) mod trigonometry;

pub use compile::compile;
pub use description::{Margin, RobotDescription};
#[cfg(feature = "cuda")]
pub(crate) use segments::PARALLEL;
