//! `tiltrl evaluate`: what a finished run says, or episodes of any policy on any engine, filmed if asked.

use serde::Serialize;
use tiltrl_envs::{EnvBatch, EnvSpec, spec_with};
use tiltrl_policies::agent::Policy;

use super::collect;
use super::evaluate_args::{EvaluateArgs, film};
use super::evaluate_run::evaluate_run;
use super::output::{print, refuse_existing, write_json};
use crate::card::{self, Acting, Task};
use crate::console::Console;
use crate::device::Compute;
use crate::error::Error;
use crate::report;
use crate::rollout::rollout_in;
use crate::run::RunDir;
use crate::scripted::scripted;
use crate::stats::mean;

#[derive(Serialize)]
struct PolicyReturns {
    env: String,
    engine: String,
    engine_version: String,
    margin: Option<String>,
    policy: String,
    seed: u64,
    returns: Vec<f64>,
    score: Option<f64>,
}

/// `tiltrl evaluate`.
///
/// # Errors
/// When the run is not finished, or environment and policy are unknown or do not fit, or a file exists.
pub fn evaluate(args: &EvaluateArgs, device: &str, console: Console) -> Result<(), Error> {
    let compute = Compute::named(device)?;
    if let Some(path) = &args.video {
        refuse_existing(path, "--video")?;
    }
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    if args.episodes == Some(0) {
        return Err(Error::Usage("--episodes: expected at least 1".into()));
    }
    if args.folder.is_none() && !args.reading.overrides().is_empty() {
        return Err(Error::Usage(
            "--horizon, --both-flags: they go with the folder of a run and its --data".into(),
        ));
    }
    if let Some(folder) = &args.folder {
        let only_look = args.policy.is_empty()
            && args.episodes.is_none()
            && args.alpha.is_none()
            && args.video.is_none()
            && args.engine.is_default();
        if !only_look {
            return evaluate_run(args, folder, &compute, console);
        }
        let summary = report::load(folder)?;
        let first = RunDir::of_seed(folder, summary.seeds[0]);
        args.reading.check(&first.config()?.data)?;
        print(&report::table(&summary));
        return write_json(args.json.as_deref(), &summary);
    }
    let env = args.env.as_deref().ok_or_else(|| {
        Error::Usage(
            "name the folder of a run, or --env ID with --actor FILE, --random or --scripted"
                .into(),
        )
    })?;
    let spec = spec_with(env, &args.engine.options())?;
    let (policy, name): (Box<dyn Policy>, String) = if let Some(file) = &args.actor {
        let acting = match args.stochastic {
            true => collect::ActionRule::Drawn,
            false => collect::ActionRule::Mean,
        };
        let policy = collect::actor_policy(file, &spec, acting, console)?;
        (policy, file.display().to_string())
    } else if args.scripted {
        (scripted(env, 0.0)?, "scripted".into())
    } else if args.random {
        (collect::uniform(&spec), "uniform".into())
    } else {
        return Err(Error::Usage(
            "--env: choose --actor FILE, --random or --scripted".into(),
        ));
    };
    play(args, (env, &compute), &*policy, &name)
}

fn play(
    args: &EvaluateArgs,
    (env, compute): (&str, &Compute),
    policy: &dyn Policy,
    name: &str,
) -> Result<(), Error> {
    let options = args.engine.options();
    let compute = compute.clone().for_env(env, &options);
    let (episodes, seed) = (args.episodes.unwrap_or(10), args.seed.unwrap_or(1));
    let mut spec = spec_with(env, &options)?;
    let played = match compute.card {
        Some(card) => {
            spec.engine = compute.engine_name(&spec.engine);
            let task = Task {
                env,
                options: &options,
                episodes,
                seed,
            };
            card::rollout(card, task, Acting::Processor(policy), None)?
        }
        None => {
            let mut batch = EnvBatch::new(env, &options, episodes)?;
            rollout_in(&mut batch, policy, seed, None)
        }
    };
    let returns: Vec<f64> = played.iter().map(|e| e.episode_return).collect();
    show(&spec, name, args, &returns)?;
    film(args, env, seed, &options, policy)
}

fn show(spec: &EnvSpec, name: &str, args: &EvaluateArgs, returns: &[f64]) -> Result<(), Error> {
    let average = mean(returns);
    let squares: f64 = returns.iter().map(|r| (r - average).powi(2)).sum();
    let error = match returns.len() {
        1 => "– (one episode has no standard error)".into(),
        n => format!(
            "{:.1} (standard error)",
            (squares / (n - 1) as f64 / n as f64).sqrt()
        ),
    };
    let score = spec.normalized_score(average);
    let margin = spec.margin.map(|m| m.to_string());
    print(&format!(
        "{} on {} {}{}\n{name}: mean return {average:.1} ± {error} of {} episodes{}",
        spec.id,
        spec.engine,
        spec.engine_version,
        margin
            .as_deref()
            .map_or(String::new(), |m| format!(", margin rule {m}")),
        returns.len(),
        score.map_or(String::new(), |s| format!(", score {s:.1}"))
    ));
    let row = PolicyReturns {
        env: spec.id.clone(),
        engine: spec.engine.clone(),
        engine_version: spec.engine_version.clone(),
        margin,
        policy: name.into(),
        seed: args.seed.unwrap_or(1),
        returns: returns.to_vec(),
        score,
    };
    write_json(args.json.as_deref(), &row)
}
