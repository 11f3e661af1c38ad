//! `tiltrl evaluate`: what a finished run says, or episodes of any policy on any engine, filmed if asked.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tiltrl_envs::{EnvBatch, EnvOptions, EnvSpec, spec_with};
use tiltrl_policies::agent::policy::Policy;

use super::environments::EnvArgs;
use super::evaluate_run::evaluate_run;
use super::inspect;
use super::output::{print, refuse_existing, write_json};
use super::reading::ReadingArgs;
use crate::console::Console;
use crate::device::Compute;
use crate::error::Error;
use crate::files::write_atomically;
use crate::report;
use crate::rollout::rollout_in;
use crate::run::RunDir;
use crate::scripted::Scripted;
use crate::stats::mean;
use crate::video::{self, Film};

/// Arguments of `tiltrl evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Folder of a finished run; alone it prints the run's own table.
    folder: Option<PathBuf>,
    /// Policies of the run to roll out: prior, posterior, posterior-best, best-of-N, resample-N, smc-N, guidance,
    /// guidance-W, reinforce, adjoint-matching, weighted-denoising (trained once, with --data), or `all`; comma-separated.
    #[arg(long, value_delimiter = ',', requires = "folder")]
    pub policy: Vec<String>,
    /// The run's data, for baselines that are to be trained: D4RL HDF5 files; repeat to concatenate.
    #[arg(long, requires = "folder")]
    pub data: Vec<PathBuf>,
    /// Folder of the run's data files, in place of --data.
    #[arg(long, requires = "folder", conflicts_with = "data")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Environment id, for a policy that is not a run's.
    #[arg(long, conflicts_with = "folder")]
    env: Option<String>,
    /// Flat actor file (deterministic).
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    actor: Option<PathBuf>,
    /// Act uniformly at random.
    #[arg(long, conflicts_with_all = ["folder", "actor"])]
    random: bool,
    /// Act by the controller that was written for the task (small tasks).
    #[arg(long, conflicts_with_all = ["folder", "actor", "random"])]
    scripted: bool,
    /// Episodes to play (of each policy and seed of a run); default 10, or the run's own number.
    #[arg(long)]
    pub episodes: Option<usize>,
    /// Seed of the episodes; default 1, or the run's own, which repeats its final evaluation.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Film episode 0 as an animated GIF; an existing file is not overwritten.
    #[arg(long, value_name = "FILE.gif")]
    pub video: Option<PathBuf>,
    /// Frames of the film at most.
    #[arg(long, default_value_t = 80)]
    frames: usize,
    /// Pixels of the film's longer side.
    #[arg(long, default_value_t = 240)]
    size: usize,
    /// Timesteps before the film's first frame.
    #[arg(long, default_value_t = 0)]
    skip: usize,
    #[command(flatten)]
    pub engine: EnvArgs,
    /// Also write the result as JSON here.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
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
        let policy = inspect::actor_policy(file, env, &spec, true)?;
        (policy, file.display().to_string())
    } else if args.scripted {
        (scripted(env, 0.0)?, "scripted".into())
    } else if args.random {
        (inspect::uniform(&spec), "uniform".into())
    } else {
        return Err(Error::Usage(
            "--env: choose --actor FILE, --random or --scripted".into(),
        ));
    };
    play(args, env, &*policy, &name)
}

/// Returns the hand-written controller of an environment.
///
/// # Errors
/// When nobody wrote one.
pub fn scripted(env: &str, randomness: f64) -> Result<Box<dyn Policy>, Error> {
    Scripted::of(env, randomness)
        .map(|policy| Box::new(policy) as Box<dyn Policy>)
        .ok_or_else(|| {
            Error::Usage(format!(
                "no controller was written for {env}; use --actor FILE"
            ))
        })
}

fn play(args: &EvaluateArgs, env: &str, policy: &dyn Policy, name: &str) -> Result<(), Error> {
    let options = args.engine.options();
    let mut batch = EnvBatch::new(env, &options, args.episodes.unwrap_or(10))?;
    let spec = batch.spec().clone();
    let played = rollout_in(&mut batch, policy, args.seed.unwrap_or(1), None);
    let returns: Vec<f64> = played.iter().map(|e| e.episode_return).collect();
    show(&spec, name, args, &returns)?;
    film(args, (env, args.seed.unwrap_or(1)), &options, policy)
}

/// Films episode 0 of a policy where `--video` asks for it.
///
/// # Errors
/// When the environment cannot be drawn or the file cannot be written.
pub fn film(
    args: &EvaluateArgs,
    (env, seed): (&str, u64),
    options: &EnvOptions,
    policy: &dyn Policy,
) -> Result<(), Error> {
    let Some(path) = &args.video else {
        return Ok(());
    };
    let what = Film {
        frames: args.frames,
        size: args.size,
        skip: args.skip,
        seed,
    };
    let bytes = video::film(policy, env, options, what)?;
    write_atomically(path, &bytes)?;
    print(&format!(
        "wrote {} ({} kB)",
        path.display(),
        bytes.len().div_ceil(1000)
    ));
    Ok(())
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
    let row = Row {
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
