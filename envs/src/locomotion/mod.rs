//! The locomotion tasks: HalfCheetah, Hopper and Walker2d under Gymnasium's v4 (= D4RL's) and v5 rules.

mod catalogue;
mod environment;
mod fleet;
mod rules;
mod task;

pub use catalogue::{Variant, half_cheetah, hopper, walker2d};
pub use environment::Locomotion;
pub use fleet::LocomotionFleet;
pub use rules::{Health, LocomotionRules, StartNoise};
pub use task::{Precision, Task};
