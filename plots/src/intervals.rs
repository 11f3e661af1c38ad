//! Final scores as dots with intervals, one row each, gathered in groups.

use std::path::{Path, PathBuf};

use crate::axes::ticks_across;
use crate::scale::{Domain, Kind, Room, Scale};
use crate::scene::{Align, Rect, Scene, Text, baseline};
use crate::style::{self, AXIS, GREY, GRID, INK, LABEL, MARGIN, ROW, TEXT, WIDTH};
use crate::table::{Field, Table};
use crate::text::{self, Weight};
use crate::{PlotError, header, output, ticks};

/// Height of a row.
const HEIGHT: f64 = 29.0;
/// Height of a line of a group's name.
const LINE: f64 = 24.0;
/// White space between two groups.
const BETWEEN: f64 = 14.0;
/// Widest that the names of groups and of rows may be.
const WIDEST: f64 = 190.0;

/// One dot with its interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntervalRow {
    /// What it belongs to, for instance the data set. Rows of a group are drawn together.
    pub group: String,
    /// Its own name, for instance `posterior`. The same label has the same colour in every group.
    pub label: String,
    /// Where the dot lies.
    pub point: f64,
    /// Low end of the interval.
    pub low: f64,
    /// High end of the interval.
    pub high: f64,
}

/// A dot-and-interval plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intervals {
    /// What the figure shows.
    pub title: String,
    /// How it was measured, in grey under the title.
    pub subtitle: String,
    /// Name and unit of the x axis.
    pub x_label: String,
    /// The rows, from top to bottom within their groups; groups in the order of their first row.
    pub rows: Vec<IntervalRow>,
}

/// Draws the intervals and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has the columns `group,label,point,low,high`.
///
/// # Errors
///
/// [`PlotError::Empty`] if no row has a finite number, [`PlotError::TooLarge`] if there are too many rows for one
/// picture, [`PlotError::Io`] if a file cannot be written.
pub fn intervals(figure: &Intervals, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut table = Table::new("group,label,point,low,high");
    for row in &figure.rows {
        let [point, low, high] = [row.point, row.low, row.high].map(Field::Number);
        table.row(&[
            Field::Words(&row.group),
            Field::Words(&row.label),
            point,
            low,
            high,
        ]);
    }
    output::write(scene(figure, WIDTH)?, table.finish(), stem)
}

/// Left edges of the columns, and the plot between them and the values.
struct Columns {
    /// Width of the groups' names; nothing if no group has a name.
    groups: f64,
    labels: f64,
    plot_left: f64,
    plot_right: f64,
    values: f64,
}

/// The rows that belong together, with the name of the group as it is set.
struct Group {
    name: Vec<String>,
    rows: Vec<usize>,
}

impl Group {
    fn height(&self) -> f64 {
        (self.rows.len() as f64 * HEIGHT).max(self.name.len() as f64 * LINE + HEIGHT - LINE)
    }
}

/// Returns the figure laid out in `width` pixels.
pub(crate) fn scene(figure: &Intervals, width: f64) -> Result<Scene, PlotError> {
    let numbers = figure
        .rows
        .iter()
        .flat_map(|row| [row.point, row.low, row.high]);
    let domain =
        Domain::of(numbers, Kind::Linear, Room::Padded).ok_or_else(|| PlotError::Empty {
            figure: figure.title.clone(),
            reason: String::from("no row has a finite number"),
            hint: String::from(
                "Check that at least one evaluation has finished before it is plotted",
            ),
        })?;
    let mut scene = Scene::new(&figure.title, &figure.subtitle, width);
    let lost = figure
        .rows
        .iter()
        .filter(|row| !Kind::Linear.shows(row.point))
        .count();
    let note = header::left_out(lost, "value not finite,", "values not finite,");
    let top = header::draw(&mut scene, &note) + 4.0;
    let values = values(figure, domain);
    let columns = columns(figure, &values, width);
    let groups = groups(figure, columns.groups);
    let scale = domain.between(columns.plot_left, columns.plot_right);
    let between = groups.len().saturating_sub(1) as f64 * BETWEEN;
    let bottom = top + groups.iter().map(Group::height).sum::<f64>() + between + 4.0;
    let plot = Rect::new(columns.plot_left, top - 4.0, columns.plot_right, bottom);
    draw_axis(&mut scene, scale, plot, &figure.x_label);
    let label = if figure.x_label.is_empty() {
        0.0
    } else {
        ROW + 3.0
    };
    scene.height = bottom + 9.0 + ROW + label + 10.0;
    let colors = colors(figure);
    let mut y = top;
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            let middle = y - 0.5 * BETWEEN;
            scene.hairline([MARGIN, middle], [width - MARGIN, middle], GRID);
        }
        draw_name(&mut scene, &group.name, y + 0.5 * HEIGHT);
        for (index, row) in group.rows.iter().enumerate() {
            let middle = y + (index as f64 + 0.5) * HEIGHT;
            draw_row(&mut scene, &figure.rows[*row], scale, middle, colors[*row]);
            let at = baseline(middle, TEXT);
            let label = text::fit(&figure.rows[*row].label, Weight::Regular, TEXT, WIDEST);
            scene.label([columns.labels, at], &label, Align::Start, LABEL);
            scene.label([columns.values, at], &values[*row], Align::End, LABEL);
        }
        y += group.height() + BETWEEN;
    }
    Ok(scene)
}

/// Returns each group with its rows, in the order of first appearance.
fn groups(figure: &Intervals, width: f64) -> Vec<Group> {
    let mut names: Vec<&str> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for (index, row) in figure.rows.iter().enumerate() {
        if let Some(known) = names.iter().position(|name| *name == row.group) {
            groups[known].rows.push(index);
            continue;
        }
        names.push(&row.group);
        let name = text::wrap(&row.group, Weight::Bold, TEXT, width, 3);
        groups.push(Group {
            name,
            rows: vec![index],
        });
    }
    groups
}

/// Returns the number of each row's colour: rows of the same label share one.
fn colors(figure: &Intervals) -> Vec<usize> {
    let mut labels: Vec<&str> = Vec::new();
    figure
        .rows
        .iter()
        .map(|row| {
            labels
                .iter()
                .position(|label| *label == row.label)
                .unwrap_or_else(|| {
                    labels.push(&row.label);
                    labels.len() - 1
                })
        })
        .collect()
}

/// Returns the dots' numbers, written to about a three-hundredth of the axis.
fn values(figure: &Intervals, domain: Domain) -> Vec<String> {
    let step = 10_f64.powf(((domain.high - domain.low) / 300.0).log10().floor());
    let known: Vec<f64> = figure
        .rows
        .iter()
        .map(|row| row.point)
        .filter(|point| Kind::Linear.shows(*point))
        .collect();
    let mut written = ticks::format_all(&known, step).into_iter();
    let write = |row: &IntervalRow| {
        if Kind::Linear.shows(row.point) {
            written.next().unwrap_or_default()
        } else {
            String::from("–")
        }
    };
    figure.rows.iter().map(write).collect()
}

fn columns(figure: &Intervals, values: &[String], width: f64) -> Columns {
    fn widest<'a>(words: impl Iterator<Item = &'a str>, weight: Weight) -> f64 {
        words
            .map(|words| text::width(words.trim(), weight, TEXT))
            .fold(0.0, f64::max)
    }
    let labels = widest(
        figure.rows.iter().map(|row| row.label.as_str()),
        Weight::Regular,
    )
    .min(WIDEST);
    let whole = widest(
        figure.rows.iter().map(|row| row.group.as_str()),
        Weight::Bold,
    );
    let words = figure
        .rows
        .iter()
        .flat_map(|row| row.group.split_inclusive(text::BREAKS));
    let groups = if whole <= WIDEST {
        whole
    } else {
        widest(words, Weight::Bold).clamp(150.0, WIDEST)
    };
    let value = widest(values.iter().map(String::as_str), Weight::Regular);
    let left = MARGIN + if groups > 0.0 { groups + 22.0 } else { 0.0 };
    Columns {
        groups: groups + 1.0,
        labels: left,
        plot_left: left + labels + 22.0,
        plot_right: width - MARGIN - value - 18.0,
        values: width - MARGIN,
    }
}

fn draw_axis(scene: &mut Scene, scale: Scale, plot: Rect, label: &str) {
    let ticks = ticks_across(scale.domain, plot.width());
    let row = plot.bottom + 9.0 + 0.74 * TEXT;
    for (value, label) in ticks.values.iter().zip(&ticks.labels) {
        let x = scale.at(*value);
        let color = if *value == 0.0 {
            AXIS.with_alpha(0.6)
        } else {
            GRID
        };
        scene.hairline([x, plot.top], [x, plot.bottom], color);
        scene.label([x, row], label, Align::Middle, LABEL);
    }
    scene.hairline([plot.left, plot.bottom], [plot.right, plot.bottom], AXIS);
    let label = text::fit(
        label,
        Weight::Regular,
        TEXT,
        scene.width - plot.left - MARGIN,
    );
    let half = 0.5 * text::width(&label, Weight::Regular, TEXT);
    let middle = (0.5 * (plot.left + plot.right)).min(scene.width - MARGIN - half);
    scene.label([middle, row + ROW + 3.0], &label, Align::Middle, LABEL);
}

fn draw_name(scene: &mut Scene, name: &[String], top: f64) {
    for (index, words) in name.iter().enumerate() {
        let at = [MARGIN, baseline(top + index as f64 * LINE, TEXT)];
        scene.text(Text::new(at, words, TEXT, INK).bold());
    }
}

fn draw_row(scene: &mut Scene, row: &IntervalRow, scale: Scale, y: f64, color: usize) {
    let (color, _) = style::series(color);
    if Kind::Linear.shows(row.low) && Kind::Linear.shows(row.high) {
        let (low, high) = (scale.at(row.low), scale.at(row.high));
        scene.line(vec![[low, y], [high, y]], 4.0, color.with_alpha(0.55), &[]);
    }
    if Kind::Linear.shows(row.point) {
        scene.disc([scale.at(row.point), y], 6.5, color);
    } else {
        let middle = 0.5 * (scale.at(scale.domain.low) + scale.at(scale.domain.high));
        scene.label(
            [middle, baseline(y, TEXT)],
            "not finite",
            Align::Middle,
            GREY,
        );
    }
}
