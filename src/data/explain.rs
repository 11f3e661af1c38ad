//! What the HDF5 library says, in our words.

use std::path::Path;

use hdf5_pure::Error;

use super::error::DataError;

/// Returns what the HDF5 library said, with file and key.
pub(super) fn explain(path: &Path, key: &str, error: &Error) -> DataError {
    let reason = match error {
        Error::Io(source) => {
            return DataError::Io {
                path: path.to_path_buf(),
                action: "read",
                source: std::io::Error::new(source.kind(), source.to_string()),
            };
        }
        Error::FileMarkedInUse(_) => {
            "it is marked as open for writing: the program that wrote it is still running or died \
             (h5clear -s repairs the mark)"
                .to_string()
        }
        other => other.to_string(),
    };
    DataError::Damaged {
        path: path.to_path_buf(),
        key: key.to_string(),
        reason,
    }
}
