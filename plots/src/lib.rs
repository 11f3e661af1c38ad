//! Turns numbers into pictures: every figure is written as `STEM.svg`, `STEM.png` and `STEM.csv`.
//!
//! The crate computes nothing but layout. What is drawn is what was handed in, and the same numbers lie beside
//! the picture as CSV. The same figure gives the same bytes; no font or library of the system is used.
//!
//! | figure | function | shows |
//! |---|---|---|
//! | [`Curve`] | [`curve`] | lines over updates, with bands and labelled reference lines |
//! | [`Intervals`] | [`intervals`] | final scores as dots with intervals, in groups |
//! | [`Panels`] | [`panels`] | small multiples: loss, log Z, ESS, KL |
//! | [`Histogram`] | [`histogram`] | counts between edges |
//! | [`Clouds`] | [`clouds`] | two-dimensional samples side by side on shared axes |
//! | [`Tiles`] | [`tiles`] | small grey images in labelled blocks |
//!
//! ```
//! # fn main() -> Result<(), tiltrl_plots::PlotError> {
//! use tiltrl_plots::{Band, Curve, Series, curve};
//! let returns = Series {
//!     label: "posterior".into(),
//!     x: vec![0.0, 1000.0, 2000.0],
//!     y: vec![310.0, 402.0, 455.0],
//!     band: Some(Band {
//!         low: vec![290.0, 380.0, 440.0],
//!         high: vec![330.0, 425.0, 470.0],
//!     }),
//! };
//! let figure = Curve {
//!     title: "The posterior beats its prior".into(),
//!     subtitle: "Mean return of 20 episodes, 3 seeds".into(),
//!     x_label: "Updates".into(),
//!     y_label: "Return".into(),
//!     series: vec![returns],
//!     references: vec![("prior".into(), 310.0)],
//!     log_y: false,
//! };
//! let folder = std::env::temp_dir().join("tiltrl-plots-example");
//! let files = curve(&figure, &folder.join("returns"))?;
//! assert_eq!(files.len(), 3);
//! # std::fs::remove_dir_all(folder).ok();
//! # Ok(())
//! # }
//! ```
//!
//! `curve_svg`, `intervals_svg` and `panels_svg` return the SVG alone, in a width of one's own: for pages that phones read too.
//!
//! Values that are not finite break a line and are counted under the title; they are never moved or invented.
//! An existing figure with the same stem is replaced; each file is written beside its place and renamed, so a
//! reader never sees half of one.

mod axes;
mod clouds;
mod color;
mod curve;
mod error;
mod header;
mod histogram;
mod intervals;
#[cfg(test)]
mod layout;
mod legend;
mod lines;
mod output;
mod paint;
mod panels;
mod raster;
mod scale;
mod scene;
mod series;
mod style;
mod svg;
mod table;
mod text;
mod ticks;
mod tiles;
mod vector;

pub use clouds::{Cloud, Clouds, clouds};
pub use curve::curve;
pub use error::PlotError;
pub use histogram::{Histogram, histogram};
pub use intervals::{IntervalRow, Intervals, intervals};
pub use panels::{Panels, panels};
pub use series::{Band, Curve, Series};
pub use svg::{curve_svg, intervals_svg, panels_svg};
pub use tiles::{Block, Tiles, tiles};
