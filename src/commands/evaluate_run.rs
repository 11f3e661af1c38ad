//! `tiltrl evaluate RUN --policy …`: policies of a run on fresh episodes, all its seeds together, with what they cost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use serde::Serialize;
use tiltrl_envs::{EnvBatch, EnvOptions, spec_with};
use tiltrl_policies::agent::Policy;

use super::break_even::{BreakEven, HEADER, Priced};
use super::evaluate_args::{EvaluateArgs, film};
use super::on_card;
use super::output::{print, write_json};
use super::pipeline::{DataOf, data_of_run};
use super::timed::{Timed, alone};
use crate::agent::{Agent, PolicyName};
use crate::card::Task;
use crate::config::Config;
use crate::console::{Console, note};
use crate::device::Compute;
use crate::error::Error;
use crate::report::{Line, interval_text, line};
use crate::rollout::{Episode, rollout_in};
use crate::run::{RunDir, Seeds, seeds_in};
use crate::stats::mean;
use crate::train::training_data::TrainingData;

/// What `--json` gets.
#[derive(Serialize)]
struct Evaluation {
    env: String,
    engine: String,
    engine_version: String,
    margin: String,
    seeds: Vec<u64>,
    episodes: usize,
    threads: usize,
    lines: Vec<Line>,
    /// Milliseconds of wall time per timestep of an episode, environment included, all episodes side by side.
    milliseconds_per_timestep: BTreeMap<String, f64>,
    /// What the policies cost, in the order of `lines`.
    costs: Vec<Cost>,
    break_even: Vec<BreakEven>,
    /// Whether a card played: then the milliseconds of acting are those of acting and environments together.
    on_card: bool,
    /// What `--alpha` set, by seed, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alphas: Vec<String>,
}

/// What one policy costs.
#[derive(Clone, Serialize)]
struct Cost {
    policy: String,
    /// Milliseconds of acting per action, all episodes side by side.
    milliseconds_per_action: f64,
    /// Milliseconds of one action alone: median of repetitions at one observation.
    milliseconds_alone: f64,
    /// Seconds of training beyond prior and critic, averaged over seeds.
    training_seconds: f64,
}

/// Rolls out policies of a run for all its seeds, prints the tables and films the first policy if asked.
///
/// # Errors
/// When a policy is unknown or not trained, or a file cannot be read or written.
pub fn evaluate_run(
    args: &EvaluateArgs,
    folder: &Path,
    compute: &Compute,
    console: Console,
) -> Result<(), Error> {
    let mut names = PolicyName::list(&args.policy)?;
    if names.is_empty() {
        let first = RunDir::of_seed(folder, seeds_in(folder)?[0]);
        names.push(PolicyName::of_config(&first.config()?));
    }
    if let (Some(_), Some(name)) = (args.alpha, trained(&names)) {
        return Err(Error::Usage(format!(
            "--alpha: `{name}` is trained for the α of the run alone\n  hint: the posterior and its variants, resample-N, smc-N and guidance follow --alpha"
        )));
    }
    let evaluation = roll_out(args, folder, &names, (compute, console))?;
    show(&evaluation);
    if args.video.is_some() {
        let seed = evaluation.seeds[0];
        let dir = RunDir::of_seed(folder, seed);
        let config = dir.config()?;
        let mut agent = Agent::of_seed(&dir, &config, seed, &compute.handle)?;
        agent.bring_baselines(&config, seed, &names, None, console)?;
        args.alpha.map(|price| agent.set_alpha(price)).transpose()?;
        let options = args.engine.options_or(config.evaluation.options()?);
        let seed = args.seed.unwrap_or(seed);
        film(args, &config.env, seed, &options, &*agent.policy(names[0])?)?;
    }
    write_json(args.json.as_deref(), &evaluation)
}

/// The first policy that is trained on demand.
fn trained(names: &[PolicyName]) -> Option<&PolicyName> {
    names
        .iter()
        .find(|name| matches!(name, PolicyName::Trained(_)))
}

fn show(evaluation: &Evaluation) {
    let scored = evaluation.lines.iter().any(|l| l.score.is_some());
    print(&format!(
        "{:<19} {:>9}   {:<22} {:>14} {:>8} {:>8} {:>10}",
        "policy", "return", "95 % interval", "score", "ms/act", "alone", "training s"
    ));
    for (line, cost) in evaluation.lines.iter().zip(&evaluation.costs) {
        let r = &line.returns;
        let score = line.score.as_ref().filter(|_| scored);
        let score = score.map_or("–".into(), |s| {
            let half = s.mean_interval().map(|[low, high]| 0.5 * (high - low));
            half.map_or(format!("{:.1}", s.mean), |h| {
                format!("{:.1} ± {h:.1}", s.mean)
            })
        });
        print(&format!(
            "{:<19} {:>9.1}   {} {score:>14} {:>8.4} {:>8.3} {:>10.1}",
            line.policy,
            r.mean,
            interval_text(r.mean_interval(), 9),
            cost.milliseconds_per_action,
            cost.milliseconds_alone,
            cost.training_seconds
        ));
    }
    evaluation.alphas.iter().for_each(|words| print(words));
    if !evaluation.break_even.is_empty() {
        print(&format!("\n{HEADER}"));
        let lines = evaluation.break_even.iter();
        lines.for_each(|b| print(&b.line()));
    }
    print(&format!(
        "{} on {} {}, margin rule {}; seeds {:?}, {} episodes each; ms/act: {}, {} threads; alone: one observation",
        evaluation.env,
        evaluation.engine,
        evaluation.engine_version,
        evaluation.margin,
        evaluation.seeds,
        evaluation.episodes,
        match evaluation.on_card {
            true => "acting and environments together, whole episodes on the card",
            false => "acting for all episodes at once",
        },
        evaluation.threads
    ));
}

/// The finished seeds, or, where none is, those whose policies are trained.
fn seeds_to_play(folder: &Path, names: &[PolicyName]) -> Result<Vec<u64>, Error> {
    let all = seeds_in(folder)?;
    let seeds = Seeds::finished(folder).map_or(all.clone(), |seeds| seeds.ready);
    let rest: Vec<u64> = all.into_iter().filter(|s| !seeds.contains(s)).collect();
    if !rest.is_empty() {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        note(&format!(
            "note: {}: seeds {rest:?} are not finished and left out of {}",
            folder.display(),
            names.join(", ")
        ));
    }
    Ok(seeds)
}

fn roll_out(
    args: &EvaluateArgs,
    folder: &Path,
    names: &[PolicyName],
    (compute, console): (&Compute, Console),
) -> Result<Evaluation, Error> {
    let seeds = seeds_to_play(folder, names)?;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    args.reading.check(&config.data)?;
    let options = args.engine.options_or(config.evaluation.options()?);
    let compute = &compute.clone().for_env(&config.env, &options);
    let episodes = args.episodes.unwrap_or(config.evaluation.episodes);
    let spec = spec_with(&config.env, &options)?;
    let named = DataOf {
        reading: args.reading,
        files: &args.data,
        folder: args.data_dir.as_deref(),
    };
    let data = match trained(names) {
        Some(_) => data_of_run(folder, &config, named)?,
        None => None,
    };
    let own = Playing {
        args,
        names,
        config: &config,
        options: &options,
        episodes,
        data: data.as_ref(),
        compute,
        console,
    };
    let mut played: Vec<Played> = names.iter().map(|_| Played::default()).collect();
    let mut alphas = Vec::new();
    for &seed in &seeds {
        let dir = RunDir::of_seed(folder, seed);
        alphas.extend(own.play_seed(&dir, seed, &mut played)?);
    }
    let margin = spec.margin.as_ref();
    let named = || names.iter().map(ToString::to_string).zip(&played);
    Ok(Evaluation {
        env: config.env.clone(),
        engine: compute.engine_name(&spec.engine),
        engine_version: spec.engine_version.clone(),
        margin: margin.map_or("none".into(), |m| m.to_string()),
        seeds,
        episodes,
        threads: rayon::current_num_threads(),
        lines: named()
            .map(|(name, p)| line(&name, &p.returns, &spec))
            .collect(),
        milliseconds_per_timestep: named()
            .map(|(name, p)| (name, p.seconds * 1e3 / p.timesteps as f64))
            .collect(),
        costs: costs(names, &played),
        break_even: break_even(compute, names, &played),
        on_card: compute.card.is_some(),
        alphas,
    })
}

/// Returns what each policy costs.
fn costs(names: &[PolicyName], played: &[Played]) -> Vec<Cost> {
    let cost = |(name, p): (&PolicyName, &Played)| Cost {
        policy: name.to_string(),
        milliseconds_per_action: p.acting * 1e3 / p.timesteps as f64,
        milliseconds_alone: mean(&p.alone),
        training_seconds: mean(&p.training),
    };
    names.iter().zip(played).map(cost).collect()
}

/// What is played for every seed.
struct Playing<'a> {
    args: &'a EvaluateArgs,
    names: &'a [PolicyName],
    config: &'a Config,
    options: &'a EnvOptions,
    episodes: usize,
    data: Option<&'a TrainingData>,
    compute: &'a Compute,
    console: Console,
}

impl Playing<'_> {
    /// Plays a seed and returns the α that was asked for, in words.
    fn play_seed(
        &self,
        dir: &RunDir,
        seed: u64,
        played: &mut [Played],
    ) -> Result<Option<String>, Error> {
        let (config, names) = (self.config, self.names);
        let mut agent = Agent::of_seed(dir, config, seed, &self.compute.handle)?;
        agent.bring_baselines(config, seed, names, self.data, self.console)?;
        let alpha = self.args.alpha;
        let words = alpha.map(|price| agent.set_alpha(price)).transpose()?;
        let words = words.map(|words| format!("seed {seed}: {words}"));
        for (&name, played) in names.iter().zip(played) {
            let policy = agent.policy(name)?;
            let alone = alone(&*policy, &config.env, self.options)?;
            played.alone.push(alone);
            let seed_of_episodes = self.args.seed.unwrap_or(seed);
            if let Some(card) = self.compute.card {
                let task = Task {
                    env: &config.env,
                    options: self.options,
                    episodes: self.episodes,
                    seed: seed_of_episodes,
                };
                let clock = Instant::now();
                let episodes = on_card::play(card, task, &agent, name)?;
                let seconds = clock.elapsed().as_secs_f64();
                played.take(&episodes, seconds, seconds);
            } else {
                let mut batch = EnvBatch::new(&config.env, self.options, self.episodes)?;
                played.play(&*policy, &mut batch, seed_of_episodes);
            }
            played.training.push(match name {
                PolicyName::Posterior
                | PolicyName::Best
                | PolicyName::Mean
                | PolicyName::Tail(_)
                | PolicyName::PosteriorBestOf(_) => {
                    dir.seconds()?.get("finetune").copied().unwrap_or(0.0)
                }
                PolicyName::Trained(method) => agent.baseline(config, seed, method)?.seconds()?,
                PolicyName::Algorithm(_) => dir.seconds()?.get("policy").copied().unwrap_or(0.0),
                _ => 0.0,
            });
        }
        Ok(words)
    }
}

/// Episodes of one policy over the seeds.
#[derive(Default)]
struct Played {
    /// Returns of the episodes, by seed.
    returns: Vec<Vec<f64>>,
    timesteps: usize,
    /// Wall seconds of the episodes.
    seconds: f64,
    /// Of them, seconds of acting.
    acting: f64,
    /// Milliseconds of one action alone, by seed.
    alone: Vec<f64>,
    /// Seconds, by seed.
    training: Vec<f64>,
}

impl Played {
    fn play(&mut self, policy: &dyn Policy, batch: &mut EnvBatch, seed: u64) {
        let timed = Timed {
            policy,
            nanoseconds: AtomicU64::new(0),
        };
        let clock = Instant::now();
        let episodes = rollout_in(batch, &timed, seed, None);
        let acting = timed.nanoseconds.into_inner() as f64 * 1e-9;
        self.take(&episodes, clock.elapsed().as_secs_f64(), acting);
    }

    fn take(&mut self, episodes: &[Episode], seconds: f64, acting: f64) {
        self.seconds += seconds;
        self.acting += acting;
        self.timesteps += episodes.iter().map(|e| e.length).sum::<usize>();
        let returns = episodes.iter().map(|e| e.episode_return).collect();
        self.returns.push(returns);
    }

    fn priced(&self, samples: usize) -> Priced {
        Priced {
            samples,
            mean_return: mean(&self.returns.concat()),
            milliseconds: self.acting * 1e3 / self.timesteps as f64,
            milliseconds_alone: mean(&self.alone),
        }
    }
}

/// Compares the posterior, if it is among the policies, with each family of choices that is.
fn break_even(compute: &Compute, names: &[PolicyName], played: &[Played]) -> Vec<BreakEven> {
    let at = names.iter().position(|n| *n == PolicyName::Posterior);
    // On a card acting is not timed apart from the environments.
    let (Some(at), None) = (at, compute.card) else {
        return Vec::new();
    };
    let families = ["best-of-N", "resample-N"].iter().filter_map(|family| {
        let members: Vec<Priced> = names
            .iter()
            .zip(played)
            .filter_map(|(name, p)| {
                let choice = name.choice_among()?;
                (choice.family == *family).then(|| p.priced(choice.samples))
            })
            .collect();
        let any = !members.is_empty();
        any.then(|| BreakEven::new(family, played[at].priced(1), members))
    });
    families.collect()
}
