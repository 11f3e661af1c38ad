//! The evaluation of every policy at the end of a run. Each policy's episodes are stored as they are played: a kill repeats one.

use std::time::Instant;

use tiltrl_envs::EnvBatch;
use tiltrl_policies::agent::{Choice, Critic, DiffusionPolicy, Policy};
use tiltrl_policies::models::GaussianDiffusion;

use super::finetune::Posterior;
use super::prior::Prior;
use super::work::Work;
use crate::error::Error;
use crate::run::Results;

/// A policy by the name that tables give it.
pub type Named<'a> = (String, Box<dyn Policy + 'a>);

/// Plays the episodes of prior, best-of-N, posterior and its tails that are not there yet.
///
/// # Errors
/// When an environment cannot be made, a return is not finite, or a file cannot be read or written.
pub fn evaluate(
    work: Work<'_>,
    prior: &Prior,
    critic: &dyn Critic,
    posterior: &Posterior,
    tail: Option<Named<'_>>,
) -> Result<(), Error> {
    let own = |name: &str, model, choice| named(name, (model, choice), prior, critic);
    let mut policies = vec![own("prior", &prior.model, Choice::Sample)];
    for &n in &work.config.evaluation.best_of {
        let name = format!("best-of-{n}");
        policies.push(own(&name, &prior.model, Choice::BestOf(n)));
    }
    policies.push(own("posterior", &posterior.model, Choice::Sample));
    policies.extend(tail);
    play(work, policies)
}

/// Plays the episodes of the prior, and of the best of several of its samples under the algorithm's name.
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_best_of(work: Work<'_>, prior: &Prior, critic: &dyn Critic) -> Result<(), Error> {
    let own = |name: &str, choice| named(name, (&prior.model, choice), prior, critic);
    let best = Choice::BestOf(work.config.samples());
    let policies = vec![
        own("prior", Choice::Sample),
        own(&work.config.algorithm, best),
    ];
    play(work, policies)
}

fn named<'a>(
    name: &str,
    (model, choice): (&'a GaussianDiffusion, Choice),
    prior: &'a Prior,
    critic: &'a dyn Critic,
) -> Named<'a> {
    let policy = DiffusionPolicy {
        model,
        coordinates: &prior.coordinates,
        critic: Some(critic),
        choice,
    };
    (name.to_string(), Box::new(policy))
}

/// Plays the episodes of these policies that are not there yet.
///
/// # Errors
/// As for [`evaluate`].
pub fn play(work: Work<'_>, policies: Vec<Named<'_>>) -> Result<(), Error> {
    let (config, settings) = (work.config, &work.config.evaluation);
    let mut results = Results::read(work.dir).or_else(|error| {
        // Only an algorithm without evaluations on the way has none yet.
        let none = !work.dir.state("results").exists();
        let may = !config.has_posterior() && !config.is_one_policy();
        if none && may {
            Ok(Results::default())
        } else {
            Err(error)
        }
    })?;
    if results.is_complete(config) {
        return Ok(());
    }
    let update = config.last_update();
    let mut batch = EnvBatch::new(&config.env, &settings.options()?, settings.episodes)?;
    let total = policies.len() as u64;
    let progress = work.console.progress("evaluate", total, 0);
    let mut last = Vec::new();
    for (at, (name, policy)) in policies.into_iter().enumerate() {
        if let Some(found) = results.last(&name, config) {
            last.push(found.clone());
            continue;
        }
        let clock = Instant::now();
        let episodes = work.episodes(&mut batch, &*policy, work.seed)?;
        let seconds = clock.elapsed().as_secs_f64();
        work.dir.add_seconds(&format!("evaluate {name}"), seconds)?;
        let evaluation = Results::evaluation(update, &name, &episodes)?;
        let mean = crate::stats::mean(&evaluation.returns());
        last.push(evaluation);
        results.last = last.clone();
        results.save(work.dir, batch.spec())?;
        progress.say(at as u64 + 1, &format!("{name}: mean return {mean:.1}"));
    }
    progress.finish();
    results.last = last;
    results.save(work.dir, batch.spec())
}
