//! What a file is, told from its first bytes.

use std::io::Read;
use std::path::Path;

use super::error::DataError;

/// Bytes at the start of a file that tell what it is.
const HEAD: u64 = 512;

/// Returns the length of the file in bytes, or says what it is if it is not HDF5.
pub(super) fn length_of_hdf5(path: &Path) -> Result<u64, DataError> {
    let head = head_of(path)?;
    let read_error = |source| DataError::io(path, "read", source);
    // A user block of 512 · 2^k bytes may precede the signature; the library searches for it.
    if !path.is_dir() && hdf5_pure::is_hdf5(path).map_err(read_error)? {
        return Ok(std::fs::metadata(path).map_err(read_error)?.len());
    }
    let (found, hint) = looks_like(path, &head);
    Err(DataError::NotHdf5 {
        path: path.to_path_buf(),
        found,
        hint,
    })
}

/// Returns the first bytes of a file; none of a folder.
pub(super) fn head_of(path: &Path) -> Result<Vec<u8>, DataError> {
    let file = std::fs::File::open(path).map_err(|source| DataError::io(path, "open", source))?;
    let mut head = Vec::new();
    if !path.is_dir() {
        file.take(HEAD)
            .read_to_end(&mut head)
            .map_err(|source| DataError::io(path, "read", source))?;
    }
    Ok(head)
}

/// Names the format of a file from its first bytes, and how to get from it to HDF5.
pub(super) fn looks_like(path: &Path, head: &[u8]) -> (&'static str, &'static str) {
    const CONVERT: &str = " Hint: docs/data.md shows how to write its arrays with h5py.";
    const DOWNLOAD: &str = " Hint: the download went wrong; fetch the file itself.";
    let text = head.trim_ascii_start();
    let starts = |magic: &[u8]| head.starts_with(magic);
    match head {
        _ if path.is_dir() => ("a folder", " Hint: name the .hdf5 file inside it."),
        [] => ("an empty file", DOWNLOAD),
        _ if starts(b"PK\x03\x04") => ("a zip archive (perhaps a NumPy .npz)", CONVERT),
        _ if starts(b"\x93NUMPY") => ("a NumPy .npy array", CONVERT),
        _ if starts(b"\x1f\x8b") => ("a gzip archive", " Hint: unpack it with gunzip."),
        _ if starts(b"\x28\xb5\x2f\xfd") => ("a zstd archive", " Hint: unpack it with unzstd."),
        _ if starts(b"PAR1") => ("a Parquet table", CONVERT),
        _ if starts(b"\x80\x04") || starts(b"\x80\x03") => ("a Python pickle", CONVERT),
        _ if starts(b"version https://git-lfs") => (
            "a Git LFS pointer",
            " Hint: `git lfs pull` fetches the file.",
        ),
        _ if text.starts_with(b"<") => ("an HTML or XML page", DOWNLOAD),
        _ if text.starts_with(b"{") || text.starts_with(b"[") => ("JSON text", CONVERT),
        _ if head.is_ascii() => ("text", CONVERT),
        _ => (
            "bytes of an unknown format",
            " Hint: `file NAME` may tell what it is.",
        ),
    }
}
