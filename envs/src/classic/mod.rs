//! Classic control: small systems whose equations of motion are written out.

pub(crate) mod cart_pole;
pub mod maze_layouts;
pub(crate) mod mountain_car;
pub(crate) mod pendulum;
pub(crate) mod point_maze;

pub use cart_pole::CartPole;
pub use mountain_car::MountainCar;
pub use pendulum::Pendulum;
pub use point_maze::{MazeReward, PointMaze};
