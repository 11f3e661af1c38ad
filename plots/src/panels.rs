//! Small multiples: several curves in a grid, with one legend.

use std::path::{Path, PathBuf};

use crate::axes::Plan;
use crate::curve;
use crate::legend::{self, Entry};
use crate::scene::{Align, Rect, Scene, Text, baseline};
use crate::series::Curve;
use crate::style::{FINE_LINE, GREY, INK, MARGIN, NARROW, NOTE, ROW, TEXT, WIDTH};
use crate::table::Table;
use crate::text::{self, Weight};
use crate::{PlotError, header, lines, output};

/// Height of the plot of one panel.
const PLOT: f64 = 150.0;
/// Between columns and between rows.
const GUTTER: f64 = 26.0;
/// Least width of a column, labels included.
const COLUMN: f64 = 360.0;

/// Several curves in a grid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panels {
    /// What the figure shows.
    pub title: String,
    /// How it was measured, in grey under the title.
    pub subtitle: String,
    /// The curves, filled in row by row. Series of the same label have the same colour in every panel.
    pub panels: Vec<Curve>,
    /// How many panels lie side by side; 0 means two.
    pub columns: usize,
}

/// A panel with its axes, or without if none of its points has a place.
struct Cell<'a> {
    curve: &'a Curve,
    plan: Option<Plan>,
}

/// Draws the panels and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has the columns `panel,kind,series,x,y,low,high`. A panel without a finite value says so; that is an
/// error only if it is true of all.
///
/// # Errors
///
/// [`PlotError::Empty`] if no panel has a point with a place, [`PlotError::Length`] if columns of a series differ
/// in length, [`PlotError::Io`] if a file cannot be written.
pub fn panels(figure: &Panels, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut table = Table::new("panel,kind,series,x,y,low,high");
    for panel in &figure.panels {
        lines::check(panel)?;
        curve::rows(panel, Some(&panel.title), &mut table);
    }
    output::write(scene(figure, WIDTH)?, table.finish(), stem)
}

/// Returns the figure laid out in `width` pixels or more; below [`NARROW`] in one column.
pub(crate) fn scene(figure: &Panels, width: f64) -> Result<Scene, PlotError> {
    let columns = if width < NARROW {
        1
    } else if figure.columns == 0 {
        2
    } else {
        figure.columns
    }
    .min(figure.panels.len())
    .max(1);
    let cells = cells(figure, columns);
    let log_y = |panel: &Curve| panel.log_y;
    if cells.iter().all(|cell| cell.plan.is_none()) {
        return Err(curve::empty(
            &figure.title,
            !cells.is_empty() && figure.panels.iter().all(log_y),
        ));
    }
    let width = (columns as f64 * COLUMN + 2.0 * MARGIN).max(width);
    let mut scene = Scene::new(&figure.title, &figure.subtitle, width);
    let count = figure.panels.iter().map(lines::left_out).sum();
    let (one, many) = curve::missing(figure.panels.iter().any(log_y));
    let mut top = header::draw(&mut scene, &header::left_out(count, one, many));
    let names = names(figure);
    top = legend::above(&mut scene, &names.legend(), top);
    let column_width = (width - 2.0 * MARGIN - (columns - 1) as f64 * GUTTER) / columns as f64;
    let lefts = rooms_left(&cells, columns);
    let notes = figure.panels.iter().any(|panel| !panel.subtitle.is_empty());
    for row in cells.chunks(columns) {
        let plot_top = top + ROW + if notes { ROW - 3.0 } else { 0.0 } + 8.0;
        for (column, cell) in row.iter().enumerate() {
            let left = MARGIN + column as f64 * (column_width + GUTTER);
            let head = Rect::new(left, top, left + column_width, plot_top);
            let inner = Rect::new(left + lefts[column], plot_top, head.right, plot_top + PLOT);
            draw_cell(&mut scene, cell, inner, head, &names);
        }
        let below = row
            .iter()
            .filter_map(|cell| cell.plan.as_ref())
            .map(Plan::room_below)
            .fold(0.0, f64::max);
        top = plot_top + PLOT + below + GUTTER - 8.0;
    }
    scene.height = top - GUTTER + MARGIN;
    Ok(scene)
}

/// Returns for each column the room that the widest of its labels needs, so that plots line up.
fn rooms_left(cells: &[Cell<'_>], columns: usize) -> Vec<f64> {
    let room = |cell: &Cell<'_>| cell.plan.as_ref().map_or(0.0, |plan| plan.room_left(PLOT));
    (0..columns)
        .map(|column| {
            cells
                .iter()
                .skip(column)
                .step_by(columns)
                .map(room)
                .fold(0.0, f64::max)
        })
        .collect()
}

/// Returns the panels with their plans; an x label that the panel below repeats is left out.
fn cells(figure: &Panels, columns: usize) -> Vec<Cell<'_>> {
    let plan = |index: usize, curve: &Curve| {
        let (x, y) = lines::domains(curve)?;
        let below = figure
            .panels
            .get(index + columns)
            .filter(|below| lines::domains(below).is_some());
        let repeated = below.is_some_and(|below| below.x_label == curve.x_label);
        let x_label = if repeated {
            String::new()
        } else {
            text::clean(&curve.x_label)
        };
        let y_label = if curve.y_label == curve.title {
            String::new()
        } else {
            text::clean(&curve.y_label)
        };
        Some(Plan {
            x,
            y,
            x_label,
            y_label,
        })
    };
    figure
        .panels
        .iter()
        .enumerate()
        .map(|(index, curve)| Cell {
            curve,
            plan: plan(index, curve),
        })
        .collect()
}

/// The labels of all panels, each once, in the order in which they appear.
struct Names {
    series: Vec<String>,
    references: Vec<String>,
    /// Whether every panel has one series at most; its name is the panel's title then, and all look the same.
    single: bool,
}

fn names(figure: &Panels) -> Names {
    let single = figure.panels.iter().all(|panel| panel.series.len() <= 1);
    let mut names = Names {
        series: Vec::new(),
        references: Vec::new(),
        single,
    };
    let add = |list: &mut Vec<String>, label: &String| {
        if !list.contains(label) {
            list.push(label.clone());
        }
    };
    for panel in &figure.panels {
        panel
            .series
            .iter()
            .for_each(|series| add(&mut names.series, &series.label));
        panel
            .references
            .iter()
            .for_each(|(label, _)| add(&mut names.references, label));
    }
    names
}

impl Names {
    fn series(&self, label: &str) -> Entry {
        let index = self
            .series
            .iter()
            .position(|name| name == label)
            .unwrap_or(0);
        lines::series_entry(label, if self.single { 0 } else { index })
    }

    fn reference(&self, label: &str) -> Entry {
        lines::reference_entry(
            label,
            self.references
                .iter()
                .position(|name| name == label)
                .unwrap_or(0),
        )
    }

    fn legend(&self) -> Vec<Entry> {
        let series = self
            .series
            .iter()
            .filter(|_| !self.single)
            .map(|label| self.series(label));
        let entries = series.chain(self.references.iter().map(|label| self.reference(label)));
        entries.filter(|entry| !entry.label.is_empty()).collect()
    }
}

/// Draws one panel: its title in `head`, its plot in `inner`.
fn draw_cell(scene: &mut Scene, cell: &Cell<'_>, inner: Rect, head: Rect, names: &Names) {
    let title = text::fit(&cell.curve.title, Weight::Bold, TEXT, head.width());
    let y = head.top + TEXT;
    scene.text(Text::new([head.left, y], &title, TEXT, INK).bold());
    let note = text::fit(&cell.curve.subtitle, Weight::Regular, NOTE, head.width());
    scene.text(Text::new([head.left, y + ROW - 3.0], &note, NOTE, GREY));
    let Some(plan) = &cell.plan else {
        let middle = [
            0.5 * (inner.left + inner.right),
            baseline(0.5 * (inner.top + inner.bottom), TEXT),
        ];
        scene.label(middle, "no finite value", Align::Middle, GREY);
        return;
    };
    let right = inner
        .right
        .min(head.right + 0.5 * GUTTER - plan.room_right(inner.width()));
    let axes = plan.draw(scene, Rect { right, ..inner }, inner.left - head.left);
    let series = cell
        .curve
        .series
        .iter()
        .map(|series| names.series(&series.label));
    let series = series.map(|entry| Entry {
        width: FINE_LINE,
        ..entry
    });
    let references = cell
        .curve
        .references
        .iter()
        .map(|(label, _)| names.reference(label));
    let entries: Vec<Entry> = series.chain(references).collect();
    lines::draw(scene, &axes, cell.curve, &entries);
}
