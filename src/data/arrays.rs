//! All arrays of a NumPy npz archive, for readers of other things than data sets.

use std::fs::File;
use std::path::Path;

use super::error::DataError;
use super::faults::Faults;
use super::npz::Npz;

/// Values of an array at most: more is no weight of a small network, but damage.
const LARGEST: u64 = 1 << 26;

/// One array of an archive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Array {
    /// Its shape, and its values row-major.
    Numbers(Vec<usize>, Vec<f32>),
    /// A single string.
    Text(String),
}

/// Returns the arrays of an archive by name, numbers converted to f32.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`] from the disk, [`DataError::Format`] for an archive or array that is damaged, of
/// another type, far too large, or there twice.
pub(crate) fn npz_arrays(path: &Path) -> Result<Vec<(String, Array)>, DataError> {
    File::open(path).map_err(|source| DataError::io(path, "open", source))?;
    let format = "npz";
    let npz = Npz::open(path)?;
    let array = |key: &String| {
        if let Some(text) = npz.text(key)? {
            return Ok((key.clone(), Array::Text(text)));
        }
        let column = npz.required(key)?;
        let sizes = column.shape();
        let values = sizes
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size));
        if values.is_none_or(|values| values > LARGEST) {
            let reason = format!("key `{key}`: expected at most {LARGEST} values, found {sizes:?}");
            return Err(Faults { path, format }.of(reason));
        }
        let shape = sizes.iter().map(|&size| size as usize).collect();
        Ok((key.clone(), Array::Numbers(shape, column.values()?)))
    };
    npz.names.iter().map(array).collect()
}
