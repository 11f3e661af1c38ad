//! What is wrong with a file, said by the reader of its format.

use std::path::Path;

use super::error::DataError;

/// A file and the format it is read as.
#[derive(Clone, Copy)]
pub(super) struct Faults<'a> {
    pub(super) path: &'a Path,
    pub(super) format: &'static str,
}

impl Faults<'_> {
    /// Returns the error with this reason: what was expected and found, and what to do.
    pub(super) fn of(&self, reason: impl Into<String>) -> DataError {
        DataError::Format {
            path: self.path.to_path_buf(),
            format: self.format,
            reason: reason.into(),
        }
    }
}
