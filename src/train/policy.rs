//! Training of a baseline that learns a policy of its own, with evaluations on the way; and that policy read back.

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use tiltrl_envs::EnvBatch;
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{LearnerShape, Normalizer, Policy, PolicyLearner, Trains};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

use super::work::Work;
use crate::config::Config;
use crate::data::ActionBounds;
use crate::error::Error;
use crate::run::Results;
use crate::stage::Stage;

/// What the seed of a run is mixed with for the episodes on the way: those of fine-tuning.
const ON_THE_WAY: u64 = 0x7261_696e;

/// A policy with what it needs to act on observations as an environment gives them.
pub struct Trained {
    learner: Box<dyn PolicyLearner>,
    /// Normalisation of observations.
    pub observation: Normalizer,
    /// What −1 … 1 of its actions stood for in the data's files, where that is known.
    pub action_bounds: Option<ActionBounds>,
}

impl Policy for Trained {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let mut normalized: Vec<f32> = observations.iter().copied().collect();
        self.observation.apply(&mut normalized);
        let actions = self.learner.act(&normalized, noise);
        let shape = (observations.nrows(), actions.len() / observations.nrows());
        Array2::from_shape_vec(shape, actions).expect("one action per row")
    }
}

impl Policy for &Trained {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        Trained::act(self, observations, noise)
    }
}

/// Returns an untrained policy of the configured algorithm.
fn fresh(
    config: &Config,
    [observation_dim, action_dim]: [usize; 2],
    observation: &Normalizer,
    seed: u64,
    compute: &Compute,
) -> Result<Box<dyn PolicyLearner>, Error> {
    let Trains::Policy(make) = config.algorithm_kind()?.trains else {
        return Err(Error::Usage(format!(
            "algorithm: `{}` trains no policy of its own",
            config.algorithm
        )));
    };
    let shape = LearnerShape {
        observation_dim,
        action_dim,
        seed,
        compute: compute.clone(),
    };
    Ok(make(&config.own_settings(), &shape, observation)?)
}

/// Reads a policy from its checkpoint.
///
/// # Errors
/// When it is missing, cannot be read, does not fit the config, or its training is not finished.
pub fn restore(
    config: &Config,
    widths: [usize; 2],
    seed: u64,
    compute: &Compute,
    path: &Path,
) -> Result<Trained, Error> {
    let unfinished = |what: &str| {
        Error::Run(format!(
            "{}: {what}\n  hint: finish the run first with the command that started it",
            path.display()
        ))
    };
    if !path.exists() {
        return Err(unfinished("no such file"));
    }
    let checkpoint = Checkpoint::load(path, "policy")?;
    let bad = |what: &str| TiltError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!("`{what}` is missing or cannot be read"),
        hint: "delete the file to redo its stage".into(),
    };
    let setting = |key: &str| checkpoint.settings.get(key).cloned().unwrap_or_default();
    let observation: Normalizer =
        serde_json::from_value(setting("observation")).map_err(|_| bad("observation"))?;
    let action_bounds: Option<ActionBounds> =
        serde_json::from_value(setting("action_bounds")).map_err(|_| bad("action_bounds"))?;
    let mut learner = fresh(config, widths, &observation, seed, compute)?;
    learner.load(&checkpoint, path)?;
    if checkpoint.update < learner.updates() {
        let (done, all) = (checkpoint.update, learner.updates());
        return Err(unfinished(&format!("{done} of {all} updates are done")));
    }
    Ok(Trained {
        learner,
        observation,
        action_bounds,
    })
}

/// Trains the policy, or goes on from its checkpoint, and returns it.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, a loss is not finite or an environment cannot be made.
pub fn train(work: Work<'_>) -> Result<Trained, Error> {
    let (config, data) = (work.config, work.data);
    let path = work.dir.checkpoint("policy");
    let observation = data.coordinates.observation.clone();
    let mut trained = Trained {
        learner: fresh(config, data.widths(), &observation, work.seed, work.compute)?,
        observation,
        action_bounds: data.action_bounds.clone(),
    };
    let mut done = 0;
    if path.exists() {
        let checkpoint = Checkpoint::load(&path, "policy")?;
        trained.learner.load(&checkpoint, &path)?;
        done = checkpoint.update;
    }
    let stage = Stage {
        name: "policy",
        clock: "policy",
        total: trained.learner.updates(),
        done,
        checkpoints: config.evaluation.evaluations_in_training,
        columns: trained.learner.figures(),
        dir: work.dir,
        console: work.console,
        tensorboard: work.tensorboard,
    };
    if done >= stage.total {
        return Ok(trained);
    }
    let mut results = Results::resume(work.dir, done)?;
    if done == 0 {
        evaluate(work, &trained, 0, &mut results)?;
    }
    stage.train(
        &mut trained,
        |trained, update| Ok(trained.learner.update(&data.transitions, update)?),
        |trained, done| evaluate(work, trained, done, &mut results),
        |trained, done| save(trained, done, &path),
    )?;
    Ok(trained)
}

fn save(trained: &Trained, done: u64, path: &Path) -> Result<(), Error> {
    let mut checkpoint = Checkpoint::new("policy", done);
    for (key, value) in [
        ("observation", serde_json::to_value(&trained.observation)),
        (
            "action_bounds",
            serde_json::to_value(&trained.action_bounds),
        ),
    ] {
        let value = value.map_err(|e| Error::Run(e.to_string()))?;
        checkpoint.settings.insert(key.into(), value);
    }
    trained.learner.save(&mut checkpoint);
    Ok(checkpoint.save(path)?)
}

/// Plays the episodes of an evaluation on the way and stores them.
fn evaluate(
    work: Work<'_>,
    trained: &Trained,
    update: u64,
    results: &mut Results,
) -> Result<(), Error> {
    let clock = Instant::now();
    let (config, settings) = (work.config, &work.config.evaluation);
    let count = settings.episodes_in_training;
    let mut batch = EnvBatch::new(&config.env, &settings.options()?, count)?;
    let episodes = work.episodes(&mut batch, trained, work.seed ^ ON_THE_WAY)?;
    let evaluation = Results::evaluation(update, &config.algorithm, &episodes)?;
    results.training.push(evaluation);
    results.save(work.dir, batch.spec())?;
    let seconds = clock.elapsed().as_secs_f64();
    work.dir.add_seconds("evaluation", seconds)?;
    Ok(())
}
