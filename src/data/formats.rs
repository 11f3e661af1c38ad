//! The formats of data files: what is built in, and what a user's crate registers.
//!
//! To add one, [`register`] it; nothing else changes: `tiltrl data` and `tiltrl run --data` take its files.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::csv;
use super::d3rlpy;
use super::dataset::Dataset;
use super::error::DataError;
use super::join::{join, whole};
use super::minari;
use super::npz::is_npz;
use super::ogbench;
use super::options::ReadOptions;
use super::parquet_table;
use super::read::read_arrays;
use super::signature;

/// A format of data files.
#[derive(Clone, Copy)]
pub struct Format {
    /// Name as `tiltrl data` and errors print it.
    pub name: &'static str,
    /// What a file of it looks like, in words: its first bytes or its ending.
    pub looks: &'static str,
    /// Returns whether a file with this path and these first 512 bytes (all of them, if it is shorter) is of the format; of a
    /// folder there are none.
    pub recognises: fn(&Path, &[u8]) -> bool,
    /// Reads one file: rows in order, actions as shares −1 … 1 of their bounds. [`Dataset::sources`] may be empty; the file and
    /// its hash are filled in. Faults of the file are [`DataError::Format`].
    pub read: fn(&Path, &ReadOptions) -> Result<Dataset, DataError>,
}

/// The formats that are built in, in the order in which they are tried.
const FORMATS: [Format; 8] = [
    Format {
        name: minari::NAME,
        looks: "a folder with metadata.json and main_data.hdf5, or minari:NAME",
        recognises: minari::recognises,
        read: minari::read,
    },
    Format {
        name: d3rlpy::VERSION_2,
        looks: "HDF5 with num_episodes and columns",
        recognises: d3rlpy::recognises_2,
        read: d3rlpy::read_2,
    },
    Format {
        name: d3rlpy::VERSION_1,
        looks: "HDF5 with episode_terminals and discrete_action",
        recognises: d3rlpy::recognises_1,
        read: d3rlpy::read_1,
    },
    Format {
        name: "D4RL HDF5",
        looks: "the HDF5 signature \\x89HDF at its start or after a user block",
        recognises: |path, _| hdf5_pure::is_hdf5(path).unwrap_or(false),
        read: read_one,
    },
    Format {
        name: ogbench::NAME,
        looks: "an npz with masks, valids, or no rewards",
        recognises: ogbench::recognises,
        read: ogbench::read,
    },
    Format {
        name: "npz",
        looks: "a zip archive with the ending .npz",
        recognises: is_npz,
        read: read_one,
    },
    Format {
        name: csv::NAME,
        looks: "text with the ending .csv or .tsv",
        recognises: csv::recognises,
        read: csv::read,
    },
    Format {
        name: parquet_table::NAME,
        looks: "the first bytes PAR1",
        recognises: parquet_table::recognises,
        read: parquet_table::read,
    },
];

/// Those whose files hold one array per quantity in D4RL's layout: several files are decoded into one data set at once.
const ARRAYS: [&str; 2] = ["D4RL HDF5", "npz"];

fn read_one(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    read_arrays(&[path.to_path_buf()], options)
}

/// What was registered in this process; entries are added and never changed, so a file means the same from then on.
static REGISTERED: RwLock<Vec<Format>> = RwLock::new(Vec::new());

/// Makes a format of the user's known by its name, in this process. What is built in is tried first, then in the order in
/// which formats were registered.
///
/// # Errors
/// [`DataError::FormatTaken`] when the name is empty or taken.
pub fn register(format: Format) -> Result<(), DataError> {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = FORMATS.iter().chain(registered.iter());
    if format.name.is_empty() || all.any(|known| known.name == format.name) {
        return Err(DataError::FormatTaken {
            name: format.name.to_string(),
        });
    }
    registered.push(format);
    Ok(())
}

/// Returns all formats, built in and registered, in the order in which they are tried.
pub fn formats() -> Vec<Format> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    FORMATS.iter().chain(registered.iter()).copied().collect()
}

/// Returns the format of a file.
///
/// # Errors
/// [`DataError::UnknownFormat`] with everything it was tried as; [`DataError::Io`] and [`DataError::NotFound`].
fn format_of(path: &Path) -> Result<Format, DataError> {
    let head = signature::head_of(path)?;
    let all = formats();
    if let Some(found) = all.iter().find(|format| (format.recognises)(path, &head)) {
        return Ok(*found);
    }
    let (found, hint) = signature::looks_like(path, &head);
    let tried = all
        .iter()
        .map(|format| format!("{} ({})", format.name, format.looks));
    Err(DataError::UnknownFormat {
        path: path.to_path_buf(),
        tried: tried.collect::<Vec<_>>().join(", "),
        found,
        hint,
    })
}

impl Dataset {
    /// Returns the rows of all `paths`, one file after the other, with nothing known beyond them.
    ///
    /// # Errors
    /// As [`Dataset::read_with`].
    pub fn read(paths: &[PathBuf]) -> Result<Dataset, DataError> {
        Self::read_with(paths, &ReadOptions::default())
    }

    /// Returns the rows of all `paths`, one file after the other (medium-expert is medium, expert), each read as the
    /// [format](formats()) that recognises it.
    ///
    /// What a reader guessed, repaired, clipped or dropped is in [`Dataset::notes`].
    ///
    /// # Errors
    /// [`DataError::UnknownFormat`] for a file that no format recognises; else see [`DataError`]. A file is refused as a whole.
    pub fn read_with(paths: &[PathBuf], options: &ReadOptions) -> Result<Dataset, DataError> {
        let paths: Vec<PathBuf> = (paths.iter())
            .map(|path| minari::resolve(path))
            .collect::<Result<_, _>>()?;
        let formats: Vec<Format> = paths
            .iter()
            .map(|path| format_of(path))
            .collect::<Result<_, _>>()?;
        if (formats.iter()).all(|format| ARRAYS.contains(&format.name)) {
            return read_arrays(&paths, options);
        }
        let read = |(path, format): (&PathBuf, &Format)| {
            let found = (format.read)(path, options)?;
            whole(path, format.name, found, options)
        };
        let all: Vec<Dataset> = paths
            .iter()
            .zip(&formats)
            .map(read)
            .collect::<Result<_, _>>()?;
        join(all, options.in_memory)
    }
}
