//! Training on the way to a row: any module by any loss, with log, clock, checkpoints, and the distance to the exact answer.

use std::cell::RefCell;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tiltrl_policies::fast::HostAdam;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::finetune::{Batch, Exploration, Finetuner, Mixture, ReplayOptions};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer, norm};
use tiltrl_tilt::rtb::Shaping;
use tiltrl_tilt::sequential::{Batched, Explore, SequentialModel};
use tiltrl_tilt::weights;

use super::request::Request;
use crate::error::Error;
use crate::run::{Log, read_state, write_state};
use crate::stage::{Stage, cosine_decay};

/// How something is trained.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Updates of the weights.
    pub updates: u64,
    /// Step size at the start; it falls to 2 % along a cosine.
    pub learning_rate: f32,
    /// Joint gradient norm limit; 0 = none.
    pub max_gradient_norm: f32,
    /// Checkpoints, at each of which the distance is measured.
    pub checkpoints: u64,
}

impl Recipe {
    /// Returns a recipe without a limit of the gradient, and with twenty checkpoints.
    pub fn new(updates: usize, learning_rate: f64) -> Self {
        Self {
            updates: updates as u64,
            learning_rate: learning_rate as f32,
            max_gradient_norm: 0.0,
            checkpoints: 20,
        }
    }

    /// Returns Adam at the start.
    pub fn adam(&self) -> HostAdam {
        HostAdam::new(AdamConfig {
            max_gradient_norm: self.max_gradient_norm,
            ..AdamConfig::plain(self.learning_rate)
        })
    }

    fn rate(&self, update: u64) -> f32 {
        self.learning_rate * cosine_decay(update, self.updates)
    }
}

/// Where the paths of relative trajectory balance come from.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Paths per condition by source.
    pub mixture: Mixture,
    /// Paths of a noisier behaviour.
    pub exploration: Exploration,
    /// How past paths are kept and drawn again.
    pub replay: ReplayOptions,
    /// Dead zone and cap.
    pub shaping: Shaping,
}

impl Behaviour {
    /// Returns `paths` paths of the posterior itself.
    pub fn on_policy(paths: usize) -> Self {
        Self {
            mixture: Mixture::on_policy(paths),
            exploration: Exploration::default(),
            replay: ReplayOptions::default(),
            shaping: Shaping::default(),
        }
    }

    /// Returns all paths of an update per condition, those of the replay left out.
    pub fn paths(&self) -> usize {
        self.mixture.total() + self.exploration.paths
    }
}

/// log r of samples under their conditions, one per row.
pub type LogReward<'a, M> =
    dyn Fn(&<M as SequentialModel>::Sample, &<M as SequentialModel>::Condition) -> Vec<f64> + 'a;

/// A prior and what tilts it.
pub struct Target<'a, M: SequentialModel> {
    /// The task; it names logs and checkpoints.
    pub task: &'a str,
    /// The frozen prior.
    pub prior: &'a M,
    /// Conditions of an update, one row per group of paths.
    pub conditions: &'a dyn Fn(&mut Noise) -> M::Condition,
    /// log r of each sample.
    pub log_reward: &'a LogReward<'a, M>,
    /// Distance of a model to the exact posterior; NaN where it is not measured on the way.
    pub distance: &'a dyn Fn(&M) -> f64,
}

/// What came of training.
pub struct Tuned<M> {
    /// The model as it was at the end.
    pub model: M,
    /// log Z as the loss had it at the end; none for methods without one.
    pub log_z: Option<f64>,
    /// Updates and distances on the way.
    pub curve: Curve,
    /// Seconds of training.
    pub seconds: f64,
}

/// Distances by update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Updates done at each point.
    pub updates: Vec<u64>,
    /// Distance at each point; none where it was not measured.
    pub values: Vec<Option<f64>>,
}

impl Curve {
    fn push(&mut self, update: u64, value: f64) {
        let kept = self.updates.iter().take_while(|&&u| u < update).count();
        self.updates.truncate(kept);
        self.values.truncate(kept);
        self.updates.push(update);
        self.values.push(value.is_finite().then_some(value));
    }
}

/// Returns the name of a task as part of a file's name.
pub fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '-' };
    let all: String = text.chars().map(letter).collect();
    let parts: Vec<&str> = all.split('-').filter(|p| !p.is_empty()).collect();
    parts.join("-").to_lowercase()
}

/// What the loop trains: it does updates, and is stored and restored.
trait Trained {
    fn update(&mut self, update: u64) -> Result<Vec<f64>, Error>;
    fn put(&self, checkpoint: &mut Checkpoint);
    fn get(&mut self, path: &std::path::Path, checkpoint: &Checkpoint) -> Result<(), TiltError>;
    fn distance(&self) -> f64;
}

/// Trains to the end, from the checkpoint if there is one; returns the curve and the seconds.
fn train<T: Trained>(
    name: &str,
    trained: T,
    recipe: &Recipe,
    columns: &[&'static str],
    request: &Request,
) -> Result<(T, Curve, f64), Error> {
    let dir = &request.dir;
    let (path, curve_path) = (dir.checkpoint(name), dir.state(&format!("{name}-distance")));
    let (mut state, mut done, mut curve) = (trained, 0, Curve::default());
    if path.exists() {
        let checkpoint = Checkpoint::load(&path, name)?;
        state.get(&path, &checkpoint)?;
        (done, curve) = (checkpoint.update, read_state(&curve_path)?);
    }
    let curve = RefCell::new(curve);
    let stage = Stage {
        name,
        clock: name,
        total: recipe.updates,
        done,
        checkpoints: recipe.checkpoints,
        columns: columns.to_vec(),
        dir,
        console: request.console,
        tensorboard: false,
    };
    stage.train(
        &mut state,
        |state, update| state.update(update),
        |state, done| {
            curve.borrow_mut().push(done, state.distance());
            Ok(())
        },
        |state, done| {
            write_state(&curve_path, &*curve.borrow())?;
            let mut checkpoint = Checkpoint::new(name, done);
            state.put(&mut checkpoint);
            Ok(checkpoint.save(&path)?)
        },
    )?;
    let seconds = dir.seconds()?.get(name).copied().unwrap_or(0.0);
    Ok((state, curve.into_inner(), seconds))
}

/// Relative trajectory balance.
struct Balance<'a, M: SequentialModel> {
    tuner: Finetuner<M, HostAdam>,
    target: &'a Target<'a, M>,
    recipe: &'a Recipe,
    name: &'a str,
    seed: u64,
}

impl<M: SequentialModel> Trained for Balance<'_, M> {
    fn update(&mut self, update: u64) -> Result<Vec<f64>, Error> {
        let mut noise = Noise::keyed(self.seed, self.name, update);
        let batch = Batch::new((self.target.conditions)(&mut noise));
        self.tuner.set_learning_rate(self.recipe.rate(update));
        let found = self
            .tuner
            .update(&batch, self.target.log_reward, &mut noise)?;
        Ok(vec![
            found.loss,
            found.log_z,
            found.ess,
            found.log_reward,
            found.path_kl,
        ])
    }

    fn put(&self, checkpoint: &mut Checkpoint) {
        self.tuner.put(checkpoint);
    }

    fn get(&mut self, path: &std::path::Path, checkpoint: &Checkpoint) -> Result<(), TiltError> {
        self.tuner.get(path, checkpoint)
    }

    fn distance(&self) -> f64 {
        (self.target.distance)(self.tuner.posterior())
    }
}

/// Tilts the prior by relative trajectory balance: the fine-tuner of control.
///
/// # Errors
/// [`TiltError`]; what the run's folder refuses.
pub fn balance<M: Explore>(
    target: &Target<'_, M>,
    recipe: &Recipe,
    behaviour: &Behaviour,
    request: &Request,
) -> Result<Tuned<M>, Error> {
    let name = format!("balance-{}", slug(target.task));
    let mut noise = Noise::keyed(request.seed, "start", 0);
    let probe = (target.conditions)(&mut noise).repeated(4);
    let prior = || target.prior.clone();
    let tuner = Finetuner::new(prior(), prior(), recipe.adam(), behaviour.mixture, &probe)?
        .shaped(behaviour.shaping)
        .exploring(behaviour.exploration)
        .replaying(behaviour.replay);
    let state = Balance {
        tuner,
        target,
        recipe,
        name: &name,
        seed: request.seed,
    };
    let columns = ["loss", "log_z", "ess", "log_reward", "path_kl"];
    let (state, curve, seconds) = train(&name, state, recipe, &columns, request)?;
    let logged = Log::read(&request.dir, &name)?.column("log_z");
    let log_z = logged.and_then(|(_, values)| values.last().copied());
    Ok(Tuned {
        model: state.tuner.into_posterior(),
        log_z,
        curve,
        seconds,
    })
}

/// What an update of [`descend`] returns: a scalar whose gradient is descended, and a number for the log.
pub struct Descent {
    /// Its gradient is the update's; its value need not mean anything.
    pub surrogate: Tensor<1>,
    /// The loss as the log has it.
    pub loss: f64,
}

/// A loss of a model that records gradients.
pub type Loss<'a, M> = dyn Fn(&M, &mut Noise) -> Descent + 'a;
/// A distance of a model to the exact answer; NaN where it is not measured.
pub type Distance<'a, M> = dyn Fn(&M) -> f64 + 'a;

/// Any module that learns by a loss.
struct Learner<'a, M: SequentialModel> {
    model: M,
    adam: HostAdam,
    recipe: &'a Recipe,
    name: &'a str,
    seed: u64,
    loss: &'a Loss<'a, M>,
    distance: &'a Distance<'a, M>,
}

impl<M: SequentialModel> Trained for Learner<'_, M> {
    fn update(&mut self, update: u64) -> Result<Vec<f64>, Error> {
        let mut noise = Noise::keyed(self.seed, self.name, update);
        let tracked = self.model.tracked();
        let Descent { surrogate, loss } = (self.loss)(&tracked, &mut noise);
        let gradient = weights::gradient(tracked.weights(), &surrogate.backward());
        if !norm(&gradient).is_finite() {
            let what = "gradient";
            return Err(Error::Run(format!(
                "{}: the {what} is not finite at update {update}; the last good checkpoint is kept\n  hint: lower the learning rate with --set",
                self.name
            )));
        }
        drop(tracked);
        self.adam.set_learning_rate(self.recipe.rate(update));
        let parameters = weights::tensors(self.model.weights());
        let stepped = self.adam.step(parameters, gradient).parameters;
        let shape = self.model.weights().clone();
        self.model = self
            .model
            .with_weights(weights::with_tensors(shape, stepped));
        Ok(vec![loss])
    }

    fn put(&self, checkpoint: &mut Checkpoint) {
        weights::put(checkpoint, "model", self.model.weights());
        self.adam.put(checkpoint, "");
    }

    fn get(&mut self, path: &std::path::Path, checkpoint: &Checkpoint) -> Result<(), TiltError> {
        let old = self.model.weights().clone();
        let lengths: Vec<usize> = weights::tensors(&old).iter().map(|t| t.dims()[0]).collect();
        self.adam.get(checkpoint, path, "", &lengths)?;
        let restored = weights::get(checkpoint, path, "model", old)?;
        self.model = self.model.with_weights(restored);
        Ok(())
    }

    fn distance(&self) -> f64 {
        (self.distance)(&self.model)
    }
}

/// Trains a model by any loss: priors, and baselines. `name` names log and checkpoint.
///
/// # Errors
/// When a gradient is not finite; what the run's folder refuses.
pub fn descend<M: SequentialModel>(
    name: &str,
    start: M,
    recipe: &Recipe,
    loss: &Loss<'_, M>,
    distance: &Distance<'_, M>,
    request: &Request,
) -> Result<Tuned<M>, Error> {
    let model = start.with_weights(burn::module::Module::valid(start.weights()));
    let state = Learner {
        model,
        adam: recipe.adam(),
        recipe,
        name,
        seed: request.seed,
        loss,
        distance,
    };
    let (state, curve, seconds) = train(name, state, recipe, &["loss"], request)?;
    Ok(Tuned {
        model: state.model,
        log_z: None,
        curve,
        seconds,
    })
}
