//! Writing D4RL's layout, so that a file is either complete or not there.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tiltrl_tilt::checkpoint::temporary_beside;

use super::dataset::Dataset;
use super::error::DataError;
use super::hdf5_messages::{Attribute, Element};
use super::hdf5_writer::Hdf5Writer;
use super::matrix::Matrix;
use super::units::ActionBounds;

/// Writes `dataset` to a new file at `path`, in D4RL's layout: f32 numbers, h5py's bool flags,
/// everything chunked, shuffled and gzipped; `attributes` become text attributes of the file, and where
/// the actions' bounds are known the attribute `action_bound` = 1 says that −1 … 1 are shares of them.
///
/// The bytes go to a temporary file in the same folder, reach the disk (fsync), and only then get
/// their name; after an error neither file is left. The same data set gives the same bytes.
/// Memory: 32 chunks of 256 KiB, or of one row where that is longer.
///
/// # Errors
/// [`DataError::Exists`] if there is a file at `path` (nothing is overwritten);
/// [`DataError::NotFinite`] and [`DataError::WrongShape`] for a data set that could not be read
/// back; [`DataError::Empty`]; [`DataError::Io`] from the disk.
pub fn write(
    path: &Path,
    dataset: &Dataset,
    attributes: &[(String, String)],
) -> Result<(), DataError> {
    write_file(path, dataset, attributes, None)
}

/// Writes as [`write()`] does, but actions in the units of the file that they came from: the attributes `action_low` and
/// `action_high` state the bounds. Where those are not known, actions are written as they are.
///
/// # Errors
/// As [`write()`].
pub fn write_in_own_units(
    path: &Path,
    dataset: &Dataset,
    attributes: &[(String, String)],
) -> Result<(), DataError> {
    write_file(path, dataset, attributes, dataset.action_bounds.as_ref())
}

fn write_file(
    path: &Path,
    dataset: &Dataset,
    attributes: &[(String, String)],
    units: Option<&ActionBounds>,
) -> Result<(), DataError> {
    check(path, dataset)?;
    // Looked up before the work; the rename at the end makes sure.
    if path.symlink_metadata().is_ok() {
        return Err(DataError::Exists {
            path: path.to_path_buf(),
        });
    }
    create_whole(path, |file| fill(file, dataset, attributes, units))
}

pub(super) fn check(path: &Path, dataset: &Dataset) -> Result<(), DataError> {
    let rows = dataset.len();
    if rows == 0 {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    }
    let next = dataset.next_observations.as_ref();
    let width = dataset.observations.ncols();
    let shapes = [
        (
            "observations",
            dataset.observations.dim(),
            (rows, width.max(1)),
        ),
        (
            "actions",
            dataset.actions.dim(),
            (rows, dataset.actions.ncols().max(1)),
        ),
        (
            "next_observations",
            next.map_or((rows, width), Matrix::dim),
            (rows, width),
        ),
        ("terminals", (dataset.terminals.len(), 1), (rows, 1)),
        ("timeouts", (dataset.timeouts.len(), 1), (rows, 1)),
    ];
    for (key, found, expected) in shapes {
        if found != expected {
            return Err(DataError::WrongShape {
                path: path.to_path_buf(),
                key: key.to_string(),
                expected: format!("{expected:?}, one row per reward"),
                found: format!("{found:?}"),
                hint: "",
            });
        }
    }
    check_finite(path, "observations", width, dataset.observations.iter())?;
    check_finite(
        path,
        "actions",
        dataset.actions.ncols(),
        dataset.actions.iter(),
    )?;
    check_finite(path, "rewards", 1, dataset.rewards.iter())?;
    check_finite(path, "next_observations", width, next.into_iter().flatten())
}

fn check_finite<'a>(
    path: &Path,
    key: &str,
    width: usize,
    mut values: impl Iterator<Item = &'a f32>,
) -> Result<(), DataError> {
    let mut position = 0;
    let found = values.find(|value| {
        position += 1;
        !value.is_finite()
    });
    match found {
        None => Ok(()),
        Some(&value) => Err(DataError::NotFinite {
            path: path.to_path_buf(),
            key: key.to_string(),
            row: (position - 1) / width,
            column: (position - 1) % width,
            value,
        }),
    }
}

fn fill(
    file: &mut fs::File,
    dataset: &Dataset,
    attributes: &[(String, String)],
    units: Option<&ActionBounds>,
) -> io::Result<()> {
    let mut out = Hdf5Writer::new(file)?;
    let mut members = Vec::new();
    let mut matrix = |key: &str, matrix: &Matrix, units: Option<&ActionBounds>| {
        let (rows, width) = matrix.dim();
        let at = out.dataset(Element::Number, &[rows, width], &|rows| {
            numbers(
                &matrix.values()[rows.start * width..rows.end * width],
                units,
            )
        })?;
        members.push((key.to_string(), at));
        Ok::<_, io::Error>(())
    };
    matrix("observations", &dataset.observations, None)?;
    matrix("actions", &dataset.actions, units)?;
    if let Some(next) = &dataset.next_observations {
        matrix("next_observations", next, None)?;
    }
    let rewards = out.dataset(Element::Number, &[dataset.len()], &|rows| {
        numbers(&dataset.rewards[rows], None)
    })?;
    members.push(("rewards".into(), rewards));
    for (key, set) in [
        ("terminals", &dataset.terminals),
        ("timeouts", &dataset.timeouts),
    ] {
        let at = out.dataset(Element::Flag, &[set.len()], &|rows| flags(set, rows))?;
        members.push((key.to_string(), at));
    }
    let root = out.group(members, &stated(dataset, attributes, units))?;
    out.finish(root)
}

/// The attributes at the top of the file.
fn stated(
    dataset: &Dataset,
    attributes: &[(String, String)],
    units: Option<&ActionBounds>,
) -> Vec<(String, Attribute)> {
    let mut stated: Vec<_> = attributes
        .iter()
        .map(|(name, value)| (name.clone(), Attribute::Text(value.clone())))
        .collect();
    let wide = |values: &[f32]| Attribute::Numbers(values.iter().copied().map(f64::from).collect());
    if let Some(bounds) = units {
        stated.push(("action_low".into(), wide(&bounds.low)));
        stated.push(("action_high".into(), wide(&bounds.high)));
    } else if dataset.action_bounds.is_some() {
        stated.push(("action_bound".into(), Attribute::Number(1.0)));
    }
    stated
}

/// Returns the bytes of numbers; with `units`, of actions in the units of the file that they came from.
pub(super) fn numbers(values: &[f32], units: Option<&ActionBounds>) -> Vec<u8> {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    match units {
        Some(bounds) if !bounds.is_unit() => {
            let mut own = values.to_vec();
            bounds.from_unit(&mut own);
            bytes(&own)
        }
        _ => bytes(values),
    }
}

fn flags(set: &[bool], rows: Range<usize>) -> Vec<u8> {
    set[rows].iter().map(|&flag| u8::from(flag)).collect()
}

/// Removes a file when dropped; what it removes is never worth keeping.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may have its final name by now, or never have come to be; either is fine.
        let _ = fs::remove_file(&self.0);
    }
}

/// Creates a file at `path` with what `fill` writes, completely or not at all.
pub(super) fn create_whole(
    path: &Path,
    fill: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> Result<(), DataError> {
    if path.file_name().is_none() {
        let reason = io::Error::other("the path ends in no file name");
        return Err(DataError::io(path, "create a file", reason));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let part = temporary_beside(path)
        .map_err(|source| DataError::io(folder, "create a file in it", source))?;
    let (temporary, mut file) = (Temporary(part.path), part.file);
    fill(&mut file)
        .and_then(|()| file.flush())
        .and_then(|()| file.sync_all())
        .map_err(|source| DataError::io(path, "write", source))?;
    drop(file);
    publish(&temporary.0, path)?;
    // Makes the new name itself durable; some file systems cannot, and the file is complete anyway.
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Gives the finished file its name. A hard link, unlike a rename, fails where the name is taken.
fn publish(temporary: &Path, path: &Path) -> Result<(), DataError> {
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Err(DataError::Exists {
            path: path.to_path_buf(),
        }),
        // File systems without hard links.
        Err(_) if path.symlink_metadata().is_ok() => Err(DataError::Exists {
            path: path.to_path_buf(),
        }),
        Err(_) => fs::rename(temporary, path).map_err(|source| DataError::io(path, "name", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder is there");
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_full_disk_is_an_error_with_the_path_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("data.hdf5");
        let error = create_whole(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .expect_err("the disk is full");
        let message = error.to_string();
        assert!(
            message.contains("data.hdf5") && message.contains("disk is full"),
            "{message}"
        );
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_name_taken_while_the_file_was_written_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("data.hdf5");
        let error = create_whole(&path, |file| {
            fs::write(&path, b"theirs")?;
            file.write_all(b"ours")
        })
        .expect_err("the name is taken");
        assert!(matches!(error, DataError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("their file"), b"theirs");
        assert_eq!(names(folder.path()), ["data.hdf5"]);
    }
}
