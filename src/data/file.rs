//! One HDF5 file as named columns: the only place that sees the HDF5 library.
//!
//! Everything a damaged header could inflate (dimensions, number of chunks) is checked against
//! the size of the file before memory is asked for.

use std::path::{Path, PathBuf};

use hdf5_pure::{
    AttrValue, ChunkCacheConfig, ChunkIndex, DType, Dataset, Error, File, FileAccessProperties,
    FormatError, Layout,
};
use rayon::prelude::*;

use super::error::{DataError, nearest};
use super::signature::inspect;

/// Deflate cannot expand by more than 1032; a header that claims more than this is damaged.
const LARGEST_EXPANSION: u64 = 1100;
/// Always allowed, however small the file: unfiltered fill values take no room on disk.
const ALWAYS_ALLOWED_BYTES: u64 = 1 << 26;
/// Values decoded by one task: large enough to hide the cost of a task, small enough to share out.
const VALUES_PER_TASK: u64 = 1 << 17;

/// An open HDF5 file.
pub(super) struct DataFile {
    path: PathBuf,
    file: File,
    length: u64,
}

/// One array of the file, its shape known and its storage found complete, its values not yet read.
pub(super) struct Column {
    path: PathBuf,
    key: String,
    dataset: Dataset,
    shape: Vec<u64>,
}

impl DataFile {
    /// Opens the file and checks that it is HDF5 and not cut short.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let length = inspect(path)?;
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
        Ok(Self {
            path: path.to_path_buf(),
            file,
            length,
        })
    }

    /// Returns the array under `key`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] where it is absent, and whatever [`DataFile::optional`] finds.
    pub(super) fn required(&self, key: &str) -> Result<Column, DataError> {
        match self.lookup(key)? {
            Some(dataset) => self.column(key, dataset),
            None => Err(self.missing(key, self.names())),
        }
    }

    /// Returns the array under `key`, or `None` where nothing of that or a very similar name is
    /// there: a misspelt `timeouts` must not pass for a file without timeouts.
    pub(super) fn optional(&self, key: &str) -> Result<Option<Column>, DataError> {
        if let Some(dataset) = self.lookup(key)? {
            return self.column(key, dataset).map(Some);
        }
        let names = self.names();
        if names.iter().any(|name| strsim::levenshtein(name, key) <= 2) {
            return Err(self.missing(key, names));
        }
        Ok(None)
    }

    fn lookup(&self, key: &str) -> Result<Option<Dataset>, DataError> {
        match self.file.dataset(key) {
            Ok(dataset) => Ok(Some(dataset)),
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

    fn missing(&self, key: &str, present: Vec<String>) -> DataError {
        let nearest = nearest(key, &present);
        DataError::MissingKey {
            path: self.path.clone(),
            key: key.to_string(),
            present,
            nearest,
        }
    }

    /// The names at the top of the file, groups with a slash; as many as can be read.
    fn names(&self) -> Vec<String> {
        let root = self.file.root();
        let mut names = root.datasets().unwrap_or_default();
        names.extend(
            root.groups()
                .unwrap_or_default()
                .into_iter()
                .map(|name| name + "/"),
        );
        names.sort();
        names
    }

    fn column(&self, key: &str, dataset: Dataset) -> Result<Column, DataError> {
        let shape = dataset
            .shape()
            .map_err(|error| explain(&self.path, key, &error))?;
        let column = Column {
            path: self.path.clone(),
            key: key.to_string(),
            dataset,
            shape,
        };
        column.check_type()?;
        column.check_size(self.length)?;
        column.check_complete()?;
        Ok(column)
    }
}

impl Column {
    /// The name of the array in its file.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The length of each dimension.
    pub(super) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Decodes all values, row-major, converted to f32, into `values`, on all threads.
    ///
    /// # Panics
    /// If `values` is not exactly as long as the array has elements.
    pub(super) fn read_into(&self, values: &mut [f32]) -> Result<(), DataError> {
        let rows = self.shape.first().copied().unwrap_or(1);
        let width =
            usize::try_from(self.shape.iter().skip(1).product::<u64>()).unwrap_or(usize::MAX);
        assert_eq!(
            values.len() as u64,
            rows * width as u64,
            "one slot per value of `{}`",
            self.key
        );
        let rows_per_task = self.rows_per_task(width as u64);
        values
            .par_chunks_mut((rows_per_task * width).max(1))
            .enumerate()
            .try_for_each(|(task, block)| {
                let first = (task * rows_per_task) as u64;
                let decoded = self
                    .dataset
                    .read_f32_rows(first, (block.len() / width) as u64)
                    .map_err(|error| self.explain(&error))?;
                if decoded.len() != block.len() {
                    return Err(self.damaged(format!(
                        "rows from {first} on hold {} values, expected {}",
                        decoded.len(),
                        block.len()
                    )));
                }
                block.copy_from_slice(&decoded);
                Ok(())
            })
    }

    /// Whole bands of chunks, so that no chunk is decompressed by two tasks.
    fn rows_per_task(&self, width: u64) -> usize {
        let band = match self.dataset.chunk_shape() {
            Ok(Some(chunk)) => chunk.first().copied().unwrap_or(1).max(1),
            _ => 1,
        };
        let wanted = (VALUES_PER_TASK / width.max(1)).max(1);
        let rows = self.shape.first().copied().unwrap_or(1).max(1);
        usize::try_from((wanted.div_ceil(band).saturating_mul(band)).min(rows)).unwrap_or(1)
    }

    fn check_type(&self) -> Result<(), DataError> {
        let found = self.dataset.dtype().map_err(|error| self.explain(&error))?;
        match found {
            DType::F32 | DType::F64 | DType::Enum(_) => Ok(()),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => Ok(()),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Ok(()),
            other => Err(DataError::WrongType {
                path: self.path.clone(),
                key: self.key.clone(),
                expected: "numbers (f32, f64, an integer type) or bool",
                found: other.to_string(),
            }),
        }
    }

    fn check_size(&self, file_length: u64) -> Result<(), DataError> {
        let element = self
            .dataset
            .element_size()
            .map_err(|error| self.explain(&error))?;
        let chunk = self
            .dataset
            .chunk_shape()
            .map_err(|error| self.explain(&error))?;
        // The wider of the stored type and the f32 it becomes.
        let bytes = |shape: &[u64]| {
            shape.iter().fold(element.max(4), |product, &size| {
                product.saturating_mul(size)
            })
        };
        let wanted = bytes(&self.shape).max(chunk.as_deref().map_or(0, bytes));
        let allowed = file_length
            .saturating_mul(LARGEST_EXPANSION)
            .max(ALWAYS_ALLOWED_BYTES);
        if wanted > allowed {
            return Err(DataError::TooLarge {
                path: self.path.clone(),
                key: self.key.clone(),
                wanted,
                allowed,
            });
        }
        Ok(())
    }

    /// A chunk that is not in the file would read as zeros; that is data lost, not data.
    fn check_complete(&self) -> Result<(), DataError> {
        let (chunk_shape, index) = match self
            .dataset
            .layout()
            .map_err(|error| self.explain(&error))?
        {
            Layout::Chunked { chunk_shape, index } => (chunk_shape, index),
            Layout::Contiguous {
                address: None,
                size,
            } if size > 0 => {
                return Err(self.damaged("its values were never written".to_string()));
            }
            Layout::Virtual => {
                return Err(self.damaged("virtual datasets are not supported".to_string()));
            }
            _ => return Ok(()),
        };
        // The library reads this rare index but cannot list it.
        if index == ChunkIndex::BTreeV2 {
            return Ok(());
        }
        let expected = self
            .shape
            .iter()
            .zip(&chunk_shape)
            .try_fold(1_u64, |product, (&size, &chunk)| {
                product.checked_mul(size.div_ceil(chunk.max(1)))
            });
        let found = self
            .dataset
            .chunks()
            .map_err(|error| self.explain(&error))?
            .len() as u64;
        if expected != Some(found) {
            return Err(self.damaged(format!(
                "expected {} chunks, found {found}; the others were never written, or are lost",
                expected.unwrap_or(u64::MAX)
            )));
        }
        Ok(())
    }

    fn explain(&self, error: &Error) -> DataError {
        explain(&self.path, &self.key, error)
    }

    fn damaged(&self, reason: String) -> DataError {
        DataError::Damaged {
            path: self.path.clone(),
            key: self.key.clone(),
            reason,
        }
    }
}

/// Returns the text attributes at the top of a data file, sorted by name: what the recording
/// program said about environment, physics and recipe.
///
/// # Errors
/// Those of opening the file; attributes that are not one text each are left out.
pub fn read_attributes(path: &Path) -> Result<Vec<(String, String)>, DataError> {
    let file = DataFile::open(path)?;
    let attributes = file
        .file
        .root()
        .attrs()
        .map_err(|error| explain(path, "", &error))?;
    let text = |value: &AttrValue| value.as_str().map(str::to_string);
    let mut pairs: Vec<(String, String)> = attributes
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect();
    pairs.sort();
    Ok(pairs)
}

fn explain(path: &Path, key: &str, error: &Error) -> DataError {
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
