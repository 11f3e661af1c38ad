//! `tiltrl evaluate`: the lines of a finished run, or any of its policies on fresh episodes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use tiltrl_envs::spec_of;

use super::inspect::{print, write_json};
use super::plot::summary;
use crate::agent::{Agent, PolicyName};
use crate::error::Error;
use crate::report::{self, Line, line};
use crate::rollout::rollout;
use crate::run::{RunDir, seeds_in};

/// Arguments of `tiltrl evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Folder of a run.
    folder: PathBuf,
    /// Policies to roll out: prior, posterior, posterior-best, best-of-N, resample-N; comma-separated.
    /// Without it the finished run's table is printed.
    #[arg(long, value_delimiter = ',')]
    policy: Vec<String>,
    /// Episodes of each policy and seed.
    #[arg(long, default_value_t = 20)]
    episodes: usize,
    /// Seed of the episodes; default: the run's own, which repeats its final evaluation.
    #[arg(long)]
    episode_seed: Option<u64>,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What `--json` gets.
#[derive(Serialize)]
struct Evaluation {
    env: String,
    seeds: Vec<u64>,
    episodes: usize,
    lines: Vec<Line>,
    /// Milliseconds of wall time per action, episodes and environment included.
    milliseconds_per_timestep: BTreeMap<String, f64>,
}

/// `tiltrl evaluate`.
///
/// # Errors
/// When the run is not finished, a policy is unknown or a file cannot be read or written.
pub fn evaluate(args: &EvaluateArgs) -> Result<(), Error> {
    if args.policy.is_empty() {
        let summary = summary(&args.folder)?;
        print(&report::table(&summary));
        return write_json(args.json.as_deref(), &summary);
    }
    if args.episodes == 0 {
        return Err(Error::Usage("--episodes: expected at least 1".into()));
    }
    let names: Vec<PolicyName> = args
        .policy
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let evaluation = roll_out(&args.folder, &names, args.episodes, args.episode_seed)?;
    print(&report::lines_table(&evaluation.lines));
    for (name, value) in &evaluation.milliseconds_per_timestep {
        print(&format!("{name:<16} {value:.3} ms per timestep"));
    }
    write_json(args.json.as_deref(), &evaluation)
}

fn roll_out(
    folder: &Path,
    names: &[PolicyName],
    episodes: usize,
    episode_seed: Option<u64>,
) -> Result<Evaluation, Error> {
    let seeds = seeds_in(folder)?;
    let mut returns = vec![Vec::new(); names.len()];
    let mut cost = vec![(0.0, 0usize); names.len()];
    let mut env = String::new();
    for &seed in &seeds {
        let dir = RunDir::of_seed(folder, seed);
        let config = dir.config()?;
        let agent = Agent::load(&dir, &config, seed, &Device::flex())?;
        for (i, &name) in names.iter().enumerate() {
            let clock = Instant::now();
            let from = episode_seed.unwrap_or(seed);
            let list = rollout(&agent.policy(name)?, &config.env, episodes, from, None)?;
            cost[i].0 += clock.elapsed().as_secs_f64() * 1e3;
            cost[i].1 += list.iter().map(|e| e.length).sum::<usize>();
            returns[i].push(list.iter().map(|e| e.episode_return).collect());
        }
        env = config.env;
    }
    let spec = spec_of(&env)?;
    let named = || names.iter().map(ToString::to_string);
    Ok(Evaluation {
        env,
        seeds,
        episodes,
        lines: named()
            .zip(&returns)
            .map(|(name, r)| line(&name, r, &spec))
            .collect(),
        milliseconds_per_timestep: named()
            .zip(&cost)
            .map(|(name, (ms, count))| (name, ms / *count as f64))
            .collect(),
    })
}
