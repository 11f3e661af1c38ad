//! What can go wrong when a figure is drawn or written.

use std::path::PathBuf;

/// Why a figure could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// No finite number is left to draw.
    #[error("figure {figure:?} has nothing to draw: {reason}. {hint}")]
    Empty {
        /// The figure's title.
        figure: String,
        /// What is missing.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// Two columns that belong together differ in length.
    #[error("figure {figure:?}: {what} should have {expected} values, found {found}")]
    Length {
        /// The figure's title.
        figure: String,
        /// The column that is too short or too long.
        what: String,
        /// How many values it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Bounds or edges do not describe an axis.
    #[error("figure {figure:?}: {what} should be {expected}, found {found}")]
    Axis {
        /// The figure's title.
        figure: String,
        /// The numbers at fault.
        what: String,
        /// What they should be.
        expected: String,
        /// The numbers as they were found.
        found: String,
    },
    /// The picture would be larger than the limit.
    #[error(
        "figure {figure:?} would be {width} × {height} pixels, at most {width_limit} × {height_limit} are drawn: \
         draw fewer rows or panels in one figure, or fewer of them side by side"
    )]
    TooLarge {
        /// The figure's title.
        figure: String,
        /// The width it would have, in CSS pixels.
        width: usize,
        /// The height it would have, in CSS pixels.
        height: usize,
        /// The greatest width, in CSS pixels.
        width_limit: usize,
        /// The greatest height, in CSS pixels.
        height_limit: usize,
    },
    /// The stem has no file name, so no file can be named after it.
    #[error(
        "cannot name figures after {path:?}: give a path that ends in a file name, such as results/returns"
    )]
    Stem {
        /// The stem that was given.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The drawing library refused a mark or the encoding of the picture.
    #[error("figure {figure:?} could not be drawn: {reason}")]
    Draw {
        /// The figure's title.
        figure: String,
        /// What the library said.
        reason: String,
    },
}
