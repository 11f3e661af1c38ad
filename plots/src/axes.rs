//! A plot's axes: how much room they need, and how they are drawn.

use crate::scale::{Domain, Scale};
use crate::scene::{Align, Rect, Scene, Text, Turn, baseline};
use crate::style::{AXIS, GRID, LABEL, ROW, TEXT};
use crate::text::{self, Weight};
use crate::ticks::Ticks;

/// From an axis to the labels of its ticks.
const GAP: f64 = 9.0;
/// Least white space between two labels along the x axis.
const BETWEEN: f64 = 24.0;

/// What two axes show.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) x: Domain,
    pub(crate) y: Domain,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
}

/// Axes in their place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    pub(crate) inner: Rect,
}

fn width(label: &str) -> f64 {
    text::width(label, Weight::Regular, TEXT)
}

/// Returns the most ticks, at most about eight, whose labels do not touch over `length` pixels.
pub(crate) fn ticks_across(domain: Domain, length: f64) -> Ticks {
    let scale = domain.between(0.0, length);
    let apart = |ticks: &Ticks| {
        (1..ticks.values.len()).all(|index| {
            let step = scale.at(ticks.values[index]) - scale.at(ticks.values[index - 1]);
            step >= 0.5 * (width(&ticks.labels[index]) + width(&ticks.labels[index - 1])) + BETWEEN
        })
    };
    let most = (length / 88.0).clamp(2.0, 7.0) as usize;
    let mut ticks = (1..=most)
        .rev()
        .map(|count| domain.ticks(count))
        .find(apart)
        .unwrap_or_else(|| domain.ticks(1));
    if !apart(&ticks) {
        ticks.values.truncate(1);
        ticks.labels.truncate(1);
    }
    ticks
}

impl Plan {
    fn ticks_up(&self, height: f64) -> Ticks {
        self.y.ticks((height / 60.0).clamp(2.0, 7.0) as usize)
    }

    /// Returns the room that labels need to the left of a plot of this height.
    pub(crate) fn room_left(&self, height: f64) -> f64 {
        let widest = self
            .ticks_up(height)
            .labels
            .iter()
            .map(|label| width(label))
            .fold(0.0, f64::max);
        let label = if self.y_label.is_empty() {
            0.0
        } else {
            ROW + 5.0
        };
        widest + GAP + label
    }

    /// Returns the room that labels need below a plot.
    pub(crate) fn room_below(&self) -> f64 {
        let label = if self.x_label.is_empty() {
            0.0
        } else {
            ROW + 3.0
        };
        GAP + ROW - 3.0 + label
    }

    /// Returns the room that the last label of the x axis may need to the right of a plot of this width.
    pub(crate) fn room_right(&self, plot_width: f64) -> f64 {
        let ticks = ticks_across(self.x, plot_width);
        let scale = self.x.between(0.0, plot_width);
        let last = ticks.values.last().zip(ticks.labels.last());
        last.map_or(0.0, |(value, label)| {
            scale.at(*value) + 0.5 * width(label) - plot_width
        })
        .max(0.0)
    }

    /// Draws grid, ticks and labels around `inner`; the y label starts `room` pixels to its left.
    pub(crate) fn draw(&self, scene: &mut Scene, inner: Rect, room: f64) -> Axes {
        let axes = Axes {
            x: self.x.between(inner.left, inner.right),
            y: self.y.between(inner.bottom, inner.top),
            inner,
        };
        let up = self.ticks_up(inner.height());
        for (value, label) in up.values.iter().zip(&up.labels) {
            let y = axes.y.at(*value);
            let color = if *value == 0.0 {
                AXIS.with_alpha(0.6)
            } else {
                GRID
            };
            scene.hairline([inner.left, y], [inner.right, y], color);
            scene.label(
                [inner.left - GAP, baseline(y, TEXT)],
                label,
                Align::End,
                LABEL,
            );
        }
        self.draw_x(scene, &axes);
        if !self.y_label.is_empty() {
            let label = text::fit(&self.y_label, Weight::Regular, TEXT, inner.height() + 30.0);
            let at = [
                inner.left - room + TEXT - 2.0,
                0.5 * (inner.top + inner.bottom),
            ];
            let text = Text::new(at, &label, TEXT, LABEL);
            scene.text(Text {
                align: Align::Middle,
                turn: Turn::Up,
                ..text
            });
        }
        axes
    }

    fn draw_x(&self, scene: &mut Scene, axes: &Axes) {
        let inner = axes.inner;
        let across = ticks_across(self.x, inner.width());
        scene.hairline(
            [inner.left, inner.bottom],
            [inner.right, inner.bottom],
            AXIS,
        );
        let row = inner.bottom + GAP + 0.74 * TEXT;
        for (value, label) in across.values.iter().zip(&across.labels) {
            let x = axes.x.at(*value);
            scene.hairline([x, inner.bottom], [x, inner.bottom + 5.0], AXIS);
            scene.label([x, row], label, Align::Middle, LABEL);
        }
        let label = text::fit(&self.x_label, Weight::Regular, TEXT, inner.width() + 40.0);
        let middle = 0.5 * (inner.left + inner.right);
        scene.label([middle, row + ROW + 3.0], &label, Align::Middle, LABEL);
    }
}
