//! The evaluation of every policy at the end of a run. Each policy's episodes are stored as they are played: a kill repeats one.

use std::time::Instant;

use tiltrl_envs::EnvBatch;
use tiltrl_policies::agent::Critic;
use tiltrl_policies::agent::{Choice, DiffusionPolicy};

use super::finetune::Posterior;
use super::prior::Prior;
use super::work::Work;
use crate::error::Error;
use crate::rollout::rollout_in;
use crate::run::Results;

/// Plays the episodes of prior, best-of-N and posterior that are not there yet.
///
/// # Errors
/// When an environment cannot be made, a return is not finite, or a file cannot be read or written.
pub fn evaluate(
    work: Work<'_>,
    prior: &Prior,
    critic: &dyn Critic,
    posterior: &Posterior,
) -> Result<(), Error> {
    let (config, settings) = (work.config, &work.config.evaluation);
    let mut results = Results::read(work.dir)?;
    if results.is_complete(config) {
        return Ok(());
    }
    let update = config.finetune.updates;
    let mut policies = vec![("prior".to_string(), &prior.model, Choice::Sample)];
    let best_of = settings.best_of.iter();
    policies.extend(best_of.map(|&n| (format!("best-of-{n}"), &prior.model, Choice::BestOf(n))));
    policies.push(("posterior".to_string(), &posterior.model, Choice::Sample));
    let mut batch = EnvBatch::new(&config.env, &settings.options()?, settings.episodes)?;
    let total = policies.len() as u64;
    let progress = work.console.progress("evaluate", total, 0);
    let mut last = Vec::new();
    for (at, (name, model, choice)) in policies.into_iter().enumerate() {
        if let Some(found) = results.last(&name, config) {
            last.push(found.clone());
            continue;
        }
        let policy = DiffusionPolicy {
            model,
            coordinates: &prior.coordinates,
            critic: Some(critic),
            choice,
        };
        let clock = Instant::now();
        let episodes = rollout_in(&mut batch, &policy, work.seed, None);
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
