//! A NumPy npz archive as named arrays.

use std::path::{Path, PathBuf};

use super::attributes::bounds;
use super::column::{Column, npz_fault};
use super::error::DataError;
use super::faults::Faults;
use super::hints::nearest;
use super::npy::Npy;
use super::units::ActionBounds;
use super::zip;

/// An open archive.
pub(super) struct Npz {
    pub(super) path: PathBuf,
    entries: Vec<(String, zip::Entry)>,
    pub(super) names: Vec<String>,
}

/// Returns whether a file is a zip archive that is called an npz.
pub(super) fn is_npz(path: &Path, head: &[u8]) -> bool {
    let ending = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
    ending && head.starts_with(b"PK\x03\x04")
}

impl Npz {
    /// Reads the archive's table of contents.
    ///
    /// # Errors
    /// [`DataError::Format`] where it is damaged or cut short, or holds an array twice.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let format = "npz";
        let entries = zip::entries(path).map_err(|reason| Faults { path, format }.of(reason))?;
        let named = |entry: zip::Entry| {
            let name = entry.name.strip_suffix(".npy").unwrap_or(&entry.name);
            (name.to_string(), entry)
        };
        let entries: Vec<_> = entries.into_iter().map(named).collect();
        let mut names: Vec<String> = entries.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("key `{}`: it is there twice", twice[0]);
            return Err(Faults { path, format }.of(reason));
        }
        Ok(Self {
            path: path.to_path_buf(),
            entries,
            names,
        })
    }

    /// Returns whether there is an array of that name.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.names.iter().any(|name| name == key)
    }

    /// Returns the array under `key`, `None` where it is absent.
    ///
    /// # Errors
    /// [`DataError::Format`] where it holds no numbers or its header is damaged.
    pub(super) fn column(&self, key: &str) -> Result<Option<Column>, DataError> {
        let Some((_, entry)) = self.entries.iter().find(|(name, _)| name == key) else {
            return Ok(None);
        };
        let npy = Npy::of(entry).map_err(|reason| npz_fault(&self.path, key, &reason))?;
        Ok(Some(Column::npy(&self.path, key, npy)))
    }

    /// Returns the text under `key`, `None` where it is absent or no text.
    ///
    /// # Errors
    /// [`DataError::Format`] where its header or its bytes are damaged.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, DataError> {
        let Some((_, entry)) = self.entries.iter().find(|(name, _)| name == key) else {
            return Ok(None);
        };
        Npy::text(entry).map_err(|reason| npz_fault(&self.path, key, &reason))
    }

    /// Returns the array under `key`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] where it is absent, else as [`Npz::column`].
    pub(super) fn required(&self, key: &str) -> Result<Column, DataError> {
        self.column(key)?.ok_or_else(|| self.missing(key))
    }

    /// Returns the array under `key`, or `None` where nothing of that or a very similar name is there.
    ///
    /// # Errors
    /// As [`Npz::required`].
    pub(super) fn optional(&self, key: &str) -> Result<Option<Column>, DataError> {
        let near = |name: &String| strsim::levenshtein(name, key) <= 2;
        if !self.holds(key) && self.names.iter().any(near) {
            return Err(self.missing(key));
        }
        self.column(key)
    }

    fn missing(&self, key: &str) -> DataError {
        DataError::MissingKey {
            path: self.path.clone(),
            key: key.to_string(),
            present: self.names.clone(),
            nearest: nearest(key, &self.names),
        }
    }

    /// Returns the bounds of actions that the arrays `action_low` and `action_high`, or `action_bound`, state.
    ///
    /// # Errors
    /// [`DataError::WrongShape`] where they are not finite, not ordered or not one per entry.
    pub(super) fn action_bounds(
        &self,
        action_dim: usize,
    ) -> Result<Option<ActionBounds>, DataError> {
        let numbers = |key: &str| -> Result<Option<Vec<f64>>, DataError> {
            let column = self.column(key)?;
            let values = column.map(|column| column.values()).transpose()?;
            Ok(values.map(|values| values.into_iter().map(f64::from).collect()))
        };
        let (key, low, high) = match (numbers("action_low")?, numbers("action_high")?) {
            (Some(low), Some(high)) => ("action_low", low, high),
            _ => match numbers("action_bound")? {
                Some(high) => (
                    "action_bound",
                    high.iter().map(|bound| -bound).collect(),
                    high,
                ),
                None => return Ok(None),
            },
        };
        bounds(&self.path, key, low, high, action_dim).map(Some)
    }
}
