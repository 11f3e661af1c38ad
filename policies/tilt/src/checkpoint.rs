//! Checkpoints: named f32 vectors and a JSON header in one safetensors file, written atomically.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::TiltError;

/// Version of the format; a checkpoint of another version is refused.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// Named vectors, counters and settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Version of the format; another one is refused.
    pub version: u32,
    /// What it holds: "prior", "critic", "posterior".
    pub kind: String,
    /// Updates that led to what is stored.
    pub update: u64,
    /// Anything else, as JSON values.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Parameters and moments of optimizers, flat, by name.
    #[serde(skip)]
    pub tensors: BTreeMap<String, Vec<f32>>,
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> TiltError + '_ {
    move |source| TiltError::Io {
        path: path.to_path_buf(),
        source,
    }
}

/// A new file that is to become another one.
pub struct Temporary {
    /// Where it lies.
    pub path: PathBuf,
    /// It, open for writing.
    pub file: File,
}

/// Returns a new empty file beside `path`, open for writing: what is to become `path` is written there first.
///
/// It is `.NAME.PID-N.part` with the first N that is free, created anew: it collides with no other thread's, with no other
/// process's and with no file of a user's.
///
/// # Errors
/// When no file can be made in the folder.
pub fn temporary_beside(path: &Path) -> std::io::Result<Temporary> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let process = std::process::id();
    let mut number = 0_u64;
    loop {
        let path = path.with_file_name(format!(".{name}.{process}-{number}.part"));
        let mut new = OpenOptions::new();
        match new.write(true).create_new(true).open(&path) {
            Ok(file) => return Ok(Temporary { path, file }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Writes `bytes` to `path` atomically: a file of [`temporary_beside`], fsync, rename.
///
/// # Errors
/// [`TiltError::Io`]; the temporary file is removed and an older file is left as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TiltError> {
    let Temporary {
        path: temporary,
        mut file,
    } = temporary_beside(path).map_err(io_error(path))?;
    let mut write = || -> std::io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        io_error(path)(source)
    })
}

impl Checkpoint {
    /// Returns an empty checkpoint of this version.
    pub fn new(kind: &str, update: u64) -> Self {
        Self {
            version: FORMAT_VERSION,
            kind: kind.into(),
            update,
            ..Self::default()
        }
    }

    /// Returns the vector `name`, checked for length.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when it is missing or has another length.
    pub fn tensor(&self, path: &Path, name: &str, length: usize) -> Result<Vec<f32>, TiltError> {
        let found = self.tensors.get(name);
        match found {
            Some(values) if values.len() == length => Ok(values.clone()),
            _ => Err(TiltError::Checkpoint {
                path: path.to_path_buf(),
                reason: format!(
                    "expected `{name}` with {length} values, found {}",
                    found.map_or("none".to_string(), |v| format!("{} values", v.len()))
                ),
                hint: "the network sizes or the environment differ from those of the run that wrote it; use that run's config".into(),
            }),
        }
    }

    /// Writes the checkpoint atomically.
    ///
    /// # Errors
    /// [`TiltError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), TiltError> {
        let bytes: Vec<(String, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, values)| {
                (
                    name.clone(),
                    values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                )
            })
            .collect();
        let views: Vec<(&str, TensorView<'_>)> = bytes
            .iter()
            .map(|(name, data)| {
                let view = TensorView::new(Dtype::F32, vec![data.len() / 4], data)
                    .expect("length matches");
                (name.as_str(), view)
            })
            .collect();
        let header = serde_json::to_string(self).expect("plain data");
        let metadata = HashMap::from([("tiltrl".to_string(), header)]);
        let file = safetensors::serialize(views, Some(metadata)).expect("in-memory serialisation");
        write_atomically(path, &file)
    }

    /// Reads a checkpoint of the expected kind.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another version or of another kind.
    pub fn load(path: &Path, kind: &str) -> Result<Self, TiltError> {
        let bytes = std::fs::read(path).map_err(io_error(path))?;
        let damaged = |reason: String| TiltError::Checkpoint {
            path: path.to_path_buf(),
            reason,
            hint: "delete the file to redo its stage, or restore it".into(),
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| damaged(format!("not a checkpoint: {e}")))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get("tiltrl"))
            .ok_or_else(|| damaged("a safetensors file that TiltRL did not write".into()))?;
        let mut checkpoint: Self = serde_json::from_str(header)
            .map_err(|e| damaged(format!("its header cannot be read: {e}")))?;
        if checkpoint.version != FORMAT_VERSION {
            return Err(damaged(format!(
                "format version {}, expected {FORMAT_VERSION}",
                checkpoint.version
            )));
        }
        if checkpoint.kind != kind {
            return Err(damaged(format!(
                "holds a {}, expected a {kind}",
                checkpoint.kind
            )));
        }
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| damaged(format!("truncated or damaged: {e}")))?;
        for (name, view) in file.tensors() {
            let values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            checkpoint.tensors.insert(name, values);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_part_file_survives_writes_from_several_threads() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("prior.part"), "mine").expect("writable");
        std::thread::scope(|scope| {
            for i in 0..4 {
                let path = path("prior.safetensors");
                let text = i.to_string().repeat(1000);
                scope.spawn(move || write_atomically(&path, text.as_bytes()).expect("writable"));
            }
        });
        let text = std::fs::read_to_string(path("prior.safetensors")).expect("readable");
        assert_eq!(text.len(), 1000);
        assert!(
            text.bytes().all(|b| b == text.as_bytes()[0]),
            "of one thread"
        );
        let mine = std::fs::read_to_string(path("prior.part")).expect("readable");
        assert_eq!(mine, "mine");
        let left = std::fs::read_dir(folder.path()).expect("readable").count();
        assert_eq!(left, 2, "prior.part and prior.safetensors");
    }

    #[test]
    fn saving_and_loading_returns_the_same_bits_and_bad_files_are_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.safetensors");
        let mut checkpoint = Checkpoint::new("prior", 7);
        checkpoint
            .tensors
            .insert("w".into(), vec![1.5, f32::MIN_POSITIVE, -0.0]);
        checkpoint
            .settings
            .insert("x".into(), serde_json::json!([1.0, 2.5]));
        checkpoint.save(&path).expect("writable");
        let first = std::fs::read(&path).expect("readable");
        assert_eq!(Checkpoint::load(&path, "prior").expect("loads"), checkpoint);
        checkpoint.save(&path).expect("writable");
        assert_eq!(first, std::fs::read(&path).expect("readable"));
        assert!(
            Checkpoint::load(&path, "critic")
                .expect_err("kind")
                .to_string()
                .contains("expected a critic")
        );
        for cut in [0, 4, 20, first.len() - 1] {
            std::fs::write(&path, &first[..cut]).expect("writable");
            assert!(
                Checkpoint::load(&path, "prior")
                    .expect_err("cut")
                    .to_string()
                    .contains("a.safetensors")
            );
        }
    }
}
