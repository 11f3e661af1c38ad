//! One HDF5 file as named columns; only here, in `column`, `attributes` and the writers the HDF5 library is seen.
//!
//! Everything a damaged header could inflate (dimensions, number of chunks) is checked against
//! the size of the file before memory is asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hdf5_pure::{ChunkCacheConfig, Dataset, Error, File, FileAccessProperties, FormatError, Group};

use super::column::Column;
use super::error::DataError;
use super::explain::explain;
use super::hints::nearest;
use super::link::{Link, Target};
use super::links;
use super::signature::length_of_hdf5;

/// Links that lead to links that lead to links; more than this goes round in circles.
const MOST_LINKS: usize = 8;

/// An open HDF5 file.
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    length: u64,
    links: Vec<Link>,
}

impl DataFile {
    /// Opens the file and checks that it is HDF5 and not cut short.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let length = length_of_hdf5(path)?;
        // No chunk is read twice, so a cache would only copy.
        let properties = FileAccessProperties::new().with_chunk_cache(ChunkCacheConfig::disabled());
        let file = File::open_streaming_with_options(path, properties)
            .map_err(|error| explain(path, "", &error))?;
        let superblock = file.superblock();
        let expected = superblock.eof_address;
        if expected > length {
            return Err(DataError::Truncated {
                path: path.to_path_buf(),
                expected,
                found: length,
            });
        }
        let links = links::list(path, superblock).map_err(|reason| DataError::Damaged {
            path: path.to_path_buf(),
            key: String::new(),
            reason: format!("the names at its top cannot be listed: {reason}"),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            length,
            links,
        })
    }

    /// Returns the array under `key`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] where it is absent, and whatever [`DataFile::optional`] finds.
    pub(super) fn required(&self, key: &str) -> Result<Column, DataError> {
        match self.lookup(key, key, 0)? {
            Some(column) => Ok(column),
            None => Err(self.missing(key)),
        }
    }

    /// Returns the array under `key`, or `None` where nothing of that or a very similar name is
    /// there: a misspelt `next_observations` must not pass for a file without them.
    ///
    /// # Errors
    /// [`DataError::Link`] for a link that cannot be followed, and what is wrong with the array.
    pub(super) fn optional(&self, key: &str) -> Result<Option<Column>, DataError> {
        let column = self.lookup(key, key, 0)?;
        let near = |link: &Link| strsim::levenshtein(&link.name, key) <= 2;
        if column.is_none() && self.links.iter().any(near) {
            return Err(self.missing(key));
        }
        Ok(column)
    }

    /// Returns whether there is something of that name at the top of the file.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.links.iter().any(|link| link.name == key)
    }

    /// Returns the error that `key` is not there.
    pub(super) fn missing(&self, key: &str) -> DataError {
        let present = self.names();
        DataError::MissingKey {
            path: self.path.clone(),
            key: key.to_string(),
            nearest: nearest(key, &present),
            present,
        }
    }

    /// Returns the groups at the top of the file by name, found in one pass: looking each up by its path passes all names every
    /// time, which takes long in a file of thousands of episodes.
    ///
    /// # Errors
    /// [`DataError::Damaged`] where one cannot be opened.
    pub(super) fn groups(&self) -> Result<HashMap<String, Group>, DataError> {
        let groups = self.file.root().iter_groups();
        Ok(groups
            .map_err(|error| explain(&self.path, "", &error))?
            .collect())
    }

    /// Returns the arrays at the top of the file by name, found in one pass.
    ///
    /// # Errors
    /// [`DataError::Damaged`] where one cannot be opened.
    pub(super) fn arrays(&self) -> Result<HashMap<String, Dataset>, DataError> {
        let arrays = self.file.root().iter_datasets();
        Ok(arrays
            .map_err(|error| explain(&self.path, "", &error))?
            .collect())
    }

    /// Returns an array that [`arrays`](Self::arrays) found, checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn column(&self, key: &str, array: Dataset) -> Result<Column, DataError> {
        Column::new(&self.path, key, array, self.length)
    }

    /// Returns the array at a place below a group, `None` where nothing is there; `name` is the group's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn below(
        &self,
        name: &str,
        group: &Group,
        place: &str,
    ) -> Result<Option<Column>, DataError> {
        self.checked(&format!("{name}/{place}"), group.dataset(place))
    }

    /// Follows the links from the name `at`; `key` is the name that was asked for first.
    fn lookup(&self, key: &str, at: &str, followed: usize) -> Result<Option<Column>, DataError> {
        let Some(link) = self.links.iter().find(|link| link.name == at) else {
            return Ok(None);
        };
        let refused = |target: String, reason: &str| DataError::Link {
            path: self.path.clone(),
            key: key.to_string(),
            target,
            reason: reason.to_string(),
        };
        let column = match &link.target {
            Target::Hard => return self.object(key, at),
            _ if followed == MOST_LINKS => {
                return Err(refused(at.to_string(), "it leads round in circles"));
            }
            Target::Soft(path) => self
                .path_below(key, path, followed)?
                .ok_or_else(|| refused(format!("`{path}`"), "there is nothing in this file"))?,
            Target::External { file, object } => {
                let target = format!("`{object}` in the file {file}");
                if Path::new(file).components().count() != 1
                    || Path::new(file).file_name().is_none()
                {
                    return Err(refused(target, "only files in the same folder are opened"));
                }
                let path = self.path.with_file_name(file);
                let other = Self::open(&path)
                    .map_err(|error| refused(target.clone(), &error.to_string()))?;
                let mut column = other
                    .path_below(key, object, followed)?
                    .ok_or_else(|| refused(target, "there is nothing in that file"))?;
                column.linked_file.get_or_insert(path);
                column
            }
            Target::Other(kind) => {
                let target = format!("something that only its writer knows (kind {kind})");
                return Err(refused(target, "this kind of link is not understood"));
            }
        };
        Ok(Some(column))
    }

    /// Returns the array at a link's path, which counts from the top of the file.
    fn path_below(
        &self,
        key: &str,
        path: &str,
        followed: usize,
    ) -> Result<Option<Column>, DataError> {
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        match parts[..] {
            [name] => self.lookup(key, name, followed + 1),
            _ => self.object(key, path),
        }
    }

    fn object(&self, key: &str, path: &str) -> Result<Option<Column>, DataError> {
        self.checked(key, self.file.dataset(path))
    }

    fn checked(
        &self,
        key: &str,
        found: Result<Dataset, Error>,
    ) -> Result<Option<Column>, DataError> {
        match found {
            Ok(dataset) => Column::new(&self.path, key, dataset, self.length).map(Some),
            Err(Error::Format(FormatError::PathNotFound(_))) => Ok(None),
            Err(Error::NotADataset(_)) => Err(DataError::WrongType {
                path: self.path.clone(),
                key: key.to_string(),
                expected: "an array (D4RL's layout, one array for all episodes)",
                found: "a group".to_string(),
            }),
            Err(error) => Err(explain(&self.path, key, &error)),
        }
    }

    /// Returns the names at the top of the file, groups with a slash and links with where they lead, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let describe = |link: &Link| match &link.target {
            Target::Hard => match self.file.dataset(&link.name) {
                Err(Error::NotADataset(_)) => format!("{}/", link.name),
                _ => link.name.clone(),
            },
            Target::Soft(path) => format!("{} → {path}", link.name),
            Target::External { file, object } => format!("{} → {file}:{object}", link.name),
            Target::Other(_) => format!("{} → ?", link.name),
        };
        let mut names: Vec<String> = self.links.iter().map(describe).collect();
        names.sort();
        names
    }

    /// Returns the names of the arrays and links at the top of the file, as they are stored.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.name.as_str())
    }
}
