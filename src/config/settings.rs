//! The settings of a run: one struct per stage. Ranges stand in [`super::keys`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tiltrl_envs::EnvOptions;
use tiltrl_policies::fast::Activation;
use tiltrl_policies::models::{Prediction, Schedule, ScheduleKind};
use tiltrl_tilt::finetune::{Mixture, Options};
use tiltrl_tilt::rtb::Shaping;

use toml::Table;

use super::critic::CriticConfig;
use crate::data::{BothFlags, Environment, ReadOptions};
use crate::error::Error;

/// Settings by the name of their algorithm.
pub type Baselines = BTreeMap<String, Table>;

/// The algorithm of a config that names none.
pub(super) const DEFAULT: &str = "rtb";

/// Everything that decides what a run does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the preset this came from.
    pub preset: String,
    /// Name of the algorithm: "rtb", or one of the baselines.
    #[serde(default = "rtb")]
    pub algorithm: String,
    /// How long every stage trains, where nothing else is said: "quick", "default" or "full".
    #[serde(default = "default_budget")]
    pub budget: String,
    /// Environment id, see `tiltrl envs`.
    pub env: String,
    /// File names of the data set under the data folder, when `--data` is not given.
    pub data_files: Vec<String>,
    /// Data that the run makes itself when no file is named: "swing-up", or empty for none.
    #[serde(default)]
    pub recipe: String,
    /// How the data are read.
    #[serde(default)]
    pub data: DataConfig,
    /// How the prior is trained.
    pub prior: PriorConfig,
    /// Which critic judges actions, and how it is trained.
    pub critic: CriticConfig,
    /// How the posterior is trained.
    pub finetune: FinetuneConfig,
    /// When policies are played, and where.
    pub evaluation: EvaluationConfig,
    /// Settings of the algorithm, unless it is "rtb".
    #[serde(default, skip_serializing_if = "Baselines::is_empty")]
    pub baseline: Baselines,
}

fn rtb() -> String {
    DEFAULT.into()
}

fn default_budget() -> String {
    "default".into()
}

/// How the data are read, where the files leave it open. Another reading of the same files is another run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Timesteps after which the clock ended an episode; 0 = as the files say, and the environment's horizon where they do not.
    pub horizon: usize,
    /// What a row with both flags means.
    pub both_flags: BothFlags,
}

impl DataConfig {
    /// Returns what a reader is told of data for `environment`.
    pub fn read_options(&self, environment: Environment) -> ReadOptions {
        ReadOptions {
            horizon: (self.horizon > 0).then_some(self.horizon),
            environment: Some(environment),
            both_flags: self.both_flags,
            ..ReadOptions::default()
        }
    }
}

/// Training of the diffusion prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// Denoising steps T.
    pub num_steps: usize,
    /// Noise schedule; must be memoryless.
    pub schedule: ScheduleKind,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Name of the network's kind.
    #[serde(default = "perceptron")]
    pub network: String,
    /// Widths of the hidden layers, in order.
    pub hidden: Vec<usize>,
    /// Function after each hidden layer.
    pub activation: Activation,
    /// Updates until the stage is done.
    pub updates: u64,
    /// Actions per update.
    pub batch_size: usize,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Decay of the exponential moving average of the weights.
    pub ema_decay: f32,
    /// Updates by maximum likelihood after those of denoising, in which the step variances become functions; 0 = none.
    #[serde(default)]
    pub likelihood_updates: u64,
    /// Share of the episodes that are held out, to log the loss on them; 0 = none.
    #[serde(default)]
    pub held_out: f64,
}

/// What runs without the key have.
fn perceptron() -> String {
    "perceptron".into()
}

/// How the posterior is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Updates until the stage is done.
    pub updates: u64,
    /// States per update.
    pub states: usize,
    /// Paths per state, by source.
    pub paths: Mixture,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Joint gradient norm limit; 0 = none.
    pub max_gradient_norm: f32,
    /// Temperature α as a price, reward per nat; 0 = `alpha_in_std` says it.
    #[serde(default)]
    pub alpha: f64,
    /// Temperature α in units of the prior's mean standard deviation of Q within a state.
    pub alpha_in_std: f64,
    /// Lowest and highest α of one posterior for a range, as factors of α; empty = α alone.
    #[serde(default)]
    pub dial: Vec<f64>,
    /// Dead zone and Huber cap of δ.
    pub shaping: Shaping,
    /// Let the posterior learn the variance of its steps.
    pub learned_variance: bool,
    /// Let the posterior follow the critic's gradient, by a learned scale that starts at zero.
    pub guidance: bool,
    /// Variants: learned log Z, exploration, replay, subsampled or chunked steps, sub-trajectories, KL budget.
    pub options: Options,
}

/// Evaluation during training and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Episodes of each policy at the end.
    pub episodes: usize,
    /// Episodes of each evaluation during fine-tuning.
    pub episodes_in_training: usize,
    /// Evaluations during fine-tuning.
    pub evaluations_in_training: u64,
    /// N of each best-of-N baseline.
    pub best_of: Vec<usize>,
    /// N of the policy tail-N, played and certified beside the posterior; 0 = none.
    #[serde(default)]
    pub tail: usize,
    /// Physics engine: embedded, embedded-f32, mujoco, mujoco:PATH, gymnasium:PYTHON.
    #[serde(default = "embedded")]
    pub engine: String,
    /// Contact margin rule: max, sum, or default (the engine's).
    #[serde(default = "default_margin")]
    pub margin: String,
    /// The MJCF file of a robot of your own, for ant-v4, ant-v5, humanoid-v4 and humanoid-v5; empty = the environment's robot.
    #[serde(default)]
    pub mjcf: String,
}

fn embedded() -> String {
    "embedded".into()
}

fn default_margin() -> String {
    "default".into()
}

impl PriorConfig {
    /// Returns the noise schedule.
    ///
    /// # Errors
    /// When it is not memoryless.
    pub fn schedule(&self) -> Result<Schedule, Error> {
        Ok(Schedule::new(
            self.schedule,
            self.num_steps,
            self.prediction,
        )?)
    }
}

impl EvaluationConfig {
    /// Returns how the environments of the evaluations are made.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown engine or margin rule.
    pub fn options(&self) -> Result<EnvOptions, Error> {
        let usage = |key: &'static str| {
            move |e: tiltrl_envs::EnvError| Error::Usage(format!("evaluation.{key}: {e}"))
        };
        let margin = match self.margin.as_str() {
            "default" => None,
            rule => Some(rule.parse().map_err(usage("margin"))?),
        };
        Ok(EnvOptions {
            engine: self.engine.parse().map_err(usage("engine"))?,
            margin,
            model: (!self.mjcf.is_empty()).then(|| self.mjcf.clone().into()),
        })
    }
}
