//! A file that holds one array per quantity: HDF5, or npz.

use std::path::Path;

use super::column::Column;
use super::error::DataError;
use super::file::DataFile;
use super::npz::{Npz, is_npz};
use super::signature::head_of;
use super::units::ActionBounds;

/// An open file of arrays.
pub(super) enum Container {
    Hdf5(DataFile),
    Npz(Npz),
}

impl Container {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        if is_npz(path, &head_of(path)?) {
            return Npz::open(path).map(Self::Npz);
        }
        DataFile::open(path).map(Self::Hdf5)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Hdf5(file) => &file.path,
            Self::Npz(npz) => &npz.path,
        }
    }

    /// Returns the array under `key`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] where it is absent, and what is wrong with it.
    pub(super) fn required(&self, key: &str) -> Result<Column, DataError> {
        match self {
            Self::Hdf5(file) => file.required(key),
            Self::Npz(npz) => npz.required(key),
        }
    }

    /// Returns the array under `key`, or `None` where nothing of that or a very similar name is there.
    ///
    /// # Errors
    /// As [`Container::required`].
    pub(super) fn optional(&self, key: &str) -> Result<Option<Column>, DataError> {
        match self {
            Self::Hdf5(file) => file.optional(key),
            Self::Npz(npz) => npz.optional(key),
        }
    }

    /// Returns the names for a message, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Hdf5(file) => file.names(),
            Self::Npz(npz) => npz.names.clone(),
        }
    }

    /// Returns the names as they are stored.
    pub(super) fn keys(&self) -> Vec<String> {
        match self {
            Self::Hdf5(file) => file.keys().map(str::to_string).collect(),
            Self::Npz(npz) => npz.names.clone(),
        }
    }

    /// Returns what the file says of itself, as the environment's name.
    pub(super) fn texts(&self) -> Result<Vec<(String, String)>, DataError> {
        match self {
            Self::Hdf5(file) => file.texts(),
            Self::Npz(_) => Ok(Vec::new()),
        }
    }

    /// Returns the bounds of the actions that the file states.
    ///
    /// # Errors
    /// [`DataError::WrongShape`] where they are not finite, not ordered or not one per entry.
    pub(super) fn action_bounds(
        &self,
        action_dim: usize,
    ) -> Result<Option<ActionBounds>, DataError> {
        match self {
            Self::Hdf5(file) => file.action_bounds(action_dim),
            Self::Npz(npz) => npz.action_bounds(action_dim),
        }
    }
}
