//! One array of a file that holds arrays: HDF5, or npz.

use std::path::{Path, PathBuf};

use hdf5_pure::{ChunkIndex, DType, Dataset, Error, Layout};
use rayon::prelude::*;

use super::error::DataError;
use super::explain::explain;
use super::faults::Faults;
use super::npy::Npy;
use super::scratch::Floats;

/// Deflate cannot expand by more than 1032; a header that claims more than this is damaged.
const LARGEST_EXPANSION: u64 = 1100;
/// Always allowed, however small the file: unfiltered fill values take no room on disk.
const ALWAYS_ALLOWED_BYTES: u64 = 1 << 26;
/// Values decoded by one task: large enough to hide the cost of a task, small enough to share out.
const VALUES_PER_TASK: u64 = 1 << 17;

/// One array of the file, its shape known and its storage found complete, its values not yet read.
pub(super) struct Column {
    path: PathBuf,
    key: String,
    stored: Stored,
    shape: Vec<u64>,
    /// The other file that holds the array, where a link led there.
    pub(super) linked_file: Option<PathBuf>,
}

enum Stored {
    Hdf5(Dataset),
    Npy(Npy),
}

impl Column {
    /// An array of an npz archive; its type was checked when its header was read.
    pub(super) fn npy(path: &Path, key: &str, npy: Npy) -> Self {
        Self {
            path: path.to_path_buf(),
            key: key.to_string(),
            shape: npy.shape.clone(),
            stored: Stored::Npy(npy),
            linked_file: None,
        }
    }

    /// Checks the type, size and storage of an array of HDF5; its values are not read yet.
    pub(super) fn new(
        path: &Path,
        key: &str,
        dataset: Dataset,
        file_length: u64,
    ) -> Result<Self, DataError> {
        let shape = dataset
            .shape()
            .map_err(|error| explain(path, key, &error))?;
        let checks = Checks {
            path,
            key,
            dataset: &dataset,
            shape: &shape,
        };
        checks.kind()?;
        checks.size(file_length)?;
        checks.complete()?;
        Ok(Self {
            path: path.to_path_buf(),
            key: key.to_string(),
            stored: Stored::Hdf5(dataset),
            shape,
            linked_file: None,
        })
    }

    /// The name of the array in its file.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The length of each dimension.
    pub(super) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of rows, and of values in each; a number alone is one row.
    pub(super) fn dim(&self) -> (usize, usize) {
        let whole = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let rest = self.shape.iter().skip(1);
        let width = rest.fold(1_u64, |product, &size| product.saturating_mul(size));
        (
            whole(self.shape.first().copied().unwrap_or(1)),
            whole(width),
        )
    }

    /// Returns whether the values are stored as whole numbers.
    pub(super) fn is_whole(&self) -> bool {
        match &self.stored {
            Stored::Npy(npy) => npy.is_whole(),
            Stored::Hdf5(dataset) => !matches!(dataset.dtype(), Ok(DType::F32 | DType::F64)),
        }
    }

    /// Returns all values, row-major, converted to f32.
    pub(super) fn values(&self) -> Result<Vec<f32>, DataError> {
        let (rows, width) = self.dim();
        let mut values = zeros(&self.path, &self.key, rows, width)?;
        self.read_into(&mut values)?;
        Ok(values)
    }

    /// Returns all values as [`Self::values`] does, where arrays as large as this one lie: see [`Floats::zeros`].
    pub(super) fn floats(&self, in_memory: usize) -> Result<Floats, DataError> {
        let (rows, width) = self.dim();
        let mut values = floats(&self.path, &self.key, rows, width, in_memory)?;
        self.read_into(&mut values)?;
        Ok(values)
    }

    /// Returns all values as flags.
    ///
    /// # Errors
    /// [`DataError::NotAFlag`] for numbers other than 0 and 1.
    pub(super) fn flags(&self) -> Result<Vec<bool>, DataError> {
        let values = self.values()?;
        match (values.iter()).position(|&value| value != 0.0 && value != 1.0) {
            None => Ok(values.into_iter().map(|value| value != 0.0).collect()),
            Some(row) => Err(DataError::NotAFlag {
                path: self.path.clone(),
                key: self.key.clone(),
                row,
                value: values[row],
            }),
        }
    }

    /// Decodes all values, row-major, converted to f32, into `values`; those of HDF5 on all threads.
    ///
    /// # Panics
    /// If `values` is not exactly as long as the array has elements.
    pub(super) fn read_into(&self, values: &mut [f32]) -> Result<(), DataError> {
        let (rows, width) = self.dim();
        assert_eq!(
            values.len(),
            rows * width,
            "one slot per value of `{}`",
            self.key
        );
        match &self.stored {
            Stored::Npy(npy) => npy
                .read_into(values)
                .map_err(|reason| npz_fault(&self.path, &self.key, &reason)),
            Stored::Hdf5(dataset) => self.decode(dataset, width, values),
        }
    }

    fn decode(&self, dataset: &Dataset, width: usize, values: &mut [f32]) -> Result<(), DataError> {
        let rows_per_task = self.rows_per_task(dataset, width as u64);
        values
            .par_chunks_mut((rows_per_task * width).max(1))
            .enumerate()
            .try_for_each(|(task, block)| {
                let first = (task * rows_per_task) as u64;
                let decoded = dataset
                    .read_f32_rows(first, (block.len() / width) as u64)
                    .map_err(|error| explain(&self.path, &self.key, &error))?;
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
    fn rows_per_task(&self, dataset: &Dataset, width: u64) -> usize {
        let band = match dataset.chunk_shape() {
            Ok(Some(chunk)) => chunk.first().copied().unwrap_or(1).max(1),
            _ => 1,
        };
        let wanted = (VALUES_PER_TASK / width.max(1)).max(1);
        let rows = self.shape.first().copied().unwrap_or(1).max(1);
        usize::try_from((wanted.div_ceil(band).saturating_mul(band)).min(rows)).unwrap_or(1)
    }

    fn damaged(&self, reason: String) -> DataError {
        damaged(&self.path, &self.key, reason)
    }
}

/// Returns the error that an array of an npz archive cannot be read.
pub(super) fn npz_fault(path: &Path, key: &str, reason: &str) -> DataError {
    let format = "npz";
    Faults { path, format }.of(format!("key `{key}`: {reason}"))
}

fn damaged(path: &Path, key: &str, reason: String) -> DataError {
    DataError::Damaged {
        path: path.to_path_buf(),
        key: key.to_string(),
        reason,
    }
}

/// Returns `rows` rows of zeros, or why the memory cannot be had.
pub(super) fn zeros(
    path: &Path,
    key: &str,
    rows: usize,
    width: usize,
) -> Result<Vec<f32>, DataError> {
    let too_large = || DataError::OutOfMemory {
        path: path.to_path_buf(),
        key: key.to_string(),
        wanted: (rows as u64).saturating_mul(width as u64).saturating_mul(4),
    };
    let values = rows.checked_mul(width).ok_or_else(too_large)?;
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(values).map_err(|_| too_large())?;
    zeros.resize(values, 0.0);
    Ok(zeros)
}

/// Returns `rows` rows of zeros for a key of a file, in a scratch file from `in_memory` bytes on, or why there is no room for them.
pub(super) fn floats(
    path: &Path,
    key: &str,
    rows: usize,
    width: usize,
    in_memory: usize,
) -> Result<Floats, DataError> {
    let out_of_memory = || DataError::OutOfMemory {
        path: path.to_path_buf(),
        key: key.to_string(),
        wanted: (rows as u64).saturating_mul(width as u64).saturating_mul(4),
    };
    let values = rows.checked_mul(width).ok_or_else(out_of_memory)?;
    Floats::zeros(values, in_memory).map_err(|error| match error.kind() {
        std::io::ErrorKind::OutOfMemory => out_of_memory(),
        _ => DataError::io(path, "read into a scratch file", error),
    })
}

/// An array of HDF5 that is looked at before anything of it is decoded.
struct Checks<'a> {
    path: &'a Path,
    key: &'a str,
    dataset: &'a Dataset,
    shape: &'a [u64],
}

impl Checks<'_> {
    fn kind(&self) -> Result<(), DataError> {
        let found = self.dataset.dtype().map_err(|error| self.explain(&error))?;
        match found {
            DType::F32 | DType::F64 | DType::Enum(_) => Ok(()),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => Ok(()),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Ok(()),
            other => Err(DataError::WrongType {
                path: self.path.to_path_buf(),
                key: self.key.to_string(),
                expected: "numbers (f32, f64, an integer type) or bool",
                found: other.to_string(),
            }),
        }
    }

    fn size(&self, file_length: u64) -> Result<(), DataError> {
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
        let wanted = bytes(self.shape).max(chunk.as_deref().map_or(0, bytes));
        let allowed = file_length
            .saturating_mul(LARGEST_EXPANSION)
            .max(ALWAYS_ALLOWED_BYTES);
        if wanted > allowed {
            return Err(DataError::TooLarge {
                path: self.path.to_path_buf(),
                key: self.key.to_string(),
                wanted,
                allowed,
            });
        }
        Ok(())
    }

    /// A chunk that is not in the file would read as zeros; that is data lost, not data.
    fn complete(&self) -> Result<(), DataError> {
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
        explain(self.path, self.key, error)
    }

    fn damaged(&self, reason: String) -> DataError {
        damaged(self.path, self.key, reason)
    }
}

/// Copies rows of `width` numbers to the columns from `at` on of rows of `stride` numbers, as many as there are.
pub(super) fn spread(values: &[f32], width: usize, at: usize, to: &mut [f32], stride: usize) {
    for (row, values) in to
        .chunks_exact_mut(stride)
        .zip(values.chunks_exact(width.max(1)))
    {
        row[at..at + width].copy_from_slice(values);
    }
}
