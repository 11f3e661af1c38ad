//! `tiltrl evaluate RUN --policy …`: policies of a run on fresh episodes, all its seeds together.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use serde::Serialize;
use tiltrl_envs::{EnvBatch, spec_with};

use super::evaluation::{EvaluateArgs, shoot};
use super::inspect::{print, write_json};
use crate::agent::{Agent, PolicyName};
use crate::error::Error;
use crate::report::{self, Line, line};
use crate::rollout::rollout_in;
use crate::run::{RunDir, seeds_in};

/// What `--json` gets.
#[derive(Serialize)]
struct Evaluation {
    env: String,
    engine: String,
    engine_version: String,
    margin: String,
    seeds: Vec<u64>,
    episodes: usize,
    lines: Vec<Line>,
    /// Milliseconds of wall time per action, episodes and environment included.
    milliseconds_per_timestep: BTreeMap<String, f64>,
}

/// Rolls out policies of a run for all its seeds, prints the table and films the first policy if asked.
///
/// # Errors
/// When a policy is unknown or not trained, or a file cannot be read or written.
pub fn of_run(args: &EvaluateArgs, folder: &Path) -> Result<(), Error> {
    let mut names: Vec<PolicyName> = args
        .policy
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        names.push(PolicyName::Posterior);
    }
    let evaluation = roll_out(args, folder, &names)?;
    print(&report::lines_table(&evaluation.lines));
    print(&format!(
        "{} on {} {}, margin rule {}",
        evaluation.env, evaluation.engine, evaluation.engine_version, evaluation.margin
    ));
    for (name, value) in &evaluation.milliseconds_per_timestep {
        print(&format!("{name:<16} {value:.3} ms per timestep"));
    }
    if args.video.is_some() {
        let seed = evaluation.seeds[0];
        let dir = RunDir::of_seed(folder, seed);
        let config = dir.config()?;
        let agent = Agent::load(&dir, &config, seed, &Device::flex())?;
        let options = args.engine.options_or(config.evaluation.options()?);
        let film = (config.env.as_str(), args.seed.unwrap_or(seed));
        shoot(args, film, &options, &agent.policy(names[0])?)?;
    }
    write_json(args.json.as_deref(), &evaluation)
}

fn roll_out(args: &EvaluateArgs, folder: &Path, names: &[PolicyName]) -> Result<Evaluation, Error> {
    let seeds = seeds_in(folder)?;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    let options = args.engine.options_or(config.evaluation.options()?);
    let episodes = args.episodes.unwrap_or(config.evaluation.episodes);
    let spec = spec_with(&config.env, &options)?;
    let mut returns = vec![Vec::new(); names.len()];
    let mut cost = vec![(0.0, 0usize); names.len()];
    for &seed in &seeds {
        let dir = RunDir::of_seed(folder, seed);
        let agent = Agent::load(&dir, &config, seed, &Device::flex())?;
        for (i, &name) in names.iter().enumerate() {
            let policy = agent.policy(name)?;
            let mut batch = EnvBatch::new(&config.env, &options, episodes)?;
            let clock = Instant::now();
            let list = rollout_in(&mut batch, &policy, args.seed.unwrap_or(seed), None);
            cost[i].0 += clock.elapsed().as_secs_f64() * 1e3;
            cost[i].1 += list.iter().map(|e| e.length).sum::<usize>();
            returns[i].push(list.iter().map(|e| e.episode_return).collect::<Vec<_>>());
        }
    }
    let named = || names.iter().map(ToString::to_string);
    Ok(Evaluation {
        env: config.env,
        engine: spec.engine.clone(),
        engine_version: spec.engine_version.clone(),
        margin: spec.margin.map_or("none".into(), |m| m.to_string()),
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
