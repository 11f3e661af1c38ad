//! Pictures of tilted images.

use tiltrl_plots::{Block, Curve, IntervalRow, Intervals, Panels, Series, Tiles, tiles};

use super::images::Coordinates;
use super::truth::Truth;
use crate::error::Error;
use crate::run::{Log, RunDir};
use crate::systems::outcome::{Figure, Picture};
use crate::systems::train::{self, slug};

/// Images of a block.
const SHOWN: usize = 45;
const COLUMNS: usize = 15;

/// Samples of one sampler.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// How the picture names the sampler.
    pub label: &'a str,
    /// Its samples [images · dim].
    pub rows: &'a [f32],
}

/// Share of each class among the samples of one sampler.
#[derive(Clone, Copy, Debug)]
pub struct Shares<'a> {
    /// How the picture names the sampler.
    pub label: &'a str,
    /// The shares, which sum to 1.
    pub shares: [f64; 10],
}

/// Returns the first images of each block of rows [images · dim].
pub fn digits(task: &str, coordinates: &Coordinates, blocks: &[Samples<'_>]) -> Picture {
    let block = |Samples { label, rows }: &Samples<'_>| {
        let count = (rows.len() / coordinates.dim).min(SHOWN);
        Block {
            label: (*label).into(),
            values: coordinates.decode(&rows[..count * coordinates.dim]),
        }
    };
    let figure = Tiles {
        title: format!("Samples: {task}"),
        subtitle: format!(
            "The first {SHOWN} samples of each, none chosen; {}",
            coordinates.describe()
        ),
        blocks: blocks.iter().map(block).collect(),
        size: coordinates.size,
        columns: COLUMNS,
    };
    let draw = move |stem: &std::path::Path| tiles(&figure, stem);
    let stem = format!("samples-{}", slug(task));
    Picture::new(&stem, Figure::Own(Box::new(draw)))
}

/// Returns the share of each class among the samples of several samplers.
pub fn classes(task: &str, samplers: &[Shares<'_>]) -> Picture {
    let mut rows = Vec::new();
    for class in 0..10 {
        for Shares { label, shares } in samplers {
            rows.push(IntervalRow {
                group: format!("{class}"),
                label: (*label).into(),
                point: shares[class],
                low: shares[class],
                high: shares[class],
            });
        }
    }
    let figure = Intervals {
        title: format!("Classes: {task}"),
        subtitle: "As the classifier names them".into(),
        x_label: "Share of the samples".into(),
        rows,
    };
    let stem = format!("classes-{}", slug(task));
    Picture::new(&stem, Figure::Intervals(figure))
}

/// Returns log Z of the loss and the distance to the exact samples over the updates.
///
/// # Errors
/// When the log of the updates cannot be read.
pub fn progress(
    task: &str,
    dir: &RunDir,
    truth: &Truth,
    curve: &train::Curve,
    floor: f64,
    of_prior: f64,
) -> Result<Picture, Error> {
    let log = Log::read(dir, &format!("balance-{}", slug(task)))?;
    let (x, y) = log.column("log_z").unwrap_or_default();
    let panel = |title: &str, series: Series, references: Vec<(String, f64)>, log_y: bool| Curve {
        title: title.into(),
        subtitle: String::new(),
        x_label: "Updates".into(),
        y_label: String::new(),
        series: vec![series],
        references,
        log_y,
    };
    let line = |x: Vec<f64>, y: Vec<f64>| Series {
        label: "balance".into(),
        x,
        y,
        band: None,
    };
    let updates = curve.updates.iter().map(|&u| u as f64).collect();
    let distances = curve.values.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
    let figure = Panels {
        title: format!("While the prior is tilted: {task}"),
        subtitle: "log Z as the loss has it; Fréchet distance of 2,048 samples to the exact ones"
            .into(),
        panels: vec![
            panel(
                "log Z",
                line(x, y),
                vec![("exact".into(), truth.log_z)],
                false,
            ),
            panel(
                "Fréchet distance",
                line(updates, distances),
                vec![("prior".into(), of_prior), ("floor".into(), floor)],
                true,
            ),
        ],
        columns: 2,
    };
    Ok(Picture::new(
        &format!("progress-{}", slug(task)),
        Figure::Panels(figure),
    ))
}
