//! Pictures of runs: return curves over updates, final scores, training numbers, the certificate.

mod certificate;
mod training;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tiltrl_plots::{Band, Curve, IntervalRow, Intervals, Panels, Series, curve, intervals, panels};

pub use certificate::{certificate, certificate_panels};

use crate::config::Config;
use crate::error::Error;
use crate::report::{Line, Summary};
use crate::run::{Results, RunDir};
use crate::train::certificate::Certificate;

/// Returns the curve of a run's seeds: their mean, with a band from the lowest to the highest seed.
///
/// # Errors
/// When a seed's results cannot be read.
pub fn return_series(label: &str, seeds: &[PathBuf]) -> Result<Series, Error> {
    let curves: Vec<BTreeMap<u64, f64>> = seeds
        .iter()
        .map(|path| {
            let results = Results::read(&RunDir { path: path.clone() })?;
            Ok(results.training_curve().into_iter().collect())
        })
        .collect::<Result<_, Error>>()?;
    let updates: BTreeSet<u64> = curves.iter().flat_map(|c| c.keys().copied()).collect();
    let over_seeds = |statistic: fn(&[f64]) -> f64| -> Vec<f64> {
        let at =
            |u: &u64| -> Vec<f64> { curves.iter().filter_map(|c| c.get(u).copied()).collect() };
        updates.iter().map(|u| statistic(&at(u))).collect()
    };
    let band = (seeds.len() > 1).then(|| Band {
        low: over_seeds(|v| v.iter().copied().fold(f64::INFINITY, f64::min)),
        high: over_seeds(|v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    });
    Ok(Series {
        label: label.into(),
        x: updates.iter().map(|&u| u as f64).collect(),
        y: over_seeds(crate::stats::mean),
        band,
    })
}

fn seed_folders(summary: &Summary, folder: &Path) -> Vec<PathBuf> {
    let seeds = summary.seeds.iter();
    seeds.map(|s| RunDir::of_seed(folder, *s).path).collect()
}

/// The pictures of a run, before they are drawn.
pub struct Figures {
    /// Return curve of fine-tuning, or of a baseline's training; none where nothing was evaluated on the way.
    pub returns: Option<Curve>,
    /// Final returns with intervals.
    pub last: Intervals,
    /// Numbers of fine-tuning, or of a baseline's training.
    pub training: Panels,
    /// The certificate of all seeds together; none where there is no posterior.
    pub certificate: Option<Panels>,
}

/// Returns the pictures of a run's seeds.
///
/// # Errors
/// When a log, results or a certificate are missing or cannot be read.
pub fn figures(summary: &Summary, config: &Config, folder: &Path) -> Result<Figures, Error> {
    let seeds = seed_folders(summary, folder);
    let read = |seed: &PathBuf| Certificate::read(&seed.join("certificate.json"));
    let certificate = if config.has_posterior() {
        let all = seeds.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let joined = Certificate::joined(&all);
        Some(certificate_panels(&summary.preset, &joined))
    } else {
        None
    };
    Ok(Figures {
        returns: returns(summary, config, &seeds)?,
        last: last(summary),
        training: training::panels(summary, config, &seeds)?,
        certificate,
    })
}

/// Draws returns, final intervals and training numbers of a run's seeds into its folder.
///
/// # Errors
/// When a log is missing or a picture cannot be written.
pub fn draw(summary: &Summary, config: &Config, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let all = figures(summary, config, folder)?;
    let mut files = Vec::new();
    if let Some(returns) = &all.returns {
        files.extend(curve(returns, &folder.join("returns"))?);
    }
    files.extend(intervals(&all.last, &folder.join("final"))?);
    files.extend(panels(&all.training, &folder.join("training"))?);
    if let Some(certificate) = &all.certificate {
        files.extend(panels(certificate, &folder.join("certificate"))?);
    }
    Ok(files)
}

fn returns(summary: &Summary, config: &Config, seeds: &[PathBuf]) -> Result<Option<Curve>, Error> {
    let own = match config.has_posterior() {
        true => "posterior",
        false => &config.algorithm,
    };
    let series = return_series(own, seeds)?;
    if series.x.is_empty() {
        return Ok(None);
    }
    let others = summary.lines.iter().filter(|l| l.policy != own);
    let over = match seeds.len() {
        1 => "1 seed".to_string(),
        n => format!("{n} seeds, band: lowest to highest seed"),
    };
    let title = match config.has_posterior() {
        true => "return while the posterior is fine-tuned".to_string(),
        false => format!("return while {own} is trained"),
    };
    Ok(Some(Curve {
        title: format!("{}: {title}", summary.preset),
        subtitle: format!(
            "mean of {} episodes per evaluation, {over}",
            config.evaluation.episodes_in_training
        ),
        x_label: training::updates_of(config.has_posterior()).into(),
        y_label: "Return".into(),
        series: vec![series],
        references: others.map(|l| (l.policy.clone(), l.returns.mean)).collect(),
        log_y: false,
    }))
}

fn last(summary: &Summary) -> Intervals {
    let row = |l: &Line| IntervalRow {
        group: summary.preset.clone(),
        label: l.policy.clone(),
        point: l.returns.mean,
        low: l.returns.mean_low.unwrap_or(l.returns.mean),
        high: l.returns.mean_high.unwrap_or(l.returns.mean),
    };
    Intervals {
        title: format!("{}: final returns", summary.preset),
        subtitle: "mean with 95 % stratified bootstrap interval".into(),
        x_label: "Return".into(),
        rows: summary.lines.iter().map(row).collect(),
    }
}

/// Draws the return curves of several runs on one pair of axes.
///
/// # Errors
/// When the runs are of different environments, a log is missing or the picture cannot be written.
pub fn compare(runs: &[(PathBuf, Summary)], stem: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(curve(&together(runs)?, stem)?)
}

/// Returns the return curves of several runs on one pair of axes.
///
/// # Errors
/// When the runs are of different environments, or a log is missing.
pub fn together(runs: &[(PathBuf, Summary)]) -> Result<Curve, Error> {
    let env = &runs[0].1.env;
    if let Some((folder, other)) = runs.iter().find(|(_, s)| s.env != *env) {
        return Err(Error::Usage(format!(
            "{}: a run on {}, but {} is on {env}; returns of different environments share no axis",
            folder.display(),
            other.env,
            runs[0].0.display()
        )));
    }
    let name = |folder: &Path| {
        folder
            .file_name()
            .map_or("run".into(), |n| n.to_string_lossy().into_owned())
    };
    let posteriors = runs.iter().all(|(_, s)| s.algorithm == "rtb");
    let series: Vec<Series> = runs
        .iter()
        .map(|(folder, s)| return_series(&name(folder), &seed_folders(s, folder)))
        .collect::<Result<_, _>>()?;
    if let Some(at) = series.iter().position(|s| s.x.is_empty()) {
        return Err(Error::Usage(format!(
            "{}: `{}` is not evaluated while it trains, so it has no curve",
            runs[at].0.display(),
            runs[at].1.algorithm
        )));
    }
    let what = match posteriors {
        true => "return while posteriors are fine-tuned",
        false => "return in training",
    };
    Ok(Curve {
        title: format!("{env}: {what}"),
        subtitle: "mean over seeds, band: lowest to highest seed".into(),
        x_label: training::updates_of(posteriors).into(),
        y_label: "Return".into(),
        series,
        references: Vec::new(),
        log_y: false,
    })
}
