//! Lines over updates: return curves with a band over seeds, losses, anything with an x and a y.

use std::path::{Path, PathBuf};

use crate::axes::Plan;
use crate::legend::{self, End, Entry};
use crate::scene::{Rect, Scene};
use crate::series::Curve;
use crate::style::{HEIGHT, MARGIN, NARROW, WIDTH};
use crate::table::{Field, Table};
use crate::{PlotError, header, lines, output, text};

/// Least height of the plot itself.
const LEAST: f64 = 260.0;

/// Draws the curve and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has one row for each point and each reference, with the columns
/// `kind,series,x,y,low,high`; `kind` is `series` or `reference`.
///
/// # Errors
///
/// [`PlotError::Empty`] if no point has a place, [`PlotError::Length`] if columns of a series differ in length,
/// [`PlotError::Io`] if a file cannot be written.
pub fn curve(figure: &Curve, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    lines::check(figure)?;
    let mut table = Table::new("kind,series,x,y,low,high");
    rows(figure, None, &mut table);
    output::write(scene(figure, WIDTH)?, table.finish(), stem)
}

/// Returns the figure laid out in `width` pixels; below [`NARROW`] the names stand above the plot.
pub(crate) fn scene(figure: &Curve, width: f64) -> Result<Scene, PlotError> {
    let (x, y) = lines::domains(figure).ok_or_else(|| empty(&figure.title, figure.log_y))?;
    let plan = Plan {
        x,
        y,
        x_label: text::clean(&figure.x_label),
        y_label: text::clean(&figure.y_label),
    };
    let entries = lines::entries(figure);
    let mut scene = Scene::new(&figure.title, &figure.subtitle, width);
    let (one, many) = missing(figure.log_y);
    let mut top = header::draw(
        &mut scene,
        &header::left_out(lines::left_out(figure), one, many),
    );

    let named: Vec<Entry> = entries
        .iter()
        .filter(|entry| !entry.label.is_empty())
        .cloned()
        .collect();
    let height = |top: f64| (HEIGHT - top - plan.room_below() - MARGIN + 8.0).max(LEAST);
    let beside = legend::room_beside(&named, height(top)).filter(|_| width >= NARROW);
    if beside.is_none() {
        top = legend::above(&mut scene, &named, top);
    }
    let bottom = top + height(top);
    let left = MARGIN + plan.room_left(bottom - top);
    let right = width - MARGIN - beside.unwrap_or(0.0);
    let right = right.min(width - 8.0 - plan.room_right(right - left));
    scene.height = bottom + plan.room_below() + MARGIN - 8.0;
    let axes = plan.draw(
        &mut scene,
        Rect::new(left, top, right, bottom),
        left - MARGIN,
    );
    lines::draw(&mut scene, &axes, figure, &entries);
    if beside.is_some() {
        let ends = lines::ends(&axes, figure).into_iter().zip(&entries);
        let ends: Vec<End> = ends
            .filter(|(_, entry)| !entry.label.is_empty())
            .map(|(end, _)| end)
            .collect();
        legend::beside(&mut scene, &named, &ends, axes.inner);
    }
    Ok(scene)
}

/// Returns what a value without a place is called, one and many.
pub(crate) fn missing(log_y: bool) -> (&'static str, &'static str) {
    if log_y {
        (
            "value not finite and positive,",
            "values not finite and positive,",
        )
    } else {
        ("value not finite,", "values not finite,")
    }
}

/// Returns the error for a figure in which no point has a place.
pub(crate) fn empty(title: &str, log_y: bool) -> PlotError {
    let (reason, hint) = if log_y {
        (
            "no series has a finite, positive value",
            "Draw it on a linear axis, or check that training logged any value",
        )
    } else {
        (
            "no series has a finite value",
            "Check that the run has logged at least one row before it is plotted",
        )
    };
    PlotError::Empty {
        figure: title.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Adds the numbers of a curve to a table; `panel` is its first column if there is one.
pub(crate) fn rows(figure: &Curve, panel: Option<&str>, table: &mut Table) {
    let mut row = |fields: [Field<'_>; 6]| {
        let panel = panel.map(Field::Words);
        table.row(&panel.into_iter().chain(fields).collect::<Vec<_>>());
    };
    for series in &figure.series {
        for (index, (x, y)) in series.x.iter().zip(&series.y).enumerate() {
            let edge = |side: Option<&Vec<f64>>| {
                side.map_or(Field::Nothing, |side| Field::Number(side[index]))
            };
            let low = edge(series.band.as_ref().map(|band| &band.low));
            let high = edge(series.band.as_ref().map(|band| &band.high));
            let label = Field::Words(&series.label);
            row([
                Field::Words("series"),
                label,
                Field::Number(*x),
                Field::Number(*y),
                low,
                high,
            ]);
        }
    }
    for (label, value) in &figure.references {
        let words = [Field::Words("reference"), Field::Words(label)];
        let [kind, label] = words;
        row([
            kind,
            label,
            Field::Nothing,
            Field::Number(*value),
            Field::Nothing,
            Field::Nothing,
        ]);
    }
}
