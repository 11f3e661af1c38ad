//! What can go wrong with models and their weights.

use std::path::PathBuf;

/// An error of the method or of a model.
#[derive(Debug, thiserror::Error)]
pub enum TiltError {
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// File that was read or written.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A checkpoint cannot be used.
    #[error("{path}: {reason}\n  hint: {hint}")]
    Checkpoint {
        /// File that was read or written.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// A loss or gradient is not finite.
    #[error(
        "{stage}: the {what} is not finite at update {update}; the last good checkpoint is kept\n  hint: lower {stage}.learning_rate or check the data for extreme values (`tiltrl data FILE`)"
    )]
    NonFinite {
        /// The stage of training.
        stage: &'static str,
        /// Which of the two: "loss" or "gradient".
        what: &'static str,
        /// The update, from 0.
        update: u64,
    },
    /// A fine-tuning cannot start from these models.
    #[error("{0}")]
    Start(String),
    /// A model cannot be made of these parts.
    #[error("{0}")]
    Model(String),
}
