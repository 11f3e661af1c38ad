//! One array of an HDF5 file.

use std::path::{Path, PathBuf};

use hdf5_pure::{ChunkIndex, DType, Dataset, Error, Layout};
use rayon::prelude::*;

use super::error::DataError;
use super::explain::explain;

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
    dataset: Dataset,
    shape: Vec<u64>,
    /// The other file that holds the array, where a link led there.
    pub(super) linked_file: Option<PathBuf>,
}

impl Column {
    /// Checks the array's type, size and storage; its values are not read yet.
    pub(super) fn new(
        path: &Path,
        key: &str,
        dataset: Dataset,
        file_length: u64,
    ) -> Result<Self, DataError> {
        let shape = dataset
            .shape()
            .map_err(|error| explain(path, key, &error))?;
        let column = Self {
            path: path.to_path_buf(),
            key: key.to_string(),
            dataset,
            shape,
            linked_file: None,
        };
        column.check_type()?;
        column.check_size(file_length)?;
        column.check_complete()?;
        Ok(column)
    }

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
