//! What an environment is: [`Env`], the specification that it carries and the result of a step.

use crate::planar::Margin;
use crate::render::Scene;
use crate::scores::ReferenceScores;

/// What one step of an environment gave, besides the observation.
///
/// There is no `truncated`: cutting an episode at its horizon is the rollout's decision, and a critic must not treat
/// the two alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The reward of this step.
    pub reward: f64,
    /// Whether the task ended here (fell over, reached a goal that ends it); no value follows.
    pub terminated: bool,
}

/// One component of an observation or action.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// What it measures, in words.
    pub name: String,
    /// Its unit; empty for a pure number.
    pub unit: String,
    /// Smallest value (may be −∞).
    pub low: f64,
    /// Largest value (may be +∞).
    pub high: f64,
}

impl Component {
    /// A component without bounds.
    pub fn unbounded(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self::bounded(name, unit, [f64::NEG_INFINITY, f64::INFINITY])
    }

    /// A component that stays within `[low, high]`.
    pub fn bounded(name: impl Into<String>, unit: impl Into<String>, bounds: [f64; 2]) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            low: bounds[0],
            high: bounds[1],
        }
    }
}

/// The rules of an environment in words, for its documentation page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// One sentence: the task.
    pub summary: String,
    /// The reward's formula.
    pub reward: String,
    /// The distribution of the first state.
    pub start: String,
    /// When an episode terminates.
    pub termination: String,
    /// What changed between versions, and what this implementation leaves out.
    pub versions: String,
    /// Where the rules come from.
    pub source: String,
}

/// Everything fixed about an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// The id under which [`crate::make`] knows it.
    pub id: String,
    /// Length of an observation.
    pub observation_dim: usize,
    /// Length of an action.
    pub action_dim: usize,
    /// Steps after which a rollout cuts an episode (truncation).
    pub horizon: usize,
    /// Seconds of simulated time per step.
    pub timestep: f64,
    /// What computes the physics: `tiltrl-planar`, `analytic`, `mujoco`.
    pub engine: String,
    /// The engine's version.
    pub engine_version: String,
    /// The contact margin rule, where the physics has one.
    pub margin: Option<Margin>,
    /// The returns that stand for 0 and 100 in a normalised score, where they are published.
    pub reference: Option<ReferenceScores>,
    /// The observation, component by component.
    pub observation: Vec<Component>,
    /// The action, component by component: what −1 … 1 stands for in physical units.
    pub action: Vec<Component>,
    /// The rules in words.
    pub rules: Rules,
}

impl EnvSpec {
    /// 100·(return − min)/(max − min) with D4RL's reference returns, or `None` where none are published.
    ///
    /// ```
    /// let spec = tiltrl_envs::spec_of("hopper-v4")?;
    /// assert_eq!(spec.normalized_score(3234.3), Some(100.0));
    /// # Ok::<(), tiltrl_envs::EnvError>(())
    /// ```
    pub fn normalized_score(&self, episode_return: f64) -> Option<f64> {
        self.reference
            .map(|reference| reference.normalize(episode_return))
    }
}

/// A control task: continuous actions in [−1, 1], observations in f32.
///
/// Every implementation keeps these promises, which [`crate::conformity::check`] tests:
/// an episode depends on its seed and actions alone, not on what the environment did before; nothing is allocated per
/// step; `step` accepts any finite action, and what lies outside [−1, 1] moves the system as its nearest bound does.
pub trait Env: Send {
    /// What is fixed about this environment.
    fn spec(&self) -> &EnvSpec;

    /// Starts the episode that belongs to `seed` and writes its first observation.
    ///
    /// # Panics
    /// If `observation` is not `observation_dim` long.
    fn reset(&mut self, seed: u64, observation: &mut [f32]);

    /// Applies an action for one step, writes the observation after it and returns the reward.
    ///
    /// # Panics
    /// If `action` is not `action_dim` or `observation` not `observation_dim` long.
    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step;
}

/// A physical state; metres and radians, and these per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Joints {
    /// One position of each joint, in the order of [`Stateful::set_state`].
    pub position: Vec<f64>,
    /// One velocity of each joint.
    pub velocity: Vec<f64>,
}

/// An environment whose physical state can be read and set: for tests, planning and pictures.
pub trait Stateful: Env {
    /// Number of joint positions and of joint velocities.
    fn state_dims(&self) -> [usize; 2];

    /// Puts the system into a state and forgets what the solver remembered.
    fn set_state(&mut self, position: &[f64], velocity: &[f64]);

    /// Joint positions and velocities.
    fn state(&self) -> Joints;

    /// The observation in full precision.
    fn observe(&self, observation: &mut [f64]);

    /// What a picture of this moment shows ([`crate::render::draw`] draws it).
    fn scene(&self) -> Scene;
}
