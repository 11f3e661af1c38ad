//! `tiltrl collect`: episodes of a policy as a data set; and the policies of actors' files.

use std::path::{Path, PathBuf};

use clap::Args;
use tiltrl_envs::{EnvBatch, EnvSpec, spec_with};
use tiltrl_policies::agent::Policy;

use super::environments::EnvArgs;
use super::output::print;
use crate::actor::{Actor, ActorPolicy};
use crate::agent_policy::AgentPolicy;
use crate::card::{self, Task};
use crate::console::{Console, note};
use crate::data;
use crate::device::Compute;
use crate::error::Error;
use crate::quickstart::{SwingUp, Uniform};
use crate::rollout::rollout_in;
use crate::scripted::scripted;

/// Arguments of `tiltrl collect`.
#[derive(Args)]
pub struct CollectArgs {
    /// Id of the environment, see `tiltrl envs`.
    #[arg(long)]
    env: String,
    /// "uniform", "swing-up" (Pendulum), "scripted" (small tasks), an actor's file (.safetensors, .npz, flat; see docs/actors.md), or a
    /// seed's folder as RUN/seed-1 or RUN/seed-1:prior.
    #[arg(long, default_value = "uniform")]
    policy: String,
    /// Probability of a random action at each timestep (scripted).
    #[arg(long, default_value_t = 0.0)]
    randomness: f64,
    /// Act without noise (actors' files; .safetensors and .npz do so anyway).
    #[arg(long)]
    deterministic: bool,
    /// Draw actions from the actor's distribution (actors' files; flat ones do so anyway).
    #[arg(long, conflicts_with = "deterministic")]
    stochastic: bool,
    /// Episodes to play.
    #[arg(long, default_value_t = 10)]
    episodes: usize,
    /// Seed of the starts, of the policy and of its noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    engine: EnvArgs,
    /// File to write; an existing one is not overwritten.
    #[arg(long)]
    out: PathBuf,
}

/// How an action is to be taken from an actor that has a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionRule {
    /// By its mean.
    Mean,
    /// Drawn from its distribution.
    Drawn,
    /// Drawn for a flat file, by its mean for another.
    ByFile,
}

/// Returns the policy of an actor file, and says what was assumed in reading it.
///
/// # Errors
/// When the file cannot be read, does not fit the environment, or has nothing to draw from.
pub fn actor_policy(
    file: &Path,
    spec: &EnvSpec,
    acting: ActionRule,
    console: Console,
) -> Result<Box<dyn Policy>, Error> {
    let actor = Actor::read(file, spec)?;
    if console != Console::Quiet {
        actor.notes().iter().for_each(|said| note(said));
    }
    let drawn = match acting {
        ActionRule::Mean => false,
        ActionRule::Drawn => true,
        ActionRule::ByFile => matches!(actor, Actor::Flat(_)),
    };
    if drawn && !actor.is_gaussian() {
        return Err(Error::Usage(format!(
            "--stochastic: {} holds a deterministic actor, which has nothing to draw from",
            file.display()
        )));
    }
    Ok(Box::new(ActorPolicy { actor, drawn }))
}

/// Returns the policy that acts uniformly at random.
pub fn uniform(spec: &EnvSpec) -> Box<dyn Policy> {
    Box::new(Uniform {
        action_dim: spec.action_dim,
    })
}

/// The policy that `--policy` names.
fn acting_policy(
    args: &CollectArgs,
    spec: &EnvSpec,
    compute: &Compute,
    console: Console,
) -> Result<Box<dyn Policy>, Error> {
    let (name, env) = (args.policy.as_str(), args.env.as_str());
    let is_run = Path::new(name.rsplit_once(':').map_or(name, |(f, _)| f)).is_dir();
    let is_file = !is_run && !["uniform", "scripted", "swing-up"].contains(&name);
    if args.stochastic && !is_file {
        return Err(Error::Usage(format!(
            "--stochastic: expected an actor's file, found --policy {name}"
        )));
    }
    Ok(match name {
        "uniform" => uniform(spec),
        "scripted" => scripted(env, args.randomness)?,
        "swing-up" if env == "pendulum-v1" => Box::new(SwingUp {
            randomness: 0.3,
            strength: 1.0,
        }),
        "swing-up" => {
            return Err(Error::Usage(
                "--policy swing-up: only for --env pendulum-v1".into(),
            ));
        }
        run if is_run => Box::new(AgentPolicy::read(run, env, &compute.handle)?),
        file => {
            let acting = match (args.deterministic, args.stochastic) {
                (true, _) => ActionRule::Mean,
                (false, true) => ActionRule::Drawn,
                (false, false) => ActionRule::ByFile,
            };
            actor_policy(Path::new(file), spec, acting, console)?
        }
    })
}

/// `tiltrl collect`.
///
/// # Errors
/// When environment or policy are unknown or do not fit, or the file exists.
pub fn collect(args: &CollectArgs, device: &str, console: Console) -> Result<(), Error> {
    let options = args.engine.options();
    let compute = Compute::named(device)?.for_env(&args.env, &options);
    let spec = spec_with(&args.env, &options)?;
    let policy = acting_policy(args, &spec, &compute, console)?;
    if args.episodes == 0 {
        return Err(Error::Usage("--episodes: expected at least 1".into()));
    }
    let mut recorders = Vec::new();
    let episodes = match compute.card {
        Some(card) => {
            let task = Task {
                env: &args.env,
                options: &options,
                episodes: args.episodes,
                seed: args.seed,
            };
            let acting = card::Acting::Processor(&*policy);
            card::rollout(card, task, acting, Some(&mut recorders))?
        }
        None => {
            let mut batch = EnvBatch::new(&args.env, &options, args.episodes)?;
            rollout_in(&mut batch, &*policy, args.seed, Some(&mut recorders))
        }
    };
    let mut recorders = recorders.into_iter();
    let mut all = recorders.next().expect("at least one episode");
    recorders.for_each(|r| all.append(r));
    let attributes = [
        ("env".to_string(), args.env.clone()),
        (
            "engine".to_string(),
            format!(
                "{} {}",
                compute.engine_name(&spec.engine),
                spec.engine_version
            ),
        ),
        (
            "policy".to_string(),
            Path::new(&args.policy)
                .file_name()
                .map_or(args.policy.clone(), |n| n.to_string_lossy().into_owned()),
        ),
        ("seed".to_string(), args.seed.to_string()),
    ];
    data::write(&args.out, &all.finish(), &attributes)?;
    let returns: Vec<f64> = episodes.iter().map(|e| e.episode_return).collect();
    print(&format!(
        "wrote {}: {} episodes, mean return {:.1}",
        args.out.display(),
        returns.len(),
        crate::stats::mean(&returns)
    ));
    Ok(())
}
