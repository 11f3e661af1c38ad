//! Names of lines: beside their ends, or in rows above the plot. Never over the data.

use crate::color::Color;
use crate::scene::{Align, Point, Rect, Scene, baseline};
use crate::style::{LABEL, MARGIN, ROW, SWATCH, TEXT};
use crate::text::{self, Weight};

/// Widest label that is put beside the end of its line.
const WIDEST_BESIDE: f64 = 190.0;
/// Most labels beside the plot; with more, the ties between lines and labels would cross.
const MOST_BESIDE: usize = 9;
/// From the plot's edge to a label beside it.
const LEAD: f64 = 28.0;

/// One line with its name.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) color: Color,
    pub(crate) dashes: &'static [f64],
    pub(crate) width: f64,
}

/// Where the line of an entry ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) y: f64,
    /// Whether the line reaches the right edge of the plot, so that its name can be tied to it.
    pub(crate) at_edge: bool,
}

/// Returns the room that names beside the plot need, or nothing if they do not fit there.
pub(crate) fn room_beside(entries: &[Entry], height: f64) -> Option<f64> {
    let widest = entries
        .iter()
        .map(|entry| text::width(&entry.label, Weight::Regular, TEXT))
        .fold(0.0, f64::max);
    let fits = widest <= WIDEST_BESIDE
        && entries.len() <= MOST_BESIDE
        && entries.len() as f64 * ROW <= height;
    fits.then_some(if entries.is_empty() {
        0.0
    } else {
        LEAD + widest
    })
}

/// Draws each name to the right of the plot, as near to the end of its line as the others allow.
pub(crate) fn beside(scene: &mut Scene, entries: &[Entry], ends: &[End], plot: Rect) {
    let wanted: Vec<f64> = ends.iter().map(|end| end.y).collect();
    let sizes = vec![ROW - 2.0; ends.len()];
    let places = spread(&wanted, &sizes, plot.top - 5.0, plot.bottom + 5.0);
    for ((entry, end), y) in entries.iter().zip(ends).zip(places) {
        let stop = [plot.right + LEAD - 7.0, y];
        let points = if end.at_edge {
            vec![
                [plot.right, end.y],
                [plot.right + 5.0, end.y],
                [plot.right + LEAD - 14.0, y],
                stop,
            ]
        } else {
            vec![[plot.right + LEAD - 19.0, y], stop]
        };
        let dashes = if end.at_edge && (end.y - y).abs() < 1.0 {
            entry.dashes
        } else {
            &[]
        };
        scene.line(points, entry.width.min(2.0), entry.color, dashes);
        scene.label(
            [plot.right + LEAD, baseline(y, TEXT)],
            &entry.label,
            Align::Start,
            LABEL,
        );
    }
}

/// Draws the names in rows from `top` on and returns how far down they reach.
pub(crate) fn above(scene: &mut Scene, entries: &[Entry], top: f64) -> f64 {
    if entries.is_empty() {
        return top;
    }
    let (left, right) = (MARGIN, scene.width - MARGIN);
    let lead = SWATCH + 8.0;
    let (mut x, mut y) = (left, top + ROW / 2.0 - 6.0);
    for entry in entries {
        let label = text::fit(&entry.label, Weight::Regular, TEXT, right - left - lead);
        let width = lead + text::width(&label, Weight::Regular, TEXT);
        if x > left && x + width > right {
            (x, y) = (left, y + ROW);
        }
        let swatch: Vec<Point> = vec![[x, y], [x + SWATCH, y]];
        scene.line(swatch, entry.width, entry.color, entry.dashes);
        scene.label([x + lead, baseline(y, TEXT)], &label, Align::Start, LABEL);
        x += width + 26.0;
    }
    y + ROW / 2.0 + 10.0
}

/// Returns middles for things of these `sizes` so that none overlap within `low..=high`, in the order of
/// `wanted` and as near to it as possible.
///
/// Least squares under order constraints: neighbours that would overlap are pooled around their mean.
pub(crate) fn spread(wanted: &[f64], sizes: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut total = 0.0;
    let mut offsets = vec![0.0; wanted.len()];
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for index in &order {
        offsets[*index] = total + 0.5 * sizes[*index];
        total += sizes[*index];
        let mut pool = (wanted[*index] - offsets[*index], 1);
        while let Some((mean, count)) = pools.pop_if(|(mean, _)| *mean > pool.0) {
            let members = count + pool.1;
            let sum = mean * count as f64 + pool.0 * pool.1 as f64;
            pool = (sum / members as f64, members);
        }
        pools.push(pool);
    }
    let starts = pools
        .into_iter()
        .flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    let mut places = vec![0.0; wanted.len()];
    for (index, start) in order.into_iter().zip(starts) {
        places[index] = start.min(high - total).max(low) + offsets[index];
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_place_when_there_is_room() {
        let places = spread(&[200.0, 10.0, 100.0], &[20.0; 3], 0.0, 300.0);
        assert_eq!(places, [200.0, 10.0, 100.0]);
    }

    #[test]
    fn crowded_labels_move_apart_evenly_and_stay_inside() {
        assert_eq!(
            spread(&[100.0; 3], &[20.0; 3], 0.0, 300.0),
            [80.0, 100.0, 120.0]
        );
        assert_eq!(
            spread(&[289.0, 300.0], &[20.0; 2], 0.0, 300.0),
            [270.0, 290.0]
        );
        assert_eq!(
            spread(&[100.0, 101.0], &[10.0, 30.0], 0.0, 300.0),
            [90.5, 110.5]
        );
    }
}
