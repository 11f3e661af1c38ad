//! Sweeps: configurations of one experiment side by side, and how well the best of them can be found.

mod file;
mod picture;
mod pulls;
mod reader;
mod space;
mod table;
mod values;

pub use file::Sweep;
pub use picture::{csv as pulls_csv, figure as pulls_figure};
pub use pulls::{Curve, Settings, best_of, curve};
pub use space::Configuration;
pub use table::{Line, Lines, lines, markdown, sweep_csv};
