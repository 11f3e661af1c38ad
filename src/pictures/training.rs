//! Numbers of a training over its updates, seed by seed.

use std::path::PathBuf;

use tiltrl_plots::{Curve, Panels, Series};

use crate::config::Config;
use crate::error::Error;
use crate::report::Summary;
use crate::run::{Log, RunDir};

/// Returns the label of the axis of updates.
pub(super) fn updates_of(fine_tuning: bool) -> &'static str {
    match fine_tuning {
        true => "RTB updates",
        false => "Updates",
    }
}

/// Returns the panels: fine-tuning where there is a posterior, else the policy, else the critic.
pub(super) fn panels(
    summary: &Summary,
    config: &Config,
    seeds: &[PathBuf],
) -> Result<Panels, Error> {
    let (stage, title) = match (config.has_posterior(), config.is_one_policy()) {
        (true, _) => ("finetune", "RTB fine-tuning".to_string()),
        (_, true) => ("policy", config.algorithm.clone()),
        _ => ("critic", format!("critic of {}", config.algorithm)),
    };
    let logs: Vec<Log> = seeds
        .iter()
        .map(|path| Log::read(&RunDir { path: path.clone() }, stage))
        .collect::<Result<_, _>>()?;
    let panel = |name: &str, title: &str, log_y: bool| Curve {
        title: title.into(),
        subtitle: String::new(),
        x_label: updates_of(config.has_posterior()).into(),
        y_label: String::new(),
        series: logs
            .iter()
            .zip(&summary.seeds)
            .filter_map(|(log, seed)| {
                let (x, y) = log.column(name)?;
                Some(Series {
                    label: format!("seed {seed}"),
                    x,
                    y,
                    band: None,
                })
            })
            .collect(),
        references: Vec::new(),
        log_y,
    };
    let panels = if config.has_posterior() {
        vec![
            panel("loss", "Loss ½δ²", true),
            panel("log_z", "log Z", false),
            panel("path_kl", "Path-KL to the prior (nats)", false),
            panel("ess", "ESS / N", false),
        ]
    } else {
        let names = logs.first().map(Log::names).unwrap_or_default();
        let one = |name: &String| panel(name, &name.replace('_', " "), false);
        names.iter().map(one).collect()
    };
    Ok(Panels {
        title: format!("{}: {title}", summary.preset),
        subtitle: format!("averages between rows of {stage}.csv"),
        panels,
        columns: 2,
    })
}
