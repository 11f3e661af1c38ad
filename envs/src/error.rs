//! What can go wrong when an environment is made.

use std::path::PathBuf;

/// An environment could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// No environment has this id.
    #[error("unknown environment `{id}`{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownId {
        /// What was asked for.
        id: String,
        /// The id that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The environment exists but not with this option.
    #[error("environment `{id}` has no {option}: {reason}")]
    Unsupported {
        /// Id that was asked for.
        id: String,
        /// The option that it lacks.
        option: &'static str,
        /// Why it does not have it, or what failed.
        reason: String,
    },
    /// A word that is none of the choices.
    #[error("unknown {what} `{given}`; choose one of: {choices}")]
    UnknownChoice {
        /// What the choice is of, as engine.
        what: &'static str,
        /// The word as it was given.
        given: String,
        /// The choices, comma-separated.
        choices: &'static str,
    },
    /// The MuJoCo library could not be loaded.
    #[error("cannot load MuJoCo from {}: {reason}\nhint: {hint}", .path.display())]
    MujocoLibrary {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader said.
        reason: String,
        /// How to get it.
        hint: String,
    },
    /// MuJoCo refused a model.
    #[error("MuJoCo refused the model of `{id}`: {reason}")]
    MujocoModel {
        /// The environment or file.
        id: String,
        /// What MuJoCo said.
        reason: String,
    },
    /// A Python environment could not be started.
    #[error("cannot start `{id}` with {}: {reason}\nhint: `pip install gymnasium` for that Python", .python.display())]
    Python {
        /// The Python program.
        python: PathBuf,
        /// The Gymnasium id.
        id: String,
        /// What went wrong.
        reason: String,
    },
}
