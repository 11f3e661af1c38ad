//! Lines with bands and references on given axes, shared by single curves and small multiples.

use crate::axes::Axes;
use crate::legend::{End, Entry};
use crate::scale::{Domain, Kind, Room};
use crate::scene::{Point, Scene};
use crate::series::{Band, Curve, Series};
use crate::style::{self, LINE, REFERENCE, REFERENCE_LINE};
use crate::{PlotError, text};

/// Opacity of a band.
const BAND: f64 = 0.2;
/// Radius of a point that has no neighbour to be joined to.
const LONE: f64 = 5.0;

/// Returns how the y axis of a curve runs.
pub(crate) fn kind(curve: &Curve) -> Kind {
    if curve.log_y {
        Kind::Logarithmic
    } else {
        Kind::Linear
    }
}

/// Returns an error if columns of a series differ in length.
pub(crate) fn check(curve: &Curve) -> Result<(), PlotError> {
    for series in &curve.series {
        let label = &series.label;
        let mut columns = vec![(format!("y of series {label:?}"), series.y.len())];
        if let Some(Band { low, high }) = &series.band {
            columns.push((format!("the band's low of series {label:?}"), low.len()));
            columns.push((format!("the band's high of series {label:?}"), high.len()));
        }
        if let Some((what, found)) = columns
            .into_iter()
            .find(|(_, found)| *found != series.x.len())
        {
            return Err(PlotError::Length {
                figure: curve.title.clone(),
                what,
                expected: series.x.len(),
                found,
            });
        }
    }
    Ok(())
}

/// Returns the ranges of x and y, or nothing if no point of a series has a place.
pub(crate) fn domains(curve: &Curve) -> Option<(Domain, Domain)> {
    let kind = kind(curve);
    let points = || curve.series.iter().flat_map(|series| shown(series, kind));
    let x = Domain::of(points().map(|(_, x, _)| x), Kind::Linear, Room::Tight)?;
    let bands = curve
        .series
        .iter()
        .filter_map(|series| Some((series, series.band.as_ref()?)));
    let bands = bands.flat_map(|(series, Band { low, high })| {
        shown(series, kind).flat_map(move |(index, ..)| [low[index], high[index]])
    });
    let references = curve.references.iter().map(|(_, value)| *value);
    let y = Domain::of(
        points().map(|(_, _, y)| y).chain(bands).chain(references),
        kind,
        Room::Padded,
    )?;
    Some((x, y))
}

/// Returns the points of a series that have a place: index, x and y.
fn shown(series: &Series, kind: Kind) -> impl Iterator<Item = (usize, f64, f64)> {
    let points = series
        .x
        .iter()
        .zip(&series.y)
        .enumerate()
        .map(|(index, (x, y))| (index, *x, *y));
    points.filter(move |(_, x, y)| Kind::Linear.shows(*x) && kind.shows(*y))
}

/// Returns how many points and references of a curve have no place.
pub(crate) fn left_out(curve: &Curve) -> usize {
    let kind = kind(curve);
    let points: usize = curve
        .series
        .iter()
        .map(|series| series.x.len() - shown(series, kind).count())
        .sum();
    points
        + curve
            .references
            .iter()
            .filter(|(_, value)| !kind.shows(*value))
            .count()
}

/// Returns the legend's entry for a series of colour number `index`.
pub(crate) fn series_entry(label: &str, index: usize) -> Entry {
    let (color, dashes) = style::series(index);
    Entry {
        label: text::clean(label),
        color,
        dashes,
        width: LINE,
    }
}

/// Returns the legend's entry for reference number `index`.
pub(crate) fn reference_entry(label: &str, index: usize) -> Entry {
    Entry {
        label: text::clean(label),
        color: REFERENCE,
        dashes: style::reference(index),
        width: REFERENCE_LINE,
    }
}

/// Returns the legend's entries: each series, then each reference. One without any value says so.
pub(crate) fn entries(curve: &Curve) -> Vec<Entry> {
    let kind = kind(curve);
    let named = |label: &str, has_value: bool| {
        if has_value || label.is_empty() {
            label.to_owned()
        } else {
            format!("{label} (no value)")
        }
    };
    let series = curve.series.iter().enumerate().map(|(index, series)| {
        series_entry(
            &named(&series.label, shown(series, kind).next().is_some()),
            index,
        )
    });
    let references = curve.references.iter().enumerate();
    let references = references
        .map(|(index, (label, value))| reference_entry(&named(label, kind.shows(*value)), index));
    series.chain(references).collect()
}

/// Returns where the lines end, in the order of [`entries`]; one without any value at the bottom.
pub(crate) fn ends(axes: &Axes, curve: &Curve) -> Vec<End> {
    let kind = axes.y.domain.kind;
    let series = curve.series.iter().map(|series| {
        let (_, x, y) = shown(series, kind).last()?;
        Some(End {
            y: axes.y.at(y),
            at_edge: axes.x.at(x) >= axes.inner.right - 1.0,
        })
    });
    let references = curve.references.iter().map(|(_, value)| {
        kind.shows(*value).then(|| End {
            y: axes.y.at(*value),
            at_edge: true,
        })
    });
    let missing = End {
        y: axes.inner.bottom,
        at_edge: false,
    };
    series
        .chain(references)
        .map(|end| end.unwrap_or(missing))
        .collect()
}

/// Draws references, then bands, then lines; `entries` holds the look of each series, then of each reference.
pub(crate) fn draw(scene: &mut Scene, axes: &Axes, curve: &Curve, entries: &[Entry]) {
    let (series_entries, reference_entries) = entries.split_at(curve.series.len());
    for ((_, value), entry) in curve.references.iter().zip(reference_entries) {
        if axes.y.domain.kind.shows(*value) {
            let y = axes.y.at(*value);
            let points = vec![[axes.inner.left, y], [axes.inner.right, y]];
            scene.line(points, entry.width, entry.color, entry.dashes);
        }
    }
    for (series, entry) in curve.series.iter().zip(series_entries) {
        draw_band(scene, axes, series, entry);
    }
    for (series, entry) in curve.series.iter().zip(series_entries) {
        for points in runs(axes, series, &series.y) {
            match points.as_slice() {
                [point] => scene.disc(*point, LONE, entry.color),
                _ => scene.line(thin(points), entry.width, entry.color, entry.dashes),
            }
        }
    }
}

fn draw_band(scene: &mut Scene, axes: &Axes, series: &Series, entry: &Entry) {
    let Some(Band { low, high }) = &series.band else {
        return;
    };
    let color = entry.color.with_alpha(BAND);
    let kind = axes.y.domain.kind;
    let both = |index: usize| {
        kind.shows(low[index]) && kind.shows(high[index]) && kind.shows(series.y[index])
    };
    let masked = |column: &[f64]| -> Vec<f64> {
        column
            .iter()
            .enumerate()
            .map(|(index, value)| if both(index) { *value } else { f64::NAN })
            .collect()
    };
    for (low, high) in
        runs(axes, series, &masked(low))
            .into_iter()
            .zip(runs(axes, series, &masked(high)))
    {
        if let ([low], [high]) = (low.as_slice(), high.as_slice()) {
            scene.line(vec![*low, *high], 7.0, color.with_alpha(2.0 * BAND), &[]);
            continue;
        }
        scene.area(
            thin(high)
                .into_iter()
                .chain(thin(low).into_iter().rev())
                .collect(),
            color,
        );
    }
}

/// Returns the unbroken stretches of a column over the x of its series, in pixels.
fn runs(axes: &Axes, series: &Series, column: &[f64]) -> Vec<Vec<Point>> {
    let places = series.x.iter().zip(column).map(|(x, y)| {
        (Kind::Linear.shows(*x) && axes.y.domain.kind.shows(*y))
            .then(|| [axes.x.at(*x), axes.y.at(*y)])
    });
    let mut runs = vec![Vec::new()];
    for place in places {
        match (place, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Returns the line without the points that no reader could tell apart: of those within a third of a pixel
/// across, the first, lowest, highest and last are kept.
fn thin(points: Vec<Point>) -> Vec<Point> {
    let column = |point: &Point| (point[0] * 3.0).floor();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        if group.len() <= 4 {
            kept.extend_from_slice(group);
            continue;
        }
        let by_height = |a: &usize, b: &usize| group[*a][1].total_cmp(&group[*b][1]);
        let mut indices = vec![0, group.len() - 1];
        indices.extend((0..group.len()).min_by(by_height));
        indices.extend((0..group.len()).max_by(by_height));
        indices.sort_unstable();
        indices.dedup();
        kept.extend(indices.into_iter().map(|index| group[index]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_extremes_and_ends() {
        let points: Vec<Point> = (0..1000)
            .map(|i| [f64::from(i) * 1e-4, f64::from((i * 37 + 5) % 101)])
            .collect();
        let kept = thin(points.clone());
        assert_eq!(kept.len(), 4);
        assert_eq!((kept[0], kept[3]), (points[0], points[999]));
        assert!(kept.iter().any(|p| p[1] == 0.0) && kept.iter().any(|p| p[1] == 100.0));
    }
}
