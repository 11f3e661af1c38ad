//! Summaries of runs: tables, summary.json and pictures.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tiltrl_envs::EnvSpec;
use tiltrl_plots::{Curve, IntervalRow, Intervals, Panels, Series, curve, intervals, panels};
use tiltrl_policies::checkpoint::write_atomically;

use crate::config::Config;
use crate::error::Error;
use crate::run::{Provenance, read_csv};
use crate::stats::{Aggregate, aggregate};

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// "data", "prior", "best-of-16", "posterior" …
    pub policy: String,
    /// Statistics of episode returns.
    pub returns: Aggregate,
    /// Statistics of normalised scores, where the environment has reference returns.
    pub score: Option<Aggregate>,
}

/// Contents of summary.json.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Preset.
    pub preset: String,
    /// Environment.
    pub env: String,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Where everything came from, without the seed.
    pub provenance: Provenance,
    /// Lines of the table.
    pub lines: Vec<Line>,
    /// Seconds of each stage, averaged over seeds.
    pub seconds: BTreeMap<String, f64>,
    /// Quantiles (5, 50, 95 %) over states of each certificate number, seeds together.
    pub certificate: BTreeMap<String, [f64; 3]>,
}

/// Returns the line of a policy from episode returns per seed.
pub fn line(policy: &str, returns: &[Vec<f64>], spec: &EnvSpec) -> Line {
    let scores: Option<Vec<Vec<f64>>> = returns
        .iter()
        .map(|seed| seed.iter().map(|&r| spec.normalized_score(r)).collect())
        .collect();
    Line {
        policy: policy.into(),
        returns: aggregate(returns, 0),
        score: scores.map(|s| aggregate(&s, 0)),
    }
}

/// Returns the table as text: lines, provenance and the seconds of each stage.
pub fn table(summary: &Summary) -> String {
    let p = &summary.provenance;
    let seconds: Vec<String> = summary
        .seconds
        .iter()
        .map(|(stage, value)| format!("{stage} {value:.1}"))
        .collect();
    format!(
        "{}engine {} {}, margin rule {}, data {}, seeds {:?}\nseconds per seed: {}\n",
        lines_table(&summary.lines),
        p.engine,
        p.engine_version,
        p.margin_rule,
        &p.data_sha256[..12.min(p.data_sha256.len())],
        summary.seeds,
        seconds.join(", ")
    )
}

/// Returns lines as a table: scores where the environment has reference returns, returns elsewhere.
pub fn lines_table(lines: &[Line]) -> String {
    let scored = lines.iter().any(|l| l.score.is_some());
    let title = if scored {
        "policy (score)"
    } else {
        "policy (return)"
    };
    let mut out = format!(
        "{title:<16} {:>10} {:>10} {:>10}   {:<22} {:>9}\n",
        "mean", "median", "IQM", "95 % interval of mean", "episodes"
    );
    for l in lines {
        let a = l.score.as_ref().unwrap_or(&l.returns);
        out += &format!(
            "{:<16} {:>10.1} {:>10.1} {:>10.1}   [{:>8.1}, {:>8.1}]  {:>9}\n",
            l.policy, a.mean, a.median, a.iqm, a.mean_low, a.mean_high, a.episodes
        );
    }
    out
}

/// Returns summaries of several runs as Markdown: scores, certificates and seconds, one row per run.
pub fn markdown(summaries: &[Summary]) -> String {
    let mut policies: Vec<&str> = Vec::new();
    for l in summaries.iter().flat_map(|s| &s.lines) {
        if !policies.contains(&l.policy.as_str()) {
            policies.push(&l.policy);
        }
    }
    policies.sort_by_key(|p| *p == "posterior");
    let mut out = format!(
        "| run | {} |\n|---|{}\n",
        policies.join(" | "),
        "---|".repeat(policies.len())
    );
    for s in summaries {
        let cells = policies.iter().map(|name| {
            s.lines
                .iter()
                .find(|l| l.policy == *name)
                .map_or("-".to_string(), |l| {
                    let a = l.score.as_ref().unwrap_or(&l.returns);
                    format!("{:.1} [{:.1}, {:.1}]", a.mean, a.mean_low, a.mean_high)
                })
        });
        out += &format!(
            "| {} | {} |\n",
            s.preset,
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
    out += "\n| run | ESS/N | \\|log Z_q − log Z_p\\| | path-KL (nats) | residual std | seconds per seed |\n|---|---|---|---|---|---|\n";
    for s in summaries {
        let median = |name: &str| s.certificate.get(name).map_or(f64::NAN, |q| q[1]);
        let seconds: Vec<String> = s
            .seconds
            .iter()
            .map(|(stage, value)| format!("{stage} {value:.0}"))
            .collect();
        out += &format!(
            "| {} | {:.2} | {:.3} | {:.2} | {:.2} | {} |\n",
            s.preset,
            median("ess_posterior"),
            median("log_z_difference").abs(),
            median("path_kl"),
            median("residual_std"),
            seconds.join(", ")
        );
    }
    out
}

/// Writes summary.json.
///
/// # Errors
/// When it cannot be written.
pub fn save(summary: &Summary, folder: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(summary).expect("plain data");
    Ok(write_atomically(
        &folder.join("summary.json"),
        text.as_bytes(),
    )?)
}

fn column(rows: &[Vec<String>], index: usize) -> Vec<f64> {
    rows.iter()
        .map(|r| {
            r.get(index)
                .and_then(|v| v.parse().ok())
                .unwrap_or(f64::NAN)
        })
        .collect()
}

/// Returns the mean return at each update of one seed's evaluations during training.
///
/// # Errors
/// When eval.csv cannot be read.
pub fn training_curve(seed: &Path) -> Result<BTreeMap<u64, f64>, Error> {
    let (_, rows) = read_csv(&seed.join("eval.csv"))?;
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|r| r.get(1).is_some_and(|p| p == "training"))
    {
        let entry = sums.entry(row[0].parse().unwrap_or(0)).or_default();
        entry.0 += row[4].parse().unwrap_or(f64::NAN);
        entry.1 += 1.0;
    }
    Ok(sums.into_iter().map(|(u, (s, n))| (u, s / n)).collect())
}

/// Draws returns, final intervals and training numbers of a run's seeds into its folder.
///
/// # Errors
/// When a log is missing or a picture cannot be written.
pub fn draw(
    summary: &Summary,
    config: &Config,
    folder: &Path,
) -> Result<Vec<std::path::PathBuf>, Error> {
    let seeds: Vec<_> = summary
        .seeds
        .iter()
        .map(|s| folder.join(format!("seed-{s}")))
        .collect();
    let curves: Vec<_> = seeds
        .iter()
        .map(|s| training_curve(s))
        .collect::<Result<_, _>>()?;
    let updates: Vec<u64> = curves[0].keys().copied().collect();
    let at = |u: &u64| -> Vec<f64> { curves.iter().filter_map(|c| c.get(u).copied()).collect() };
    let mean: Vec<f64> = updates.iter().map(|u| crate::stats::mean(&at(u))).collect();
    let low = updates
        .iter()
        .map(|u| at(u).into_iter().fold(f64::INFINITY, f64::min))
        .collect();
    let high = updates
        .iter()
        .map(|u| at(u).into_iter().fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let references = summary
        .lines
        .iter()
        .filter(|l| l.policy != "posterior")
        .map(|l| (l.policy.clone(), l.returns.mean))
        .collect();
    let returns = Curve {
        title: format!(
            "{}: return while the posterior is fine-tuned",
            summary.preset
        ),
        subtitle: format!(
            "mean of {} episodes per evaluation, {}",
            config.evaluation.episodes_in_training,
            match seeds.len() {
                1 => "1 seed".to_string(),
                n => format!("{n} seeds, band: lowest to highest seed"),
            }
        ),
        x_label: "RTB updates".into(),
        y_label: "Return".into(),
        series: vec![Series {
            label: "posterior".into(),
            x: updates.iter().map(|&u| u as f64).collect(),
            y: mean,
            band: (seeds.len() > 1).then_some((low, high)),
        }],
        references,
        log_y: false,
    };
    let mut files = curve(&returns, &folder.join("returns"))?;
    let final_scores = Intervals {
        title: format!("{}: final returns", summary.preset),
        subtitle: "mean with 95 % stratified bootstrap interval".into(),
        x_label: "Return".into(),
        rows: summary
            .lines
            .iter()
            .map(|l| IntervalRow {
                group: summary.preset.clone(),
                label: l.policy.clone(),
                point: l.returns.mean,
                low: l.returns.mean_low,
                high: l.returns.mean_high,
            })
            .collect(),
    };
    files.extend(intervals(&final_scores, &folder.join("final"))?);
    files.extend(training_panels(summary, &seeds, folder)?);
    Ok(files)
}

fn training_panels(
    summary: &Summary,
    seeds: &[std::path::PathBuf],
    folder: &Path,
) -> Result<Vec<std::path::PathBuf>, Error> {
    let logs: Vec<_> = seeds
        .iter()
        .map(|s| read_csv(&s.join("finetune.csv")))
        .collect::<Result<_, _>>()?;
    let panel = |name: &str, title: &str, log_y: bool| Curve {
        title: title.into(),
        subtitle: String::new(),
        x_label: "RTB updates".into(),
        y_label: String::new(),
        series: logs
            .iter()
            .zip(&summary.seeds)
            .map(|((header, rows), seed)| Series {
                label: format!("seed {seed}"),
                x: column(rows, 0),
                y: column(rows, header.iter().position(|h| h == name).unwrap_or(1)),
                band: None,
            })
            .collect(),
        references: Vec::new(),
        log_y,
    };
    let figure = Panels {
        title: format!("{}: RTB fine-tuning", summary.preset),
        subtitle: "averages between rows of finetune.csv".into(),
        panels: vec![
            panel("loss", "Loss ½δ²", true),
            panel("log_z", "log Z", false),
            panel("path_kl", "Path-KL to the prior (nats)", false),
            panel("ess", "ESS / N", false),
        ],
        columns: 2,
    };
    Ok(panels(&figure, &folder.join("training"))?)
}
