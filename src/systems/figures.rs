//! Pictures that several systems draw.

use tiltrl_plots::{Curve, IntervalRow, Intervals, Series};

use super::exact::Exact;
use super::outcome::{Figure, Picture, Row};
use super::train;

/// A method's probabilities of every element.
pub struct Shown<'a> {
    /// Name of the method in the legend.
    pub label: &'a str,
    /// One probability per element.
    pub probabilities: &'a [f64],
}

/// Returns the most probable elements of the exact posterior with each method's probabilities beside the exact ones.
pub fn probabilities(
    stem: &str,
    title: &str,
    exact: &Exact,
    methods: &[Shown<'_>],
    name: &dyn Fn(usize) -> String,
    count: usize,
) -> Picture {
    let mut order: Vec<usize> = (0..exact.posterior.len()).collect();
    let by_mass = |a: &usize, b: &usize| exact.posterior[*b].total_cmp(&exact.posterior[*a]);
    order.sort_by(by_mass);
    let mut rows = Vec::new();
    for &i in order.iter().take(count) {
        let exact = Shown {
            label: "exact",
            probabilities: &exact.posterior,
        };
        for shown in std::iter::once(&exact).chain(methods) {
            let p = shown.probabilities[i];
            rows.push(IntervalRow {
                group: name(i),
                label: shown.label.into(),
                point: p,
                low: p,
                high: p,
            });
        }
    }
    Picture::new(
        stem,
        Figure::Intervals(Intervals {
            title: title.into(),
            subtitle: format!(
                "The {count} most probable of {}, beside the exact posterior",
                exact.posterior.len()
            ),
            x_label: "Probability".into(),
            rows,
        }),
    )
}

/// The curve of one method.
pub struct Line<'a> {
    /// How the picture names the method.
    pub label: &'a str,
    /// Distances by update.
    pub curve: &'a train::Curve,
}

/// Returns the distance to the exact posterior over the updates, one line per method.
pub fn distances(stem: &str, title: &str, name: &str, curves: &[Line<'_>]) -> Picture {
    let series = curves.iter().map(|Line { label, curve }| Series {
        label: (*label).into(),
        x: curve.updates.iter().map(|&u| u as f64).collect(),
        y: curve.values.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
        band: None,
    });
    Picture::new(
        stem,
        Figure::Curve(Curve {
            title: title.into(),
            subtitle: "Measured at every checkpoint against the exact posterior".into(),
            x_label: "Updates".into(),
            y_label: name.into(),
            series: series.collect(),
            references: Vec::new(),
            log_y: true,
        }),
    )
}

/// Returns mean log r against diversity, a dot per method of one task; none where rows lack both numbers.
pub fn reward_against_diversity(stem: &str, title: &str, rows: &[&Row]) -> Option<Picture> {
    let dot = |row: &&Row| {
        Some(Series {
            label: row.method.clone(),
            x: vec![row.diversity?],
            y: vec![row.log_reward?],
            band: None,
        })
    };
    let series: Vec<Series> = rows.iter().filter_map(dot).collect();
    if series.len() < 2 {
        return None;
    }
    Some(Picture::new(
        stem,
        Figure::Curve(Curve {
            title: title.into(),
            subtitle: "A dot per method; the posterior should lie where the exact one lies".into(),
            x_label: "Diversity".into(),
            y_label: "Mean log r".into(),
            series,
            references: Vec::new(),
            log_y: false,
        }),
    ))
}
