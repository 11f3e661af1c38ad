//! What a file is, told from its first bytes.

use std::io::Read;
use std::path::Path;

use super::error::DataError;

/// Returns the length of the file in bytes, or says what it is if it is not HDF5.
pub(super) fn inspect(path: &Path) -> Result<u64, DataError> {
    let mut file =
        std::fs::File::open(path).map_err(|source| DataError::io(path, "open", source))?;
    let metadata = file
        .metadata()
        .map_err(|source| DataError::io(path, "read", source))?;
    let mut head = [0_u8; 512];
    let mut filled = 0;
    if !metadata.is_dir() {
        while filled < head.len() {
            match file
                .read(&mut head[filled..])
                .map_err(|source| DataError::io(path, "read", source))?
            {
                0 => break,
                count => filled += count,
            }
        }
    }
    // A user block of 512 · 2^k bytes may precede the signature; the library searches for it.
    let signed = !metadata.is_dir()
        && hdf5_pure::is_hdf5(path).map_err(|source| DataError::io(path, "read", source))?;
    if signed {
        return Ok(metadata.len());
    }
    let (found, hint) = if metadata.is_dir() {
        ("a folder", " Hint: name the .hdf5 file inside it.")
    } else {
        looks_like(&head[..filled])
    };
    Err(DataError::NotHdf5 {
        path: path.to_path_buf(),
        found,
        hint,
    })
}

/// Names the format of a file from its first bytes, and how to get from it to HDF5.
fn looks_like(head: &[u8]) -> (&'static str, &'static str) {
    const CONVERT: &str = " Hint: docs/data.md shows how to write its arrays with h5py.";
    const DOWNLOAD: &str = " Hint: the download went wrong; fetch the file itself.";
    let text = head.trim_ascii_start();
    let starts = |magic: &[u8]| head.starts_with(magic);
    match head {
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
