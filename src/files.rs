//! Writing files so that a kill leaves the old one or the new one, never half of one, and no one else's file is touched.

use std::path::Path;

use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint;

use crate::error::Error;

/// Writes `bytes` to `path` as [`checkpoint::write_atomically`] does.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed and an older file is left as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    checkpoint::write_atomically(path, bytes).map_err(|error| match error {
        TiltError::Io { path, source } => Error::Io { path, source },
        other => Error::Policy(other),
    })
}

/// Returns text as a cell of CSV: quoted where it has to be.
pub(crate) fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_string()
}

/// Removes what a process that is gone left half written in a folder and in the folders one below.
pub fn remove_leftovers(folder: &Path, process: u32) {
    let mark = format!(".{process}-");
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries(folder) {
        let below = entry.path();
        let inner = if below.is_dir() {
            entries(&below).map(|e| e.path()).collect()
        } else {
            vec![below]
        };
        for path in inner {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') && name.contains(&mark) && name.ends_with(".part") {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_part_file_survives_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("table.part"), "mine").expect("writable");
        // Another write of this process was killed at the same place.
        let own = format!(".table.json.{}-0.part", std::process::id());
        std::fs::write(path(&own), "half").expect("writable");
        std::thread::scope(|scope| {
            for i in 0..4 {
                let path = path("table.json");
                scope.spawn(move || {
                    let text = i.to_string().repeat(1000);
                    write_atomically(&path, text.as_bytes()).expect("writable");
                });
            }
        });
        let text = std::fs::read_to_string(path("table.json")).expect("readable");
        assert_eq!(text.len(), 1000);
        assert!(text.bytes().all(|b| b == text.as_bytes()[0]));
        let read = |name: &str| std::fs::read_to_string(path(name)).expect("readable");
        assert_eq!(
            (read("table.part"), read(&own)),
            ("mine".into(), "half".into())
        );
        remove_leftovers(folder.path(), std::process::id());
        let left = std::fs::read_dir(folder.path()).expect("readable").count();
        assert_eq!(left, 2, "table.part and table.json");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write_atomically(Path::new("/nowhere/table.json"), b"").expect_err("no folder");
        assert!(error.to_string().contains("/nowhere/table.json"), "{error}");
    }
}
