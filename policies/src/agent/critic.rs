//! What a posterior is tilted by: a critic of actions, and what a configuration must know of its kind.

use std::path::Path;

use serde_json::{Map, Value};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

use super::setting::Setting;
use super::transitions::Transitions;
use crate::compute::Compute;
use crate::fast::MlpSpec;

/// What a critic learns from.
pub struct Lesson<'a> {
    /// Transitions to learn from.
    pub transitions: &'a Transitions,
    /// Draws actions of the prior in [-1, 1] for normalised observations [rows · observation_dim].
    pub prior: &'a (dyn Fn(&[f32], &mut Noise) -> Vec<f32> + Sync),
    /// Seed of the batches.
    pub seed: u64,
}

/// A critic: in control, Q(s, a) up to a function of s, which cancels in the posterior.
///
/// Observations are normalised, actions in [-1, 1], values in the critic's own units.
pub trait Critic: Send + Sync {
    /// Returns how many updates its settings ask for.
    fn updates(&self) -> u64;
    /// Returns the names of the figures that an update reports.
    fn figures(&self) -> Vec<&'static str>;
    /// Does update number `update`, from 0, and returns its figures; NaN where an update has none.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`]; nothing is changed then.
    fn update(&mut self, lesson: &Lesson<'_>, update: u64) -> Result<Vec<f64>, TiltError>;
    /// Returns the value of each row.
    ///
    /// # Shapes
    /// `observations` [rows, observation_dim], `actions` [rows, action_dim] → `[rows]`.
    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64>;
    /// Returns the gradient of the value with respect to the action, [rows, action_dim].
    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32>;
    /// Returns the temperature α that it was trained for, in its own units; none where any serves.
    fn alpha(&self) -> Option<f64> {
        None
    }
    /// Returns the networks that it consists of; none for a critic that is anything but an ensemble of perceptrons.
    fn networks(&self) -> Option<ValueNetworks> {
        None
    }
    /// Stores everything that a resumed training needs.
    fn save(&self, checkpoint: &mut Checkpoint);
    /// Restores what [`Self::save`] stored.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError>;
}

/// The networks whose conservative value a critic's value is, in proportion: what leaves with a policy that chooses by value.
#[derive(Clone, Debug)]
pub struct ValueNetworks {
    /// Shape of each: [normalised observation, action] → one value.
    pub spec: MlpSpec,
    /// Flat parameters of each.
    pub parameters: Vec<Vec<f32>>,
    /// Value = mean − lcb · std over the networks; with 0, their minimum.
    pub lcb: f64,
}

/// What a critic or a policy is made for.
pub struct LearnerShape {
    /// Width of an observation.
    pub observation_dim: usize,
    /// Width of an action.
    pub action_dim: usize,
    /// Seed of the initial weights, and of a policy's batches.
    pub seed: u64,
    /// Where it computes.
    pub compute: Compute,
}

/// Makes an untrained critic of settings that lie in their ranges; `discount` is always one of them.
pub(crate) type Make = fn(&Map<String, Value>, &LearnerShape) -> Result<Box<dyn Critic>, TiltError>;

/// A kind of critic that configurations name.
#[derive(Clone, Copy)]
pub struct CriticKind {
    /// Name that `critic.kind` in a config takes.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Its settings, in the order of files.
    pub settings: fn() -> Vec<Setting>,
    /// Keys whose larger value a trained critic goes on with.
    pub growing: &'static [&'static str],
    /// Value of every setting where a config has none.
    pub defaults: fn() -> Map<String, Value>,
    /// Says what is wrong with settings that are each in their range but cannot go together; none where nothing is.
    pub fault: fn(&Map<String, Value>) -> Option<String>,
    /// Makes an untrained critic.
    pub make: Make,
}

/// Returns settings read from their map.
///
/// # Errors
/// [`TiltError::Model`] when one is missing or of another type.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    settings: &Map<String, Value>,
) -> Result<T, TiltError> {
    serde_json::from_value(Value::Object(settings.clone()))
        .map_err(|e| TiltError::Model(format!("critic: {e}")))
}

/// Returns settings as a map.
pub(crate) fn object<T: serde::Serialize>(settings: &T) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
