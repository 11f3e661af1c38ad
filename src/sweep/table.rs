//! The table of a sweep: a line per configuration.

use tiltrl_envs::{EnvSpec, spec_with};

use super::space::Configuration;
use crate::config::Config;
use crate::error::Error;
use crate::files::csv_cell;
use crate::jobs::{Listed, State};
use crate::report::{interval_text, line};
use crate::run::Results;
use crate::stats::Aggregate;

/// A configuration and what came of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it sets, and its name.
    pub configuration: Configuration,
    /// Statistics over the final episodes of all seeds that are done: scores where the environment has reference returns,
    /// returns elsewhere; none where no seed is done.
    pub found: Option<Aggregate>,
    /// The same numbers by seed.
    pub episodes: Vec<Vec<f64>>,
    /// Seeds that are done.
    pub done: Vec<u64>,
    /// Seeds that are asked for.
    pub seeds: usize,
    /// How the others stand, in words; empty where all are done.
    pub state: String,
}

/// The lines of a sweep's table.
#[derive(Clone, Debug)]
pub struct Lines {
    /// One per configuration.
    pub lines: Vec<Line>,
    /// Whether their numbers are scores; else they are returns.
    pub scored: bool,
}

/// Returns a line per configuration.
///
/// `all` are the jobs of the configurations, those of one beside each other, `policy` whose episodes count.
///
/// # Errors
/// When a finished seed's results cannot be read.
pub fn lines(
    configurations: &[(Configuration, Config)],
    all: &[Listed<'_>],
    policy: &str,
) -> Result<Lines, Error> {
    let each = all.len() / configurations.len().max(1);
    let mut lines = Vec::new();
    let mut scored = true;
    for ((configuration, config), jobs) in configurations.iter().zip(all.chunks(each.max(1))) {
        let spec = spec_with(&config.env, &config.evaluation.options()?)?;
        scored &= spec.normalized_score(0.0).is_some();
        lines.push(one(configuration, config, &spec, jobs, policy)?);
    }
    Ok(Lines { lines, scored })
}

fn one(
    configuration: &Configuration,
    config: &Config,
    spec: &EnvSpec,
    jobs: &[Listed<'_>],
    policy: &str,
) -> Result<Line, Error> {
    let (mut returns, mut done, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for listed in jobs {
        let job = listed.job;
        if listed.state != State::Done {
            open.push(format!("seed {} {}", job.seed, listed.text()));
            continue;
        }
        let results = Results::read(&job.dir)?;
        let last = results.last(policy, config).ok_or_else(|| {
            Error::Run(format!(
                "{}: no final episodes of `{policy}`\n  hint: evaluation.best_of and pulls.policy have to agree",
                job.dir.path.display()
            ))
        })?;
        returns.push(last.returns());
        done.push(job.seed);
    }
    let line = (!returns.is_empty()).then(|| line(policy, &returns, spec));
    let score = |r: f64| spec.normalized_score(r).unwrap_or(r);
    let episodes = returns
        .iter()
        .map(|seed| seed.iter().map(|&r| score(r)).collect());
    Ok(Line {
        configuration: configuration.clone(),
        found: line.map(|l| l.score.unwrap_or(l.returns)),
        episodes: episodes.collect(),
        done,
        seeds: jobs.len(),
        state: open.join("; "),
    })
}

/// Returns the lines as Markdown, the best mean first; `unit` is "return" or "score".
pub fn markdown(lines: &[Line], keys: &[String], policy: &str, unit: &str) -> String {
    let mut out = format!(
        "| configuration | {} | {unit} of {policy} | 95 % interval | episodes | seeds done |\n|---|{}---|---|---|---|\n",
        keys.join(" | "),
        "---|".repeat(keys.len())
    );
    let mut order: Vec<&Line> = lines.iter().collect();
    let mean = |l: &Line| l.found.map_or(f64::NEG_INFINITY, |a| a.mean);
    order.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    for l in order {
        let settings = l.configuration.settings.iter();
        let values: Vec<String> = settings
            .map(|(_, value)| value.to_string().replace('|', "\\|"))
            .collect();
        let (mean, interval, episodes) = match &l.found {
            Some(a) => (
                format!("{:.1}", a.mean),
                interval_text(a.mean_interval(), 1).trim().to_string(),
                a.episodes,
            ),
            None => ("–".into(), "–".into(), 0),
        };
        out += &format!(
            "| {} | {} | {mean} | {interval} | {episodes} | {} of {} |\n",
            l.configuration.name(),
            values.join(" | "),
            l.done.len(),
            l.seeds
        );
    }
    out
}

/// Returns the lines as CSV, in the order of the sweep.
pub fn sweep_csv(lines: &[Line], keys: &[String]) -> String {
    let head: Vec<String> = keys.iter().map(|key| csv_cell(key)).collect();
    let mut out = format!(
        "configuration,{},mean,low,high,episodes,seeds_done,seeds,state\n",
        head.join(",")
    );
    for l in lines {
        let settings = l.configuration.settings.iter();
        let values: Vec<String> = settings
            .map(|(_, value)| csv_cell(&value.to_string()))
            .collect();
        let number = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.6}"));
        let state = if l.state.is_empty() { "done" } else { &l.state };
        out += &format!(
            "{},{},{},{},{},{},{},{},{}\n",
            l.configuration.name(),
            values.join(","),
            number(l.found.map(|a| a.mean)),
            number(l.found.and_then(|a| a.mean_low)),
            number(l.found.and_then(|a| a.mean_high)),
            l.found.map_or(0, |a| a.episodes),
            l.done.len(),
            l.seeds,
            csv_cell(state)
        );
    }
    out
}
