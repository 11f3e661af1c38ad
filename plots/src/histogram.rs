//! Counts between edges, for instance the episode returns of a data set.

use std::path::{Path, PathBuf};

use crate::axes::{Axes, Plan};
use crate::legend::{self, Entry};
use crate::scale::{Domain, Kind, Room, Scale};
use crate::scene::{Align, Rect, Scene};
use crate::style::{self, HEIGHT, LABEL, MARGIN, ROW, TEXT, WIDTH};
use crate::table::{Field, Table};
use crate::text::{self, Weight};
use crate::{PlotError, curve, header, lines, output};

/// Bars with labelled vertical lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What the figure shows.
    pub title: String,
    /// How it was measured, in grey under the title.
    pub subtitle: String,
    /// Name and unit of the x axis.
    pub x_label: String,
    /// Name and unit of the y axis.
    pub y_label: String,
    /// Edges of the bars, increasing, one more than counts.
    pub edges: Vec<f64>,
    /// Height of each bar.
    pub counts: Vec<f64>,
    /// Labelled vertical dashed lines at values of x, such as `("mean", 310.0)`.
    pub references: Vec<(String, f64)>,
}

/// Draws the histogram and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has one row for each bar and each reference, with the columns `kind,label,low,high,count`; a reference
/// has its value in `low` and `high`.
///
/// # Errors
///
/// [`PlotError::Empty`] if no count is finite, [`PlotError::Length`] and [`PlotError::Axis`] if the edges do not
/// fit the counts or do not increase, [`PlotError::Io`] if a file cannot be written.
pub fn histogram(figure: &Histogram, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let scene = scene(figure)?;
    let mut table = Table::new("kind,label,low,high,count");
    for (edges, count) in figure.edges.windows(2).zip(&figure.counts) {
        let [low, high] = [edges[0], edges[1]].map(Field::Number);
        table.row(&[
            Field::Words("bar"),
            Field::Nothing,
            low,
            high,
            Field::Number(*count),
        ]);
    }
    for (label, value) in &figure.references {
        let (label, [low, high]) = (Field::Words(label), [*value, *value].map(Field::Number));
        table.row(&[Field::Words("reference"), label, low, high, Field::Nothing]);
    }
    output::write(scene, table.finish(), stem)
}

fn check(figure: &Histogram) -> Result<(), PlotError> {
    let title = figure.title.clone();
    if !figure.counts.iter().any(|count| Kind::Linear.shows(*count)) {
        let reason = String::from("it has no finite count");
        let hint = String::from("Check that the data hold at least one value to count");
        return Err(PlotError::Empty {
            figure: title,
            reason,
            hint,
        });
    }
    let (expected, found) = (figure.counts.len() + 1, figure.edges.len());
    if found != expected {
        return Err(PlotError::Length {
            figure: title,
            what: String::from("edges"),
            expected,
            found,
        });
    }
    let finite = figure.edges.iter().all(|edge| Kind::Linear.shows(*edge));
    if !finite || figure.edges.windows(2).any(|pair| pair[0] >= pair[1]) {
        let (what, expected) = (String::from("edges"), String::from("finite and increasing"));
        let fault = figure
            .edges
            .windows(2)
            .find(|pair| !(pair[0] < pair[1] && pair[1].abs() < 1e300));
        let found = fault.map_or_else(
            || format!("{:?}", figure.edges[0]),
            |pair| format!("{:?}", pair),
        );
        return Err(PlotError::Axis {
            figure: title,
            what,
            expected,
            found,
        });
    }
    Ok(())
}

/// Returns the axes' plan: the edges and references across, the counts from zero up.
fn plan(figure: &Histogram) -> Option<Plan> {
    let references = figure.references.iter().map(|reference| reference.1);
    let x = Domain::of(
        figure.edges.iter().copied().chain(references),
        Kind::Linear,
        Room::Tight,
    )?;
    let counts = figure
        .counts
        .iter()
        .copied()
        .filter(|count| Kind::Linear.shows(*count));
    let (low, high) = counts.fold((0.0_f64, 0.0_f64), |(low, high), count| {
        (low.min(count), high.max(count))
    });
    let high = if low == high { 1.0 } else { high };
    let room = |edge: f64| {
        if edge == 0.0 {
            0.0
        } else {
            0.04 * (high - low)
        }
    };
    let y = Domain {
        low: low - room(low),
        high: high + room(high),
        kind: Kind::Linear,
    };
    Some(Plan {
        x,
        y,
        x_label: text::clean(&figure.x_label),
        y_label: text::clean(&figure.y_label),
    })
}

/// Returns the laid out figure.
pub(crate) fn scene(figure: &Histogram) -> Result<Scene, PlotError> {
    check(figure)?;
    let plan = plan(figure).ok_or_else(|| curve::empty(&figure.title, false))?;
    let mut scene = Scene::new(&figure.title, &figure.subtitle, WIDTH);
    let references = figure.references.iter().map(|reference| reference.1);
    let lost = figure
        .counts
        .iter()
        .copied()
        .chain(references)
        .filter(|value| !Kind::Linear.shows(*value))
        .count();
    let (one, many) = curve::missing(false);
    let mut top = header::draw(&mut scene, &header::left_out(lost, one, many));
    let left = MARGIN + plan.room_left(HEIGHT - top - 80.0);
    let right = (WIDTH - MARGIN).min(WIDTH - 8.0 - plan.room_right(WIDTH - MARGIN - left));
    let markers = markers(figure, plan.x.between(left, right));
    let entries: Vec<Entry> = markers.iter().map(|marker| marker.entry.clone()).collect();
    let over = labels_over(&markers);
    top = if over.is_some() {
        top + ROW + 10.0
    } else {
        legend::above(&mut scene, &entries, top)
    };
    let bottom = (HEIGHT - plan.room_below() - MARGIN + 8.0).max(top + 220.0);
    scene.height = bottom + plan.room_below() + MARGIN - 8.0;
    let axes = plan.draw(
        &mut scene,
        Rect::new(left, top, right, bottom),
        left - MARGIN,
    );
    draw_bars(&mut scene, &axes, figure);
    draw_markers(
        &mut scene,
        &axes,
        &markers,
        over.as_deref().unwrap_or_default(),
    );
    Ok(scene)
}

/// Draws the bars: apart when they are wide, as one outline when gaps between them would blur.
fn draw_bars(scene: &mut Scene, axes: &Axes, figure: &Histogram) {
    let color = style::series(0).0.on_paper(0.75);
    let zero = axes.y.at(0.0);
    let bars = figure
        .edges
        .windows(2)
        .zip(&figure.counts)
        .filter(|(_, count)| Kind::Linear.shows(**count));
    let bars: Vec<Rect> = bars
        .map(|(edges, count)| {
            Rect::new(
                axes.x.at(edges[0]),
                axes.y.at(*count),
                axes.x.at(edges[1]),
                zero,
            )
        })
        .collect();
    if bars.iter().all(|bar| bar.width() > 4.0) {
        for bar in bars.iter().filter(|bar| bar.height() != 0.0) {
            let (top, bottom) = (bar.top.min(zero), bar.top.max(zero));
            scene.block(
                Rect::new(bar.left + 0.75, top, bar.right - 0.75, bottom),
                color,
            );
        }
        return;
    }
    for run in bars.chunk_by(|left, right| left.right == right.left) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let mut outline = vec![[first.left, zero]];
        outline.extend(
            run.iter()
                .flat_map(|bar| [[bar.left, bar.top], [bar.right, bar.top]]),
        );
        outline.push([last.right, zero]);
        scene.area(outline, color);
    }
}

/// A reference in its place.
struct Marker {
    x: f64,
    entry: Entry,
}

/// Returns the references that have a place.
fn markers(figure: &Histogram, scale: Scale) -> Vec<Marker> {
    let references = figure
        .references
        .iter()
        .enumerate()
        .filter(|(_, (_, value))| Kind::Linear.shows(*value));
    references
        .map(|(index, (label, value))| Marker {
            x: scale.at(*value),
            entry: lines::reference_entry(label, index),
        })
        .collect()
}

/// Returns the middles of the labels in one row over the plot, or nothing if they do not fit there.
fn labels_over(markers: &[Marker]) -> Option<Vec<f64>> {
    let size = |marker: &Marker| text::width(&marker.entry.label, Weight::Regular, TEXT) + 16.0;
    let sizes: Vec<f64> = markers.iter().map(size).collect();
    let wanted: Vec<f64> = markers.iter().map(|marker| marker.x).collect();
    let (low, high) = (MARGIN - 8.0, WIDTH - MARGIN + 8.0);
    let fits = !markers.is_empty() && sizes.iter().sum::<f64>() <= high - low;
    fits.then(|| legend::spread(&wanted, &sizes, low, high))
}

fn draw_markers(scene: &mut Scene, axes: &Axes, markers: &[Marker], middles: &[f64]) {
    let top = axes.inner.top - 4.0;
    for (index, Marker { x, entry }) in markers.iter().enumerate() {
        scene.line(
            vec![[*x, top], [*x, axes.inner.bottom]],
            entry.width,
            entry.color,
            entry.dashes,
        );
        if let Some(middle) = middles.get(index) {
            scene.line(vec![[*x, top], [*middle, top - 8.0]], 1.2, entry.color, &[]);
            scene.label([*middle, top - 13.0], &entry.label, Align::Middle, LABEL);
        }
    }
}
