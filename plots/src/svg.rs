//! Figures as the text of an SVG document of a given width, without a file.

use crate::scene::{Mark, Rect, Scene};
use crate::{Curve, Intervals, Panels, PlotError, curve, intervals, lines, panels, style, vector};

/// Returns a curve as SVG, `width` CSS pixels wide; below 600 the names of lines stand above the plot.
///
/// # Errors
/// As for [`crate::curve()`], but for files.
pub fn curve_svg(figure: &Curve, width: f64) -> Result<String, PlotError> {
    lines::check(figure)?;
    document(curve::scene(figure, width)?)
}

/// Returns intervals as SVG, `width` CSS pixels wide.
///
/// # Errors
/// As for [`crate::intervals()`], but for files.
pub fn intervals_svg(figure: &Intervals, width: f64) -> Result<String, PlotError> {
    document(intervals::scene(figure, width)?)
}

/// Returns small multiples as SVG, at least `width` CSS pixels wide; below 600 in one column.
///
/// # Errors
/// As for [`crate::panels()`], but for files.
pub fn panels_svg(figure: &Panels, width: f64) -> Result<String, PlotError> {
    for panel in &figure.panels {
        lines::check(panel)?;
    }
    document(panels::scene(figure, width)?)
}

fn document(mut scene: Scene) -> Result<String, PlotError> {
    (scene.width, scene.height) = (scene.width.ceil(), scene.height.ceil());
    let rect = Rect::new(0.0, 0.0, scene.width, scene.height);
    let color = style::PAPER;
    scene.marks.insert(0, Mark::Block { rect, color });
    vector::svg(&scene)
}
