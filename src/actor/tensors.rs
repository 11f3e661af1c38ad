//! A file of named arrays, and what it says of itself: safetensors with its metadata, or npz with texts among its arrays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::data::{Array, DataError, nearest, npz_arrays};

/// Where the layouts are described.
const PAGE: &str = "docs/actors.md has the layouts, and lines of Python that write them.";

/// What is still to be read of a file.
#[derive(Debug)]
pub(super) struct Tensors {
    path: PathBuf,
    arrays: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    texts: BTreeMap<String, String>,
}

impl Tensors {
    /// Reads a file by its ending, `.npz` or else safetensors.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let mut file = Self {
            path: path.to_path_buf(),
            arrays: BTreeMap::new(),
            texts: BTreeMap::new(),
        };
        if has_ending(path, &["npz"]) {
            for (name, array) in npz_arrays(path)? {
                match array {
                    Array::Numbers(shape, values) => {
                        drop(file.arrays.insert(name, (shape, values)))
                    }
                    Array::Text(text) => drop(file.texts.insert(name, text)),
                }
            }
            return Ok(file);
        }
        let bytes = std::fs::read(path).map_err(|source| DataError::io(path, "open", source))?;
        let damaged = |reason: String| {
            let hint = "is it whole? Copy it again. A file of PyTorch's own (.pt, .zip) is none.";
            file.error("", "a safetensors file", &reason, hint)
        };
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let mut arrays = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            let values = numbers(&view).ok_or_else(|| {
                let found = format!("{:?}", view.dtype());
                file.error(
                    &name,
                    "F32, F64 or whole numbers",
                    &found,
                    "save `tensor.float()`.",
                )
            })?;
            arrays.insert(name, (view.shape().to_vec(), values));
        }
        file.arrays = arrays;
        let texts = metadata.metadata().clone().unwrap_or_default();
        file.texts = texts.into_iter().collect();
        Ok(file)
    }

    /// Returns the names of the arrays that were not taken, sorted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// Returns how many dimensions an array has that was not taken.
    pub(super) fn rank(&self, key: &str) -> Option<usize> {
        self.arrays.get(key).map(|(shape, _)| shape.len())
    }

    /// Takes an array, all of it finite, of the sizes that are given; a size that is not may be any but 0.
    ///
    /// `why` says where the sizes come from.
    pub(super) fn take(
        &mut self,
        key: &str,
        sizes: &[Option<usize>],
        why: &str,
    ) -> Result<(Vec<usize>, Vec<f32>), DataError> {
        let Some((shape, values)) = self.arrays.remove(key) else {
            return Err(self.missing(key));
        };
        let fits = shape.len() == sizes.len()
            && (shape.iter().zip(sizes)).all(|(&size, want)| want.map_or(size > 0, |w| w == size));
        if !fits {
            let wanted = sizes
                .iter()
                .map(|s| s.map_or("any".into(), |s| s.to_string()));
            let wanted = format!("shape [{}] ({why})", wanted.collect::<Vec<_>>().join(", "));
            return Err(self.error(key, &wanted, &format!("{shape:?}"), PAGE));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                let found = value.to_string();
                Err(self.error(key, "finite f32", &found, "did the training diverge?"))
            }
            None => Ok((shape, values)),
        }
    }

    /// Takes `count` numbers where they are there, or one that stands for all of them.
    pub(super) fn numbers(
        &mut self,
        key: &str,
        count: usize,
        why: &str,
    ) -> Result<Option<Vec<f64>>, DataError> {
        let Some((shape, values)) = self.arrays.get_mut(key) else {
            return Ok(None);
        };
        if values.len() == 1 && shape.iter().all(|&size| size == 1) {
            *values = vec![values[0]; count];
            *shape = vec![count];
        }
        let (_, values) = self.take(key, &[Some(count)], why)?;
        Ok(Some(values.into_iter().map(f64::from).collect()))
    }

    /// Takes one number, stored as an array or as text.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, DataError> {
        if let Some(text) = self.texts.remove(key) {
            let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            let hint = "write it as 0.01 or 1e-8.";
            return match number {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(key, "a finite number", &format!("`{text}`"), hint)),
            };
        }
        Ok(self.numbers(key, 1, "one number")?.map(|values| values[0]))
    }

    /// Takes a text.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.texts.remove(key)
    }

    /// Refuses a text whose name is nearly one that would have been read: it was meant so.
    pub(super) fn refuse_near(&self, names: &[&str]) -> Result<(), DataError> {
        for key in self.texts.keys() {
            let near = |name: &&&str| strsim::levenshtein(key, name) <= 2;
            if let Some(name) = names.iter().find(near) {
                let hint = "rename it; if it is something else, give it another name.";
                return Err(self.error(key, &format!("`{name}`"), "this spelling", hint));
            }
        }
        Ok(())
    }

    /// The error that an array is not there.
    pub(super) fn missing(&self, key: &str) -> DataError {
        let keys: Vec<String> = self.keys().map(String::from).collect();
        let hint = match nearest(key, &keys) {
            Some(near) => format!("is it `{near}`? {PAGE}"),
            None => PAGE.to_string(),
        };
        self.error(key, "an array of that name", &listed(&keys), &hint)
    }

    /// An error about a key; about the file where it is empty.
    pub(super) fn error(&self, key: &str, expected: &str, found: &str, hint: &str) -> DataError {
        DataError::ActorFile {
            path: self.path.clone(),
            key: key.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
            hint: hint.to_string(),
        }
    }

    /// The error that the arrays are of no known layout.
    pub(super) fn unknown(&self, expected: &str) -> DataError {
        let keys: Vec<String> = self.keys().map(String::from).collect();
        let own = self
            .texts
            .get("layout")
            .is_some_and(|layout| layout.starts_with("tiltrl"));
        let hint = if own {
            "`tiltrl export` wrote it: evaluate the run that it is of."
        } else {
            PAGE
        };
        self.error("", expected, &listed(&keys), hint)
    }
}

/// Whether a file's name ends in one of these, in any letters.
pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let found = path.extension().unwrap_or_default();
    endings
        .iter()
        .any(|ending| found.eq_ignore_ascii_case(ending))
}

/// Names of arrays, not too many.
fn listed(keys: &[String]) -> String {
    let shown = keys.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    match keys.len() {
        0 => "no array at all".into(),
        1..=8 => format!("only [{shown}]"),
        count => format!("only [{shown} and {} more]", count - 8),
    }
}

/// The values of a tensor as f32; none for a type that is not read.
fn numbers(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn decoded<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = bytes.as_chunks::<N>();
        numbers.iter().map(|&bytes| number(bytes)).collect()
    }
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => decoded(bytes, f32::from_le_bytes),
        Dtype::F64 => decoded(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::I64 => decoded(bytes, |b| i64::from_le_bytes(b) as f32),
        Dtype::I32 => decoded(bytes, |b| i32::from_le_bytes(b) as f32),
        Dtype::U8 => decoded(bytes, |[b]: [u8; 1]| f32::from(b)),
        _ => return None,
    })
}
