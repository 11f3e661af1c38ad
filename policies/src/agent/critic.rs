//! What a posterior is tilted by: a critic of actions, and the table of those that there are.
//!
//! To add one, write its file and a line of [`KINDS`].

use std::path::Path;

use serde_json::{Map, Value};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

use super::transitions::Transitions;
use super::{advantage, iql};
use crate::compute::Compute;

/// What a critic learns from.
pub struct Lesson<'a> {
    /// The data.
    pub transitions: &'a Transitions,
    /// Draws actions of the prior in [-1, 1] for normalised observations [rows · observation_dim].
    pub prior: &'a (dyn Fn(&[f32], &mut Noise) -> Vec<f32> + Sync),
    /// Seed of the batches.
    pub seed: u64,
}

/// A number of an update, with its name in the log.
pub type Figure = (&'static str, f64);

/// A critic: in control, Q(s, a) up to a function of s, which cancels in the posterior.
///
/// Observations are normalised, actions in [-1, 1], values in the critic's own units.
pub trait Critic: Send + Sync {
    /// Returns how many updates its settings ask for.
    fn updates(&self) -> u64;
    /// Does update number `update`, from 0, and returns its figures, always the same names in the same order; NaN where an
    /// update has none.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`]; nothing is changed then.
    fn update(&mut self, lesson: &Lesson<'_>, update: u64) -> Result<Vec<Figure>, TiltError>;
    /// Returns the value of each row.
    ///
    /// # Shapes
    /// `observations` [rows, observation_dim], `actions` [rows, action_dim] → `[rows]`.
    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64>;
    /// Returns the gradient of the value with respect to the action, [rows, action_dim].
    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32>;
    /// Stores everything that a resumed training needs.
    fn save(&self, checkpoint: &mut Checkpoint);
    /// Restores what [`Self::save`] stored.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError>;
}

/// What a critic is made for.
pub struct CriticShape {
    /// Width of an observation.
    pub observation_dim: usize,
    /// Width of an action.
    pub action_dim: usize,
    /// Seed of the initial weights.
    pub seed: u64,
    /// Where it computes.
    pub compute: Compute,
}

/// A setting of a critic: what a configuration file says of it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the key.
    pub key: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Its range in words.
    pub range: &'static str,
    /// Whether a value lies in it.
    pub holds: fn(&Value) -> bool,
}

/// Makes an untrained critic of checked settings.
pub type Make = fn(&Map<String, Value>, &CriticShape) -> Result<Box<dyn Critic>, TiltError>;

/// A kind of critic that configurations name.
pub struct CriticKind {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Its settings, in the order of files.
    pub settings: fn() -> Vec<Setting>,
    /// Their defaults.
    pub defaults: fn() -> Map<String, Value>,
    /// Makes an untrained critic of checked settings.
    pub make: Make,
}

/// All kinds.
pub const KINDS: [CriticKind; 2] = [iql::KIND, advantage::KIND];

/// Returns the kind of that name.
pub fn kind(name: &str) -> Option<&'static CriticKind> {
    KINDS.iter().find(|k| k.name == name)
}

/// Returns every broken setting of a critic, as `key: what was expected, what was found`.
pub fn check(kind: &CriticKind, settings: &Map<String, Value>) -> Vec<String> {
    let wrong = (kind.settings)().into_iter().filter_map(|setting| {
        let value = settings.get(setting.key).unwrap_or(&Value::Null);
        let sentence = || format!("{}: expected {}, found {value}", setting.key, setting.range);
        (!(setting.holds)(value)).then(sentence)
    });
    wrong.collect()
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

/// Whether a value is a number in a range.
pub(crate) fn number(value: &Value, holds: impl Fn(f64) -> bool) -> bool {
    value.as_f64().is_some_and(|v| v.is_finite() && holds(v))
}

/// Whether a value is a whole number in a range.
pub(crate) fn whole(value: &Value, range: std::ops::RangeInclusive<u64>) -> bool {
    value.as_u64().is_some_and(|v| range.contains(&v))
}

/// Whether a value is a list of hidden widths.
pub(crate) fn widths(value: &Value) -> bool {
    let all = value.as_array();
    all.is_some_and(|all| !all.is_empty() && all.iter().all(|v| whole(v, 1..=4096)))
}
