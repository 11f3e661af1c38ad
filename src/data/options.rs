//! What a reader is told besides the files.

use serde::{Deserialize, Serialize};
use tiltrl_envs::EnvSpec;

use super::scratch::IN_MEMORY;

/// What is known about the data beyond what the files say.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Timesteps after which the clock ended an episode (`--horizon`): a timeout is set there
    /// wherever the files have no end.
    pub horizon: Option<usize>,
    /// The environment that the data are for.
    pub environment: Option<Environment>,
    /// What a row with both flags means.
    pub both_flags: BothFlags,
    /// Bytes from which an array of observations or actions lies in a scratch file instead of memory: 128 MiB by default, so
    /// that files larger than memory can be read. The numbers are the same.
    pub in_memory: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            horizon: None,
            environment: None,
            both_flags: BothFlags::default(),
            in_memory: IN_MEMORY,
        }
    }
}

/// What a row means whose terminal and timeout flags are both set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BothFlags {
    /// The task ended, in the very step in which the clock did (Gymnasium passes both through).
    #[default]
    Terminal,
    /// The clock ended and the recorder stored `terminals = done` (some recorders for Gym before 0.26).
    Timeout,
}

impl std::fmt::Display for BothFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::Timeout => "timeout",
        })
    }
}

impl std::str::FromStr for BothFlags {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "terminal" => Ok(Self::Terminal),
            "timeout" => Ok(Self::Timeout),
            other => Err(format!("expected terminal or timeout, found {other}")),
        }
    }
}

/// What a reader needs to know of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Id by which errors name it.
    pub id: String,
    /// Timesteps after which an episode is cut.
    pub horizon: usize,
    /// Number of entries of an observation.
    pub observation_dim: usize,
    /// Number of entries of an action.
    pub action_dim: usize,
    /// Bound of each action entry in the units in which its public recordings store actions.
    pub action_bound: f32,
}

impl Environment {
    /// Returns what a reader needs of `spec`.
    pub fn of(spec: &EnvSpec) -> Self {
        Self {
            id: spec.id.clone(),
            horizon: spec.horizon,
            observation_dim: spec.observation_dim,
            action_dim: spec.action_dim,
            action_bound: action_bound(spec),
        }
    }
}

/// Returns the bound of the action space in which public recordings of the environment are made.
///
/// Gymnasium's spaces: ±2 for Pendulum, ±3 for InvertedPendulum, ±0.4 for Humanoid, ±1 for the others
/// (their torques are behind a gear, so the bounds in N·m of [`EnvSpec::action`] are not those of a file).
fn action_bound(spec: &EnvSpec) -> f32 {
    let own = spec.action.first().map_or(1.0, |component| component.high);
    let id = spec.id.to_lowercase();
    match id.rsplit_once("-v").map_or(id.as_str(), |(name, _)| name) {
        "pendulum" => 2.0,
        "invertedpendulum" => 3.0,
        "humanoid" | "humanoidstandup" => 0.4,
        "pusher" => 2.0,
        "cartpole-swingup" if own.is_finite() => own as f32,
        _ if spec.engine.starts_with("gymnasium") && own.is_finite() => own as f32,
        _ => 1.0,
    }
}
