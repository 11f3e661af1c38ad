//! Training of the diffusion prior by denoising, with averaged weights and fitted step variances.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::error::PolicyError;
use tiltrl_policies::gaussian::{GaussianDiffusion, Kernel};
use tiltrl_policies::kernels::adam::{Adam, AdamConfig};
use tiltrl_policies::kernels::host::HostVector;
use tiltrl_policies::kernels::mlp::MlpSpec;
use tiltrl_policies::nets::{Mlp, host, matrix, vector};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::normalizer::Normalizer;
use tiltrl_policies::policy::Coordinates;
use tiltrl_policies::schedule::Schedule;

use super::training_data::{TrainingData, gather};
use super::work::Work;
use crate::config::{Config, PriorConfig};
use crate::device;
use crate::error::Error;
use crate::stage::Stage;

/// A trained prior and the coordinates it works in.
pub struct Prior {
    /// The model with averaged weights.
    pub model: GaussianDiffusion,
    /// Its coordinates.
    pub coordinates: Coordinates,
}

/// Returns an untrained model of the configured shape.
///
/// # Errors
/// When the schedule is not memoryless.
pub fn fresh(
    config: &Config,
    dims: [usize; 2],
    seed: u64,
    device: &Device,
) -> Result<GaussianDiffusion, Error> {
    let [observation_dim, action_dim] = dims;
    let schedule = config.prior.schedule()?;
    let inputs = GaussianDiffusion::net_inputs(action_dim, observation_dim);
    let spec = MlpSpec {
        sizes: [vec![inputs], config.prior.hidden.clone(), vec![action_dim]].concat(),
        activation: config.prior.activation,
        layer_norm: false,
    };
    let net = Mlp::new(spec, 0.1, &mut Noise::keyed(seed, "prior-init", 0), device);
    Ok(GaussianDiffusion {
        net,
        schedule: Arc::new(schedule),
        dim: action_dim,
        condition_dim: observation_dim,
        exact: None,
        kernel: Kernel::default(),
    })
}

/// Stores schedule and coordinates beside a model's weights.
pub fn describe(checkpoint: &mut Checkpoint, model: &GaussianDiffusion, coordinates: &Coordinates) {
    let json = |value: &dyn erased::Json| value.json();
    checkpoint
        .settings
        .insert("schedule".into(), json(&*model.schedule));
    checkpoint
        .settings
        .insert("observation".into(), json(&coordinates.observation));
    checkpoint
        .settings
        .insert("action".into(), json(&coordinates.action));
    checkpoint
        .settings
        .insert("sizes".into(), json(&model.net.spec.sizes));
}

mod erased {
    /// Anything that serialises to JSON.
    pub trait Json {
        fn json(&self) -> serde_json::Value;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).expect("plain data")
        }
    }
}

/// Restores a model and its coordinates from tensor `name` of a checkpoint.
///
/// # Errors
/// When sizes differ from the config's.
pub fn restore(
    checkpoint: &Checkpoint,
    path: &Path,
    name: &str,
    mut model: GaussianDiffusion,
) -> Result<Prior, Error> {
    let setting = |key: &str| checkpoint.settings.get(key).cloned().unwrap_or_default();
    let bad = |what: &str| PolicyError::Checkpoint {
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
    let device = model.net.parameters.device();
    let values = checkpoint.tensor(path, name, model.net.spec.num_parameters())?;
    model.net.parameters = vector(values, &device);
    model.schedule = Arc::new(schedule);
    Ok(Prior {
        model,
        coordinates: Coordinates {
            observation,
            action,
        },
    })
}

/// What training goes on from.
struct State {
    model: GaussianDiffusion,
    optimizer: Adam,
    average: Vec<f32>,
    update: u64,
}

impl State {
    fn resume(model: GaussianDiffusion, config: &Config, path: &Path) -> Result<Self, Error> {
        let adam = AdamConfig {
            learning_rate: config.prior.learning_rate,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
        };
        let count = model.net.spec.num_parameters();
        let mut state = Self {
            optimizer: Adam::new(adam, count),
            average: host(model.net.parameters.clone()),
            model,
            update: 0,
        };
        if path.exists() {
            let checkpoint = Checkpoint::load(path, "prior")?;
            let device = state.model.net.parameters.device();
            let parameters = checkpoint.tensor(path, "parameters", count)?;
            state.model.net.parameters = vector(parameters, &device);
            state.average = checkpoint.tensor(path, "average", count)?;
            checkpoint.get_optimizer(path, "", &mut state.optimizer)?;
            state.update = checkpoint.update;
        }
        Ok(state)
    }

    /// An optimizer step, and the moving average that follows it.
    fn descend(&mut self, gradient: &[f32], decay: f32) {
        let parameters = &mut self.model.net.parameters;
        let average = Some((&mut self.average[..], decay));
        if !device::is_cpu(&parameters.device()) {
            let device = parameters.device();
            let mut values = host(parameters.clone());
            self.optimizer.step_averaged(&mut values, gradient, average);
            *parameters = vector(values, &device);
            return;
        }
        let mut values = HostVector::take(parameters);
        self.optimizer
            .step_averaged(values.values_mut(), gradient, average);
        *parameters = values.into_tensor();
    }

    /// Writes the checkpoint; with the last update the step variances are fitted to the averaged weights.
    fn save(
        &self,
        data: &TrainingData,
        (seed, updates): (u64, u64),
        path: &Path,
    ) -> Result<(), Error> {
        let device = self.model.net.parameters.device();
        let mut averaged = self.model.clone();
        averaged.net.parameters = vector(self.average.clone(), &device);
        if self.update == updates {
            fit_variance(&mut averaged, data, seed, &device);
        }
        let mut checkpoint = Checkpoint::new("prior", self.update);
        describe(&mut checkpoint, &averaged, &data.coordinates);
        let parameters = host(self.model.net.parameters.clone());
        checkpoint.tensors.insert("parameters".into(), parameters);
        let average = self.average.clone();
        checkpoint.tensors.insert("average".into(), average);
        checkpoint.put_optimizer("", &self.optimizer);
        Ok(checkpoint.save(path)?)
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
    let dims = [data.observation_dim, data.action_dim];
    let model = fresh(config, dims, seed, work.device)?;
    let mut state = State::resume(model, config, &path)?;
    let stage = Stage {
        name: "prior",
        clock: "prior",
        total: updates,
        done: state.update,
        checkpoints: 20,
        columns: ["loss"],
        dir: work.dir,
        console: work.console,
    };
    stage.train(
        &mut state,
        |state, _| {
            let loss = step(state, data, &config.prior, seed)?;
            state.update += 1;
            Ok([loss])
        },
        |_, _| Ok(()),
        |state, _| state.save(data, (seed, updates), &path),
    )?;
    let checkpoint = Checkpoint::load(&path, "prior")?;
    restore(&checkpoint, &path, "average", state.model)
}

fn step(
    state: &mut State,
    data: &TrainingData,
    config: &PriorConfig,
    seed: u64,
) -> Result<f64, Error> {
    let (model, update) = (&mut state.model, state.update);
    let device = model.net.parameters.device();
    let mut noise = Noise::keyed(seed, "prior-update", update);
    let rows = noise.indices(config.batch_size, data.len());
    let sample = gather(&data.latents, data.action_dim, &rows, 1);
    let condition = gather(&data.observations, data.observation_dim, &rows, 1);
    let tracked = GaussianDiffusion {
        net: model.net.tracked(),
        ..model.clone()
    };
    let loss = tracked.denoising_loss(
        &sample,
        matrix(condition, data.observation_dim, &device),
        &mut noise,
    );
    let value = f64::from(host(loss.clone())[0]);
    if !value.is_finite() {
        return Err(PolicyError::NonFinite {
            stage: "prior",
            what: "loss",
            update,
        }
        .into());
    }
    let gradient = tracked.net.parameters.grad(&loss.backward());
    let gradient = host(gradient.expect("tracked"));
    // Nothing else may hold the parameters while they are written in place.
    drop(tracked);
    state.descend(&gradient, config.ema_decay);
    Ok(value)
}

fn fit_variance(model: &mut GaussianDiffusion, data: &TrainingData, seed: u64, device: &Device) {
    let mut noise = Noise::keyed(seed, "prior-variance", 0);
    let rows = noise.indices(4096, data.len());
    let sample = gather(&data.latents, data.action_dim, &rows, 1);
    let condition = gather(&data.observations, data.observation_dim, &rows, 1);
    model.fit_variance(
        &sample,
        &matrix(condition, data.observation_dim, device),
        &mut noise,
    );
}
