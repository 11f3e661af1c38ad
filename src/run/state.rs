//! State files: what a resumed run, tables and pictures read back.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::files::write_atomically;

/// Reads a state file.
///
/// # Errors
/// When it is missing or is not what was written there: never taken for empty.
pub fn read_state<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::Run(format!(
            "{}: {e}\n  hint: a run writes it beside its checkpoints; one of an earlier version has none: use another --out",
            path.display()
        ))
    })?;
    serde_json::from_str(&text).map_err(|e| damaged(path, &e.to_string()))
}

/// Returns the error of a file that cannot be what was written there.
pub fn damaged(path: &Path, reason: &str) -> Error {
    Error::Run(format!(
        "{}: damaged: {reason}\n  hint: restore it, or start over with another --out",
        path.display()
    ))
}

/// Writes a state file.
///
/// # Errors
/// When it cannot be written; the older file is then left as it was.
pub fn write_state(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let text = serde_json::to_string(value).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(path, text.as_bytes())
}
