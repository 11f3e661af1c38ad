//! Two-dimensional samples side by side on shared axes, for instance posteriors beside the truth.

use std::path::{Path, PathBuf};

use crate::axes::ticks_across;
use crate::scale::{Domain, Kind};
use crate::scene::{Align, Rect, Scene, Text, baseline};
use crate::style::{self, AXIS, INK, LABEL, MARGIN, ROW, TEXT, WIDTH};
use crate::table::{Field, Table};
use crate::text::{self, Weight};
use crate::{PlotError, header, output};

/// Between two panels.
const GUTTER: f64 = 18.0;
/// Least and greatest width of a panel.
const SIDES: (f64, f64) = (170.0, 380.0);

/// One panel of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    /// What the samples are.
    pub title: String,
    /// The samples: x and y.
    pub points: Vec<[f64; 2]>,
}

/// Panels of samples on the same axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clouds {
    /// What the figure shows.
    pub title: String,
    /// How it was measured, in grey under the title.
    pub subtitle: String,
    /// The panels, filled in row by row.
    pub panels: Vec<Cloud>,
    /// How many panels lie side by side; 0 means at most four.
    pub columns: usize,
    /// What the axes show: least x, greatest x, least y, greatest y. Points beyond are counted, not drawn.
    pub bounds: [f64; 4],
}

/// Draws the samples and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has the columns `panel,x,y` and holds every point, drawn or not.
///
/// # Errors
///
/// [`PlotError::Empty`] if there is no panel, [`PlotError::Axis`] if the bounds are not finite and increasing,
/// [`PlotError::Io`] if a file cannot be written.
pub fn clouds(figure: &Clouds, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut table = Table::new("panel,x,y");
    for panel in &figure.panels {
        for [x, y] in &panel.points {
            table.row(&[
                Field::Words(&panel.title),
                Field::Number(*x),
                Field::Number(*y),
            ]);
        }
    }
    output::write(scene(figure)?, table.finish(), stem)
}

fn check(figure: &Clouds) -> Result<(), PlotError> {
    if figure.panels.iter().all(|panel| panel.points.is_empty()) {
        let reason = String::from("no panel has a point");
        let hint = String::from("Give at least one panel with samples");
        return Err(PlotError::Empty {
            figure: figure.title.clone(),
            reason,
            hint,
        });
    }
    let [left, right, low, high] = figure.bounds;
    if !figure.bounds.iter().all(|bound| Kind::Linear.shows(*bound)) || left >= right || low >= high
    {
        let expected =
            String::from("finite, the first below the second and the third below the fourth");
        let found = format!("{:?}", figure.bounds);
        return Err(PlotError::Axis {
            figure: figure.title.clone(),
            what: String::from("bounds"),
            expected,
            found,
        });
    }
    Ok(())
}

/// The shared axes and where panels lie.
struct Grid {
    x: Domain,
    y: Domain,
    columns: usize,
    left: f64,
    side: f64,
    height: f64,
    width: f64,
}

impl Grid {
    fn new(figure: &Clouds) -> Self {
        let [x_low, x_high, y_low, y_high] = figure.bounds;
        let x = Domain {
            low: x_low,
            high: x_high,
            kind: Kind::Linear,
        };
        let y = Domain {
            low: y_low,
            high: y_high,
            kind: Kind::Linear,
        };
        let wanted = if figure.columns == 0 {
            4
        } else {
            figure.columns
        };
        let columns = wanted.min(figure.panels.len()).max(1);
        let labels = y.ticks(3).labels;
        let widest = labels
            .iter()
            .map(|label| text::width(label, Weight::Regular, TEXT))
            .fold(0.0, f64::max);
        let left = MARGIN + widest + 9.0;
        let gutters = (columns - 1) as f64 * GUTTER;
        let side = ((WIDTH - left - MARGIN - gutters) / columns as f64).clamp(SIDES.0, SIDES.1);
        let height = side * ((y_high - y_low) / (x_high - x_low)).clamp(0.5, 1.6);
        let width = (left + columns as f64 * side + gutters + MARGIN).max(480.0);
        Self {
            x,
            y,
            columns,
            left,
            side,
            height,
            width,
        }
    }
}

/// Returns the laid out figure.
pub(crate) fn scene(figure: &Clouds) -> Result<Scene, PlotError> {
    check(figure)?;
    let grid = Grid::new(figure);
    let mut scene = Scene::new(&figure.title, &figure.subtitle, grid.width);
    let [left, right, low, high] = figure.bounds;
    let inside =
        |point: &[f64; 2]| (left..=right).contains(&point[0]) && (low..=high).contains(&point[1]);
    let outside = figure
        .panels
        .iter()
        .flat_map(|panel| &panel.points)
        .filter(|point| !inside(point))
        .count();
    let note = header::left_out(
        outside,
        "point outside the frame,",
        "points outside the frame,",
    );
    let mut top = header::draw(&mut scene, &note);
    for (row, panels) in figure.panels.chunks(grid.columns).enumerate() {
        let heads: Vec<Vec<String>> = panels
            .iter()
            .map(|panel| text::wrap(&panel.title, Weight::Bold, TEXT, grid.side, 2))
            .collect();
        let rows = heads.iter().map(Vec::len).max().unwrap_or(0);
        let plot_top = top + rows as f64 * (ROW - 2.0) + 4.0;
        for (column, (panel, head)) in panels.iter().zip(heads).enumerate() {
            let x = grid.left + column as f64 * (grid.side + GUTTER);
            let inner = Rect::new(x, plot_top, x + grid.side, plot_top + grid.height);
            let first = rows - head.len();
            for (index, words) in head.iter().enumerate() {
                let y = top + (first + index) as f64 * (ROW - 2.0) + TEXT;
                scene.text(Text::new([x, y], words, TEXT, INK).bold());
            }
            draw_points(
                &mut scene,
                &grid,
                inner,
                panel.points.iter().copied().filter(inside).collect(),
            );
            let last = (row + 1) * grid.columns + column >= figure.panels.len();
            draw_frame(&mut scene, &grid, inner, column == 0, last);
        }
        top = plot_top + grid.height + GUTTER;
    }
    scene.height = top - GUTTER + 9.0 + ROW + 8.0;
    Ok(scene)
}

/// Draws small translucent dots, the fainter the more there are.
fn draw_points(scene: &mut Scene, grid: &Grid, inner: Rect, points: Vec<[f64; 2]>) {
    let (x, y) = (
        grid.x.between(inner.left, inner.right),
        grid.y.between(inner.bottom, inner.top),
    );
    let alpha = (14.0 / (points.len() as f64).sqrt()).clamp(0.12, 0.8);
    let color = style::series(0)
        .0
        .with_alpha((alpha * 100.0).round() / 100.0);
    for point in points {
        scene.disc([x.at(point[0]), y.at(point[1])], 2.2, color);
    }
}

fn draw_frame(scene: &mut Scene, grid: &Grid, inner: Rect, first: bool, last: bool) {
    let (x, y) = (
        grid.x.between(inner.left, inner.right),
        grid.y.between(inner.bottom, inner.top),
    );
    let corners = [
        [inner.left, inner.top],
        [inner.right, inner.top],
        [inner.right, inner.bottom],
        [inner.left, inner.bottom],
    ];
    for (from, to) in corners.into_iter().zip(corners.into_iter().cycle().skip(1)) {
        scene.hairline(from, to, AXIS.with_alpha(0.7));
    }
    let up = grid.y.ticks(3);
    for (value, label) in up.values.iter().zip(&up.labels) {
        let y = y.at(*value);
        scene.hairline([inner.left - 4.0, y], [inner.left, y], AXIS);
        if first {
            scene.label(
                [inner.left - 9.0, baseline(y, TEXT)],
                label,
                Align::End,
                LABEL,
            );
        }
    }
    let across = ticks_across(grid.x, inner.width());
    for (value, label) in across.values.iter().zip(&across.labels) {
        let x = x.at(*value);
        scene.hairline([x, inner.bottom], [x, inner.bottom + 4.0], AXIS);
        if last {
            let half = 0.5 * text::width(label, Weight::Regular, TEXT);
            let inside = x.min(inner.right + 2.0 - half).max(inner.left - 2.0 + half);
            scene.label(
                [inside, inner.bottom + 9.0 + 0.74 * TEXT],
                label,
                Align::Middle,
                LABEL,
            );
        }
    }
}
