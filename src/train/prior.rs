//! Training of the diffusion prior by denoising, with averaged weights and fitted step variances.

use std::path::Path;

use burn::tensor::Tensor;
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{Coordinates, Normalizer};
use tiltrl_policies::fast::HostAdam;
use tiltrl_policies::models::{GaussianDiffusion, Schedule, StepShape};
use tiltrl_policies::nets::{NetworkShape, Perceptron};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::{host, matrix, vector};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer};
use tiltrl_tilt::sequential::SequentialModel;
use tiltrl_tilt::weights;

use super::held_out::Split;
use super::training_data::TrainingData;
use super::work::Work;
use crate::config::{Config, PriorConfig, network_of};
use crate::data::ActionBounds;
use crate::error::Error;
use crate::stage::Stage;

/// Where a prior's checkpoint holds the bounds of actions.
const BOUNDS: &str = "action_bounds";

/// Checkpoints of its training.
const CHECKPOINTS: u64 = 20;

/// A trained prior and the coordinates it works in.
pub struct Prior {
    /// The model with averaged weights.
    pub model: GaussianDiffusion,
    /// How observations and actions are normalised for it.
    pub coordinates: Coordinates,
    /// What −1 … 1 of its actions stood for in the data's files, where that is known.
    pub action_bounds: Option<ActionBounds>,
}

/// Returns an untrained model of the configured shape.
///
/// # Errors
/// When the schedule is not memoryless, or there is no such network of that shape.
pub fn fresh(
    config: &Config,
    [observation_dim, action_dim]: [usize; 2],
    seed: u64,
    compute: &Compute,
) -> Result<GaussianDiffusion, Error> {
    let shape = NetworkShape {
        dim: action_dim,
        condition_dim: observation_dim,
        outputs: action_dim,
        hidden: config.prior.hidden.clone(),
        activation: config.prior.activation,
        waves: 0,
    };
    let kind = network_of(&config.prior.network).map_err(Error::Usage)?;
    let mut noise = Noise::keyed(seed, "prior-init", 0);
    let net = (kind.make)(&shape, &mut noise, compute)?;
    let schedule = config.prior.schedule()?;
    let widths = [action_dim, observation_dim];
    let model = GaussianDiffusion::new(net, schedule, widths, StepShape::default())?;
    if !config.finetune.dial.is_empty() && model.with_condition_column().is_err() {
        return Err(Error::Usage(format!(
            "finetune.dial: the network `{}` gains no column for the temperature
  hint: `perceptron` and `residual` do",
            config.prior.network
        )));
    }
    Ok(model)
}

/// Stores schedule and coordinates beside a model's weights.
pub fn describe(checkpoint: &mut Checkpoint, model: &GaussianDiffusion, coordinates: &Coordinates) {
    let perceptron = model.weights().get::<Perceptron>();
    let sizes = perceptron.map_or(Vec::new(), |p| p.net().spec().sizes.clone());
    for (key, value) in [
        ("schedule", serde_json::to_value(model.schedule())),
        (
            "observation",
            serde_json::to_value(&coordinates.observation),
        ),
        ("action", serde_json::to_value(&coordinates.action)),
        ("sizes", serde_json::to_value(sizes)),
    ] {
        let value = value.expect("plain data");
        checkpoint.settings.insert(key.into(), value);
    }
}

/// Restores a model and its coordinates from the weights `prefix` of a checkpoint.
///
/// # Errors
/// When sizes differ from the config's.
pub fn restore(
    checkpoint: &Checkpoint,
    path: &Path,
    prefix: &str,
    model: &GaussianDiffusion,
) -> Result<Prior, Error> {
    let setting = |key: &str| checkpoint.settings.get(key).cloned().unwrap_or_default();
    let bad = |what: &str| TiltError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!("`{what}` is missing or cannot be read"),
        hint: "delete the file to redo its stage".into(),
    };
    let schedule: Schedule =
        serde_json::from_value(setting("schedule")).map_err(|_| bad("schedule"))?;
    let observation: Normalizer =
        serde_json::from_value(setting("observation")).map_err(|_| bad("observation"))?;
    let action: Normalizer =
        serde_json::from_value(setting("action")).map_err(|_| bad("action"))?;
    // None in checkpoints of other stages, of older runs and of data whose unit nothing told.
    let bounds: Option<ActionBounds> =
        serde_json::from_value(setting(BOUNDS)).map_err(|_| bad(BOUNDS))?;
    let restored = weights::get(checkpoint, path, prefix, model.weights().clone())?;
    Ok(Prior {
        action_bounds: bounds,
        model: model.with_weights(restored).with_schedule(schedule),
        coordinates: Coordinates {
            observation,
            action,
        },
    })
}

/// What training goes on from.
pub(super) struct State {
    /// The model with the weights of the last update.
    pub model: GaussianDiffusion,
    /// Adam with the moments of every weight.
    pub optimizer: HostAdam,
    /// Moving average of each parameter.
    average: Vec<Vec<f32>>,
    /// How many updates it has had.
    pub update: u64,
}

impl State {
    /// Starts from the model, or goes on from the checkpoint of that stage.
    pub(super) fn resume(
        model: GaussianDiffusion,
        config: &PriorConfig,
        path: &Path,
        stage: &str,
    ) -> Result<Self, Error> {
        let adam = AdamConfig {
            max_gradient_norm: 1.0,
            ..AdamConfig::plain(config.learning_rate)
        };
        let parameters = weights::tensors(model.weights());
        let lengths: Vec<usize> = parameters.iter().map(|p| p.dims()[0]).collect();
        let mut state = Self {
            optimizer: HostAdam::new(adam),
            average: parameters.into_iter().map(host).collect(),
            model,
            update: 0,
        };
        if path.exists() {
            let checkpoint = Checkpoint::load(path, stage)?;
            let read = |prefix: &str| {
                let shape = state.model.weights().clone();
                weights::get(&checkpoint, path, prefix, shape)
            };
            let (trained, average) = (read("trained")?, read("average")?);
            state.average = weights::tensors(&average).into_iter().map(host).collect();
            state.optimizer.get(&checkpoint, path, "", &lengths)?;
            state.update = checkpoint.update;
            state.model = state.model.with_weights(trained);
        }
        Ok(state)
    }

    /// The model with averaged weights.
    pub(super) fn averaged(&self) -> GaussianDiffusion {
        let device = self.model.device();
        let average = self.average.iter().map(|a| vector(a.clone(), &device));
        let shape = self.model.weights().clone();
        self.model
            .with_weights(weights::with_tensors(shape, average.collect()))
    }

    /// Writes the checkpoint; with the last update the step variances are fitted to the averaged weights.
    fn save(
        &self,
        data: &TrainingData,
        split: Option<&Split>,
        (seed, updates): (u64, u64),
        path: &Path,
    ) -> Result<(), Error> {
        let mut averaged = self.averaged();
        if self.update == updates {
            averaged = fit_variance(&averaged, data, split, seed);
        }
        Ok(self.checkpoint("prior", &averaged, data).save(path)?)
    }

    /// Everything that the stage goes on from, and the averaged model.
    pub(super) fn checkpoint(
        &self,
        stage: &str,
        averaged: &GaussianDiffusion,
        data: &TrainingData,
    ) -> Checkpoint {
        let mut checkpoint = Checkpoint::new(stage, self.update);
        describe(&mut checkpoint, averaged, &data.coordinates);
        let bounds = serde_json::to_value(&data.action_bounds).expect("plain data");
        checkpoint.settings.insert(BOUNDS.into(), bounds);
        weights::put(&mut checkpoint, "trained", self.model.weights());
        weights::put(&mut checkpoint, "average", averaged.weights());
        self.optimizer.put(&mut checkpoint, "");
        checkpoint
    }

    /// Goes one step of Adam down a loss of `tracked`, this model with its graph, moves the average, and returns the loss.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`]; nothing is changed then.
    pub(super) fn descend(
        &mut self,
        tracked: &GaussianDiffusion,
        loss: Tensor<1>,
        decay: f32,
        stage: &'static str,
    ) -> Result<f64, TiltError> {
        let value = f64::from(host(loss.clone())[0]);
        if !value.is_finite() {
            return Err(TiltError::NonFinite {
                stage,
                what: "loss",
                update: self.update,
            });
        }
        let gradient = weights::gradient(tracked.weights(), &loss.backward());
        let parameters = weights::tensors(self.model.weights());
        let average = &mut self.average;
        let stepped = self
            .optimizer
            .step_averaged(parameters, gradient, average, decay);
        let shape = self.model.weights().clone();
        self.model = self
            .model
            .with_weights(weights::with_tensors(shape, stepped.parameters));
        Ok(value)
    }
}

/// Trains the prior, or goes on from its checkpoint, and returns it.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>) -> Result<Prior, Error> {
    let Work {
        config, data, seed, ..
    } = work;
    let path = work.dir.checkpoint("prior");
    let updates = config.prior.updates;
    let model = fresh(config, data.widths(), seed, work.compute)?;
    let mut state = State::resume(model, &config.prior, &path, "prior")?;
    let share = config.prior.held_out;
    let continues = &data.transitions.continues;
    let split = (share > 0.0).then(|| Split::new(continues, share, seed));
    let mut columns = vec!["loss"];
    columns.extend(split.iter().map(|_| "held_out_loss"));
    let stage = Stage {
        name: "prior",
        clock: "prior",
        total: updates,
        done: state.update,
        checkpoints: CHECKPOINTS,
        columns,
        dir: work.dir,
        console: work.console,
        tensorboard: work.tensorboard,
    };
    stage.train(
        &mut state,
        |state, _| {
            let loss = step(state, data, split.as_ref(), (&config.prior, seed))?;
            state.update += 1;
            let mut numbers = vec![loss];
            if let Some(split) = &split {
                // Once per row of the log.
                let every = (updates / CHECKPOINTS / 5).max(1);
                let now = state.update.is_multiple_of(every) || state.update == updates;
                numbers.push(match now {
                    true => split.loss(&state.model, data, seed),
                    false => f64::NAN,
                });
            }
            Ok(numbers)
        },
        |_, _| Ok(()),
        |state, _| state.save(data, split.as_ref(), (seed, updates), &path),
    )?;
    let checkpoint = Checkpoint::load(&path, "prior")?;
    restore(&checkpoint, &path, "average", &state.model)
}

fn step(
    state: &mut State,
    data: &TrainingData,
    split: Option<&Split>,
    (config, seed): (&PriorConfig, u64),
) -> Result<f64, Error> {
    let (model, update) = (&state.model, state.update);
    let mut noise = Noise::keyed(seed, "prior-update", update);
    let rows = rows_of(data, split, config.batch_size, &mut noise);
    let condition = matrix(data.observations(&rows), data.widths()[0], &model.device());
    let tracked = model.tracked();
    let loss = tracked.denoising_loss(&data.latents(&rows), &condition, &mut noise);
    Ok(state.descend(&tracked, loss, config.ema_decay, "prior")?)
}

/// Draws rows that the prior may learn from.
pub(super) fn rows_of(
    data: &TrainingData,
    split: Option<&Split>,
    count: usize,
    noise: &mut Noise,
) -> Vec<usize> {
    let Some(split) = split else {
        return noise.indices(count, data.len());
    };
    let drawn = noise.indices(count, split.kept.len()).into_iter();
    drawn.map(|i| split.kept[i]).collect()
}

fn fit_variance(
    model: &GaussianDiffusion,
    data: &TrainingData,
    split: Option<&Split>,
    seed: u64,
) -> GaussianDiffusion {
    let mut noise = Noise::keyed(seed, "prior-variance", 0);
    let rows = rows_of(data, split, 4096, &mut noise);
    let condition = matrix(data.observations(&rows), data.widths()[0], &model.device());
    model.with_fitted_variance(&data.latents(&rows), &condition, &mut noise)
}
