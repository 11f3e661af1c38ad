//! What `tiltrl evaluate` is asked, and the film that it may make.

use std::path::PathBuf;

use clap::Args;
use tiltrl_envs::EnvOptions;
use tiltrl_policies::agent::Policy;

use super::environments::EnvArgs;
use super::output::print;
use super::reading::ReadingArgs;
use crate::error::Error;
use crate::files::write_atomically;
use crate::video::{self, Film};

/// Arguments of `tiltrl evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Folder of a finished run; alone it prints the run's own table.
    pub folder: Option<PathBuf>,
    /// Policies of the run to roll out: prior, posterior, posterior-best, best-of-N, resample-N, smc-N, guidance,
    /// guidance-W, a baseline that is trained once (reinforce and others, see docs/baselines.md; with --data), or `all`; comma-separated.
    #[arg(long, value_delimiter = ',', requires = "folder")]
    pub policy: Vec<String>,
    /// Temperature α to act at, a price in reward per nat, of a run whose `finetune.dial` names a range.
    #[arg(long, requires = "folder", value_name = "PRICE")]
    pub alpha: Option<f64>,
    /// The run's data, for baselines that are to be trained, as the run named them; repeat to concatenate.
    #[arg(long, requires = "folder")]
    pub data: Vec<PathBuf>,
    /// Folder of the run's data files, in place of --data.
    #[arg(long, requires = "folder", conflicts_with = "data")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Environment id, for a policy that is not a run's.
    #[arg(long, conflicts_with = "folder")]
    pub env: Option<String>,
    /// Actor of another library: .safetensors or .npz (docs/actors.md), or a flat file. It acts by its mean.
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    pub actor: Option<PathBuf>,
    /// Draw actions from the actor's distribution.
    #[arg(long, requires = "actor")]
    pub stochastic: bool,
    /// Act uniformly at random.
    #[arg(long, conflicts_with_all = ["folder", "actor"])]
    pub random: bool,
    /// Act by the controller that was written for the task (small tasks).
    #[arg(long, conflicts_with_all = ["folder", "actor", "random"])]
    pub scripted: bool,
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
    pub frames: usize,
    /// Pixels of the film's longer side.
    #[arg(long, default_value_t = 240)]
    pub size: usize,
    /// Timesteps before the film's first frame.
    #[arg(long, default_value_t = 0)]
    pub skip: usize,
    #[command(flatten)]
    pub engine: EnvArgs,
    /// Also write the result as JSON here.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Films episode 0 of a policy where `--video` asks for it.
///
/// # Errors
/// When the environment cannot be drawn or the file cannot be written.
pub fn film(
    args: &EvaluateArgs,
    env: &str,
    seed: u64,
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
