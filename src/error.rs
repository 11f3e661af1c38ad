//! What can go wrong in an experiment, in words that name the thing and what to do.

use std::path::PathBuf;

/// An error of the command line or of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong usage: unknown preset, key or value.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A run directory or a state that does not fit.
    #[error("{0}")]
    Run(String),
    /// From the data.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// From an environment.
    #[error(transparent)]
    Env(#[from] tiltrl_envs::EnvError),
    /// From weights or training.
    #[error(transparent)]
    Policy(#[from] tiltrl_policies::error::PolicyError),
    /// From a picture.
    #[error(transparent)]
    Plot(#[from] tiltrl_plots::PlotError),
}

impl Error {
    /// Returns 2 for wrong usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }

    /// Returns a closure that wraps an I/O error with its path.
    pub fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Returns the candidate nearest to `word`, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(word, c), c))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}
