//! Trained baselines of a run: the same prior, reward, states and paths per update as its RTB fine-tuning.
//!
//! Each lives in `seed-N/baselines/NAME`: `policy.safetensors` (resumed from), `training.csv`, `timing.json`.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tiltrl_policies::agent::baselines::{Learner, Method, Tilt};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;
use tiltrl_tilt::sequential::{Batched, SequentialModel};
use tiltrl_tilt::weights;

use super::training_data::TrainingData;
use crate::config::Config;
use crate::console::Console;
use crate::error::Error;
use crate::run::{Lock, RunDir};
use crate::stage::{Stage, cosine_decay};

/// One baseline of one seed.
pub struct Baseline<'a> {
    /// Config of the run.
    pub config: &'a Config,
    /// Prior and reward.
    pub tilt: &'a Tilt,
    /// The prior in the posterior's shape.
    pub widened: &'a GaussianDiffusion,
    /// The reward's α.
    pub alpha: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Folder of the seed.
    pub folder: &'a Path,
    /// How it learns from prior and reward.
    pub method: Method,
}

impl Baseline<'_> {
    fn dir(&self) -> RunDir {
        RunDir {
            path: self.folder.join("baselines").join(self.method.name()),
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.dir().path.join("policy.safetensors")
    }

    /// Seconds of training so far.
    ///
    /// # Errors
    /// When timing.json cannot be read.
    pub fn seconds(&self) -> Result<f64, Error> {
        let seconds = self.dir().seconds()?;
        Ok(seconds.get("training").copied().unwrap_or(0.0))
    }

    /// What the training depends on; a checkpoint of anything else is not continued.
    fn identity(&self) -> String {
        let mut hasher = Sha256::new();
        for tensor in weights::tensors(self.tilt.prior.weights()) {
            for value in host(tensor) {
                hasher.update(value.to_le_bytes());
            }
        }
        let prior: String = hasher.finalize()[..8]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let settings = &self.config.finetune;
        format!(
            "prior {prior}, alpha {:016x}, seed {}, {} updates of {} states and {} paths, rate {}",
            self.alpha.to_bits(),
            self.seed,
            settings.updates,
            settings.states,
            settings.paths.total(),
            settings.learning_rate
        )
    }

    /// Returns the learner, restored if there is a checkpoint of the same training.
    fn resume(&self) -> Result<Learner, Error> {
        let settings = &self.config.finetune;
        let adam = AdamConfig {
            max_gradient_norm: settings.max_gradient_norm,
            ..AdamConfig::plain(settings.learning_rate)
        };
        let (tilt, paths) = (self.tilt.clone(), settings.paths.total());
        let mut learner = Learner::new(tilt, self.method, self.widened, adam, paths);
        let path = self.checkpoint();
        if path.exists() {
            let checkpoint = Checkpoint::load(&path, "baseline")?;
            let found = checkpoint.settings.get("identity");
            let found = found.and_then(|v| v.as_str()).unwrap_or("unknown");
            let wanted = self.identity();
            if found != wanted {
                return Err(Error::Run(format!(
                    "{}: expected a baseline of {wanted}, found one of {found}\n  hint: move or delete {}",
                    path.display(),
                    self.dir().path.display()
                )));
            }
            learner.get(&path, &checkpoint)?;
        }
        Ok(learner)
    }

    /// Returns the finished model, if there is one.
    ///
    /// # Errors
    /// When the folder holds a baseline of another prior, reward or training.
    pub fn finished(&self) -> Result<Option<GaussianDiffusion>, Error> {
        let learner = self.resume()?;
        let done = learner.count() >= self.config.finetune.updates;
        Ok(done.then_some(learner.model))
    }

    /// Trains, or goes on from the checkpoint, and returns the model.
    ///
    /// # Errors
    /// When another process trains it, a file cannot be read or written, the checkpoint is of another training, or a gradient is
    /// not finite.
    pub fn train(&self, data: &TrainingData, console: Console) -> Result<GaussianDiffusion, Error> {
        let dir = self.dir();
        let _lock = Lock::take(&dir.path)?;
        let mut learner = self.resume()?;
        let stage = Stage {
            name: "training",
            clock: "training",
            total: self.config.finetune.updates,
            done: learner.count(),
            checkpoints: 20,
            columns: vec!["gradient_norm"],
            dir: &dir,
            console,
            tensorboard: false,
        };
        stage.train(
            &mut learner,
            |learner, update| Ok(vec![self.step(learner, data, update)?]),
            |_, _| Ok(()),
            |learner, done| {
                let mut checkpoint = Checkpoint::new("baseline", done);
                let identity = self.identity().into();
                checkpoint.settings.insert("identity".into(), identity);
                learner.put(&mut checkpoint);
                Ok(checkpoint.save(&self.checkpoint())?)
            },
        )?;
        Ok(learner.model)
    }

    fn step(&self, learner: &mut Learner, data: &TrainingData, update: u64) -> Result<f64, Error> {
        let settings = &self.config.finetune;
        let mut noise = Noise::keyed(self.seed, self.method.name(), update);
        let rows = noise.indices(settings.states, data.len());
        let device = self.tilt.prior.device();
        let states = matrix(data.observations(&rows), data.widths()[0], &device);
        let condition = states.repeated(learner.paths);
        let share = cosine_decay(update, settings.updates);
        learner.set_learning_rate(settings.learning_rate * share);
        Ok(learner.update(&condition, &mut noise)?)
    }
}
