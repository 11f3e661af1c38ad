//! Sizes and colours. A figure of 800 CSS pixels printed 9 cm wide shows text of 17 pixels at 5.4 points.

use crate::color::Color;

/// Width of a figure in CSS pixels.
pub(crate) const WIDTH: f64 = 800.0;
/// Figures narrower than this have one column and no names beside the plot.
pub(crate) const NARROW: f64 = 600.0;
/// Least height of a curve or histogram in CSS pixels.
pub(crate) const HEIGHT: f64 = 500.0;
/// Greatest height of any figure in CSS pixels.
pub(crate) const HEIGHT_LIMIT: f64 = 8000.0;
/// Greatest width of any figure in CSS pixels.
pub(crate) const WIDTH_LIMIT: f64 = 2400.0;
/// White space around a figure.
pub(crate) const MARGIN: f64 = 22.0;

/// Text size of the title.
pub(crate) const TITLE: f64 = 25.0;
/// Text size of everything else.
pub(crate) const TEXT: f64 = 18.0;
/// Text size of notes inside small multiples.
pub(crate) const NOTE: f64 = 16.0;
/// Height of one row of text.
pub(crate) const ROW: f64 = 25.0;

/// Width of a data line.
pub(crate) const LINE: f64 = 2.8;
/// Width of a data line in a small multiple.
pub(crate) const FINE_LINE: f64 = 1.8;
/// Width of a reference line.
pub(crate) const REFERENCE_LINE: f64 = 2.0;
/// Length of the piece of line that stands for a series beside its label.
pub(crate) const SWATCH: f64 = 28.0;

/// Colour of the title.
pub(crate) const INK: Color = Color::new(0x1f, 0x1f, 0x1f);
/// Labels of axes, series and ticks.
pub(crate) const LABEL: Color = Color::new(0x3a, 0x3a, 0x3a);
/// Subtitle and notes.
pub(crate) const GREY: Color = Color::new(0x66, 0x66, 0x66);
/// Colour of reference lines.
pub(crate) const REFERENCE: Color = Color::new(0x50, 0x50, 0x50);
/// Colour of the axes' lines.
pub(crate) const AXIS: Color = Color::new(0x8a, 0x8a, 0x8a);
/// Colour of the grid.
pub(crate) const GRID: Color = Color::new(0xe4, 0xe4, 0xe4);
/// Colour of the background.
pub(crate) const PAPER: Color = Color::new(0xff, 0xff, 0xff);

/// Okabe and Ito's colours that are dark enough for a line on white: without the yellow, black last.
const SERIES: [Color; 7] = [
    Color::new(0x00, 0x72, 0xb2),
    Color::new(0xd5, 0x5e, 0x00),
    Color::new(0x00, 0x9e, 0x73),
    Color::new(0xcc, 0x79, 0xa7),
    Color::new(0xe6, 0x9f, 0x00),
    Color::new(0x56, 0xb4, 0xe9),
    Color::new(0x00, 0x00, 0x00),
];

/// Dashes of the second, third, … round of colours; the first round is solid.
const ROUNDS: [&[f64]; 4] = [&[], &[9.0, 5.0], &[2.5, 4.5], &[12.0, 4.0, 2.5, 4.0]];

/// Dashes of the references, all in grey.
const REFERENCES: [&[f64]; 4] = [
    &[9.0, 6.0],
    &[2.5, 4.5],
    &[14.0, 4.0, 2.5, 4.0],
    &[18.0, 8.0],
];

/// Returns colour and dashes of series number `index`.
pub(crate) fn series(index: usize) -> (Color, &'static [f64]) {
    (
        SERIES[index % SERIES.len()],
        ROUNDS[index / SERIES.len() % ROUNDS.len()],
    )
}

/// Returns the dashes of reference number `index`.
pub(crate) fn reference(index: usize) -> &'static [f64] {
    REFERENCES[index % REFERENCES.len()]
}
