//! `tiltrl dial RUN`: one posterior over its range of temperatures, as a table and as a picture.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tiltrl_envs::{EnvBatch, EnvSpec, spec_with};
use tiltrl_plots::{Curve, Panels, Series, panels};
use tiltrl_tilt::certificate::Verdict;

use super::output::{print, refuse_existing, write_json};
use super::pipeline::{DataOf, data_of_run};
use super::reading::ReadingArgs;
use crate::agent::{Agent, PolicyName};
use crate::config::Config;
use crate::device::Compute;
use crate::dial_curve::{Identity, certificate_of, identity, margin};
use crate::error::Error;
use crate::report::{Line, interval_text, line, quantiles};
use crate::rollout::rollout_in;
use crate::run::{Lock, RunDir, Seeds};
use crate::stats::mean;
use crate::train::certificate::Certificate;
use crate::train::training_data::TrainingData;

/// Temperatures at which the identity is checked.
const CHECKS: usize = 5;

/// Arguments of `tiltrl dial`.
#[derive(Args)]
pub struct DialArgs {
    /// Folder of a finished run whose `finetune.dial` names a range.
    folder: PathBuf,
    /// Temperatures, evenly spaced in log α, the ends of the range among them.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..=99))]
    points: u16,
    /// Episodes to play at each; default: the run's own number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    episodes: Option<u32>,
    /// The run's data, as the run named them; repeat to concatenate.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Folder of the run's data files, in place of --data.
    #[arg(long, conflicts_with = "data")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Draw to STEM.svg, .png and .csv in place of the run's folder.
    #[arg(long, value_name = "STEM")]
    out: Option<PathBuf>,
    /// Also write the numbers as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The posterior at one temperature, all seeds together.
#[derive(Serialize)]
struct Point {
    /// α as a factor of the middle's.
    factor: f64,
    /// α in the critic's units, averaged over seeds.
    alpha: f64,
    /// α in reward per nat, averaged over seeds.
    price: f64,
    returns: Line,
    /// Median over states, nats.
    path_kl: f64,
    /// Mean over states, from paths of the posterior.
    log_z: f64,
    verdict: Verdict,
}

/// What `--json` gets.
#[derive(Serialize)]
struct Curves {
    env: String,
    seeds: Vec<u64>,
    episodes: usize,
    points: Vec<Point>,
    identity: Vec<Identity>,
    relative_errors: Vec<f64>,
}

/// `tiltrl dial`.
///
/// # Errors
/// When the run has no dial or is not finished, its data are not named, or a file cannot be read or written.
pub fn dial(args: &DialArgs, device: &str) -> Result<(), Error> {
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    if let Some(stem) = &args.out {
        refuse_existing(&stem.with_added_extension("svg"), "--out")?;
    }
    let compute = Compute::named(device)?;
    let folder = &args.folder;
    let seeds = Seeds::finished(folder)?.ready;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    let mut agents = Vec::new();
    for &seed in &seeds {
        let dir = RunDir::of_seed(folder, seed);
        let agent = Agent::of_seed(&dir, &config, seed, &compute.handle)?;
        agent.dialled()?;
        agents.push((seed, agent));
    }
    let named = DataOf {
        reading: args.reading,
        files: &args.data,
        folder: args.data_dir.as_deref(),
    };
    let data = data_of_run(folder, &config, named)?.ok_or_else(|| {
        Error::Usage("name the run's data with --data FILE or --data-dir DIR".into())
    })?;
    let episodes = args.episodes.map(|n| n as usize);
    let episodes = episodes.unwrap_or(config.evaluation.episodes);
    let curves = measure(&config, &mut agents, &data, (args.points.into(), episodes))?;
    print(&text(&curves));
    draw(args, &config, &curves)?;
    write_json(args.json.as_deref(), &curves)
}

/// Certifies and plays every temperature, and checks the identity.
fn measure(
    config: &Config,
    agents: &mut [(u64, Agent)],
    data: &TrainingData,
    (points, episodes): (usize, usize),
) -> Result<Curves, Error> {
    let options = config.evaluation.options()?;
    let spec = spec_with(&config.env, &options)?;
    let mut batch = EnvBatch::new(&config.env, &options, episodes)?;
    let mut found = Vec::new();
    for at in 0..points {
        found.push(point(&mut batch, agents, data, (at, points), &spec)?);
    }
    let mut checks = Vec::new();
    for at in 0..CHECKS {
        let mut of_seeds = Vec::new();
        for (seed, agent) in agents.iter_mut() {
            let alpha = agent.dialled()?.dial.alphas(CHECKS, margin())[at];
            of_seeds.push(identity(agent, data, *seed, alpha)?);
        }
        let over = |f: fn(&Identity) -> f64| mean(&of_seeds.iter().map(f).collect::<Vec<_>>());
        checks.push(Identity {
            factor: over(|i| i.factor),
            beta: over(|i| i.beta),
            slope: over(|i| i.slope),
            mean_q: over(|i| i.mean_q),
            drawn_q: over(|i| i.drawn_q),
            prior_q: over(|i| i.prior_q),
        });
    }
    Ok(Curves {
        env: config.env.clone(),
        seeds: agents.iter().map(|(seed, _)| *seed).collect(),
        episodes,
        points: found,
        relative_errors: checks.iter().map(Identity::relative_error).collect(),
        identity: checks,
    })
}

/// Certifies and plays one temperature.
fn point(
    batch: &mut EnvBatch,
    agents: &mut [(u64, Agent)],
    data: &TrainingData,
    (at, points): (usize, usize),
    spec: &EnvSpec,
) -> Result<Point, Error> {
    let (mut returns, mut certificates) = (Vec::new(), Vec::new());
    let (mut alphas, mut prices, mut factor) = (Vec::new(), Vec::new(), f64::NAN);
    for (seed, agent) in agents.iter_mut() {
        let dialled = agent.dialled()?.clone();
        let alpha = dialled.dial.alphas(points, 0.0)[at];
        agent.turn(&dialled, alpha)?;
        certificates.push(certificate_of(agent, data, *seed)?);
        let policy = agent.policy(PolicyName::Posterior)?;
        let episodes = rollout_in(batch, &*policy, *seed, None);
        returns.push(
            episodes
                .iter()
                .map(|e| e.episode_return)
                .collect::<Vec<_>>(),
        );
        factor = alpha / dialled.dial.middle;
        alphas.push(alpha);
        prices.push(alpha * dialled.dial.unit);
    }
    let joined = Certificate::joined(&certificates);
    let log_z: Vec<f64> = joined.states.iter().map(|s| s.log_z_posterior).collect();
    Ok(Point {
        factor,
        alpha: mean(&alphas),
        price: mean(&prices),
        returns: line("posterior", &returns, spec),
        path_kl: quantiles(&joined)["path_kl"][1],
        log_z: mean(&log_z),
        verdict: joined.verdict,
    })
}

fn text(curves: &Curves) -> String {
    let mut out = format!(
        "{:>8} {:>10} {:>12} {:>9}   {:<22} {:>6} {:>8} {:>6} {:>8} {:>6}\n",
        "α/middle",
        "α, critic",
        "reward/nat",
        "return",
        "95 % interval",
        "score",
        "path-KL",
        "ESS/N",
        "log Z",
        "gap"
    );
    for p in &curves.points {
        let r = &p.returns.returns;
        let score = p.returns.score.as_ref();
        out += &format!(
            "{:>8.3} {:>10.4} {:>12.4} {:>9.1}   {} {:>6} {:>8.2} {:>6.3} {:>8.3} {:>6.3} {}\n",
            p.factor,
            p.alpha,
            p.price,
            r.mean,
            interval_text(r.mean_interval(), 9),
            score.map_or("–".into(), |s| format!("{:.1}", s.mean)),
            p.path_kl,
            p.verdict.ess,
            p.log_z,
            p.verdict.log_z_gap,
            if p.verdict.passed { "PASS" } else { "FAIL" }
        );
    }
    out += &format!(
        "{} episodes of each of the seeds {:?}; medians over states of path-KL and ESS/N, mean of log Z\n\n",
        curves.episodes, curves.seeds
    );
    out += &format!(
        "{:>8} {:>10} {:>12} {:>10} {:>10} {:>10}   error, share of E_π[Q] − E_μ[Q]\n",
        "α/middle", "β, critic", "d log Z/dβ", "E_π[Q]", "drawn", "E_μ[Q]"
    );
    for (i, error) in curves.identity.iter().zip(&curves.relative_errors) {
        out += &format!(
            "{:>8.3} {:>10.4} {:>12.4} {:>10.4} {:>10.4} {:>10.4}   {:.2} %\n",
            i.factor,
            i.beta,
            i.slope,
            i.mean_q,
            i.drawn_q,
            i.prior_q,
            100.0 * error
        );
    }
    out + "E_π[Q]: samples of the posterior, weighted by their importance; drawn: unweighted"
}

/// Draws return, path-KL and ESS/N over α, into the run's folder or where `--out` says.
fn draw(args: &DialArgs, config: &Config, curves: &Curves) -> Result<(), Error> {
    let figure = figure(config, curves);
    let files = match &args.out {
        Some(stem) => panels(&figure, stem)?,
        None => {
            let _lock = Lock::wait(&args.folder)?;
            panels(&figure, &args.folder.join("dial"))?
        }
    };
    let path: &Path = &files[0];
    print(&format!(
        "picture      {} (.png, .csv beside it)",
        path.display()
    ));
    Ok(())
}

fn figure(config: &Config, curves: &Curves) -> Panels {
    let x: Vec<f64> = curves.points.iter().map(|p| p.factor.log2()).collect();
    let panel = |title: &str, value: &dyn Fn(&Point) -> f64, references| Curve {
        title: title.into(),
        subtitle: String::new(),
        x_label: "log₂ of α over the middle's".into(),
        y_label: title.into(),
        series: vec![Series {
            label: "posterior".into(),
            x: x.clone(),
            y: curves.points.iter().map(value).collect(),
            band: None,
        }],
        references,
        log_y: false,
    };
    let least = curves.points.first().map(|p| p.verdict.thresholds.ess);
    let threshold = least.map(|ess| ("threshold of the median".to_string(), ess));
    Panels {
        title: format!("{}: one posterior over its temperatures", config.preset),
        subtitle: format!(
            "{}, {} episodes of each of the seeds {:?}; medians over states",
            curves.env, curves.episodes, curves.seeds
        ),
        panels: vec![
            panel("Return", &|p| p.returns.returns.mean, Vec::new()),
            panel("Path-KL, nats", &|p| p.path_kl, Vec::new()),
            panel("ESS/N", &|p| p.verdict.ess, threshold.into_iter().collect()),
        ],
        columns: 3,
    }
}
