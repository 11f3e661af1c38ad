//! Algorithms that learn a policy from recorded transitions: the baselines that users know, and what a configuration must know of
//! each.

use std::path::Path;

use serde_json::{Map, Value};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

use super::coordinates::Normalizer;
use super::critic::LearnerShape;
use super::setting::Setting;
use super::transitions::Transitions;

/// A policy that learns from transitions alone.
///
/// Observations are normalised, actions in [-1, 1].
pub trait PolicyLearner: Send + Sync {
    /// Returns how many updates its settings ask for.
    fn updates(&self) -> u64;
    /// Returns the names of the figures that an update reports.
    fn figures(&self) -> Vec<&'static str>;
    /// Does update number `update`, from 0, and returns its figures; NaN where an update has none.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`] for a loss that is not finite.
    fn update(&mut self, transitions: &Transitions, update: u64) -> Result<Vec<f64>, TiltError>;
    /// Returns actions [rows, action_dim] in [-1, 1] as the policy is evaluated, for observations [rows, observation_dim].
    ///
    /// Row i draws from stream i of `noise` alone.
    fn act(&self, observations: &[f32], noise: &mut Noise) -> Vec<f32>;
    /// Stores everything that a resumed training needs.
    fn save(&self, checkpoint: &mut Checkpoint);
    /// Restores what [`Self::save`] stored.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError>;
}

/// Makes an untrained policy of settings that lie in their ranges, which sees observations normalised so.
pub(crate) type Make = fn(
    &Map<String, Value>,
    &LearnerShape,
    &Normalizer,
) -> Result<Box<dyn PolicyLearner>, TiltError>;

/// What an algorithm trains.
#[derive(Clone, Copy)]
pub enum Trains {
    /// Prior, critic and posterior: the method of this library.
    Posterior,
    /// Prior and critic; it acts by the best of several samples.
    PriorAndCritic,
    /// A policy of its own; its settings hold `updates`, `discount` and `reward_scale`.
    Policy(Make),
}

/// An algorithm that configurations name.
#[derive(Clone, Copy)]
pub struct AlgorithmKind {
    /// Name that `algorithm` in a config takes.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Its settings, in the order of files.
    pub settings: fn() -> Vec<Setting>,
    /// Value of every setting where a config has none.
    pub defaults: fn() -> Map<String, Value>,
    /// Settings of prior and critic in which it differs from the presets, as a TOML file; a user's own settings stand above them.
    pub changes: &'static str,
    /// What it trains.
    pub trains: Trains,
}

/// Returns an error for a loss that is not finite.
pub(crate) fn not_finite(update: u64) -> TiltError {
    TiltError::NonFinite {
        stage: "policy",
        what: "loss",
        update,
    }
}
