//! What can go wrong with a data file, told so that the reader can repair it.

use std::io;
use std::path::{Path, PathBuf};

use super::hints::{io_hint, key_prefix, nearest_file, nearest_hint, sibling_hint, tried_horizon};

/// A data file, or an actor file, that could not be used.
///
/// Every message names the file, the key where there is one, what was expected and found, and what
/// to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// There is no file at this path.
    #[error("{}: no such file.{hint}", path.display())]
    NotFound {
        /// The path as it was given.
        path: PathBuf,
        /// Empty, or a sentence naming the nearest file in the same folder.
        hint: String,
    },
    /// The operating system refused an operation (permissions, a full disk, a broken device).
    #[error("{}: could not {action}: {source}{}", path.display(), io_hint(source))]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What was being done, as it follows "could not".
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// The file is something else than HDF5.
    #[error("{}: expected an HDF5 file, found {found}.{hint}", path.display())]
    NotHdf5 {
        /// File that is at fault.
        path: PathBuf,
        /// What its first bytes look like.
        found: &'static str,
        /// Empty, or a sentence saying how to get from that to HDF5.
        hint: &'static str,
    },
    /// No format recognises the file.
    #[error(
        "{}: expected a file of a known format, found {found}. It was tried as: {tried}.{hint}",
        path.display()
    )]
    UnknownFormat {
        /// File that is at fault.
        path: PathBuf,
        /// The formats it was tried as, with what their files look like.
        tried: String,
        /// What its first bytes look like.
        found: &'static str,
        /// Empty, or a sentence saying how to get from that to HDF5.
        hint: &'static str,
    },
    /// The reader of a registered format could not read the file.
    #[error("{}: {format}: {reason}", path.display())]
    Format {
        /// File that is at fault.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What was expected and found, and what to do.
        reason: String,
    },
    /// A format was registered under a name that is empty or taken.
    #[error("a format is registered once, under a name that no other has; found `{name}`")]
    FormatTaken {
        /// Name under which it was to be registered.
        name: String,
    },
    /// The file is shorter than its own header says.
    #[error(
        "{}: the file is truncated: its header says {expected} bytes, found {found}. \
         Hint: copy or download it again.", path.display()
    )]
    Truncated {
        /// File that is at fault.
        path: PathBuf,
        /// Bytes the header promises.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// The HDF5 structure, or the compressed data of one key, cannot be decoded.
    #[error(
        "{}: {}the file is damaged or uses an HDF5 feature this reader lacks: {reason}. \
         Hint: open it with h5py; if that works, save it again without libver='latest'.",
        path.display(), key_prefix(key)
    )]
    Damaged {
        /// File that is at fault.
        path: PathBuf,
        /// The key, or an empty string where the damage precedes all keys.
        key: String,
        /// What the decoder met.
        reason: String,
    },
    /// A required key is absent, or an optional one is there under a misspelt name.
    #[error(
        "{}: key `{key}`: expected it in the file, found only [{}].{}",
        path.display(), present.join(", "), nearest_hint(nearest)
    )]
    MissingKey {
        /// File that is at fault.
        path: PathBuf,
        /// The key that was looked for.
        key: String,
        /// The names at the top of the file.
        present: Vec<String>,
        /// The name closest to the missing one, if any is close.
        nearest: Option<String>,
    },
    /// A key holds another kind of thing than numbers or flags.
    #[error("{}: key `{key}`: expected {expected}, found {found}.", path.display())]
    WrongType {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// The types that would do.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A key holds an array of another shape.
    #[error("{}: key `{key}`: expected shape {expected}, found {found}.{hint}", path.display())]
    WrongShape {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// The shape that would do, and why.
        expected: String,
        /// The shape in the file.
        found: String,
        /// Empty, or a sentence saying how to repair it.
        hint: &'static str,
    },
    /// A value is NaN or infinite.
    #[error(
        "{}: key `{key}`, row {row}, column {column}: expected a finite number within the range of \
         f32, found {value}. Hint: drop the episode this row belongs to, or repair the value.",
        path.display()
    )]
    NotFinite {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0 (0 for rewards).
        column: usize,
        /// The value after conversion to f32.
        value: f32,
    },
    /// A flag is neither 0 nor 1.
    #[error(
        "{}: key `{key}`, row {row}: expected a flag (0 or 1), found {value}. \
         Hint: store it as bool; `terminals` is not a discount or a step counter.", path.display()
    )]
    NotAFlag {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Row, counted from 0.
        row: usize,
        /// What stands there instead of 0 or 1.
        value: f32,
    },
    /// Some of the files to concatenate have `next_observations` and others have not.
    #[error(
        "{}: key `next_observations`: expected it in all of the files or in none, found it only in {}. \
         Hint: delete the key from the files that have it, or write it into the others.",
        without.display(), with.display()
    )]
    MixedNextObservations {
        /// A file that has the key.
        with: PathBuf,
        /// A file that lacks it.
        without: PathBuf,
    },
    /// A value is a number, but none that can be meant.
    #[error(
        "{}: key `{key}`, row {row}, column {column}: expected a number that can be meant, found {value:e}. \
         Hint: is it the fill value of a row that was never written? Drop the episode this row belongs to.",
        path.display()
    )]
    Absurd {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0 (0 for rewards).
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// A key is a link that could not be followed.
    #[error(
        "{}: key `{key}`: it is a link to {target}, which could not be followed: {reason}. \
         Hint: with h5py, file.copy(file[{key:?}], other_file) puts the array itself into a file.",
        path.display()
    )]
    Link {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Where the link leads.
        target: String,
        /// Why it could not be followed.
        reason: String,
    },
    /// No row of the file ends an episode.
    #[error(
        "{}: expected rows that end an episode, found none in {rows} rows with the keys [{}]{}. \
         Hint: --horizon N sets an end after every N timesteps; or store `timeouts` (see docs/data.md).",
        path.display(), keys.join(", "), tried_horizon(*horizon)
    )]
    NoEnds {
        /// File that is at fault.
        path: PathBuf,
        /// The names at the top of the file.
        keys: Vec<String>,
        /// Rows that the file has.
        rows: usize,
        /// The horizon that was known: the file is shorter.
        horizon: Option<usize>,
    },
    /// What a key says about the ends of episodes cannot be understood.
    #[error(
        "{}: key `{key}`: expected the ends of episodes in a way that is understood, found: {reason}. \
         Hint: store `terminals` (the task ended) and `timeouts` (the clock ended); \
         where episodes have a fixed length, --horizon N or --env ID may tell the two apart.", path.display()
    )]
    EndsUnclear {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Why the ends of episodes cannot be told from it.
        reason: String,
    },
    /// Actions lie beyond the bounds that the file or its environment has.
    #[error(
        "{}: key `actions`: expected actions within {bounds} (the bounds of {source_of_bounds}), \
         found {share:.1} % of the rows ({rows}) beyond them, row {row} with {value}. \
         Hint: are they in other units? The file's attribute action_bound (or action_low, action_high) says which.",
        path.display()
    )]
    OutOfBounds {
        /// File that is at fault.
        path: PathBuf,
        /// Bounds as they were found.
        bounds: String,
        /// Where the bounds come from: the file or the environment.
        source_of_bounds: String,
        /// Share of the rows beyond them in per cent.
        share: f64,
        /// Number of rows beyond them.
        rows: usize,
        /// The first of them, counted from 0.
        row: usize,
        /// Its largest entry.
        value: f32,
    },
    /// Observations or actions have other widths than the environment's.
    #[error(
        "{}: expected observations and actions of widths {} and {} ({environment}), found {} and {}.{}",
        path.display(), expected[0], expected[1], found[0], found[1], sibling_hint(sibling)
    )]
    OtherEnvironment {
        /// File that is at fault.
        path: PathBuf,
        /// The environment's id.
        environment: String,
        /// Widths of observations and actions that were expected.
        expected: [usize; 2],
        /// The file's widths.
        found: [usize; 2],
        /// Another version of the environment that has the file's widths.
        sibling: Option<String>,
    },
    /// The list of files is empty, or a file holds no rows.
    #[error("{}: expected at least one transition, found none.", path.display())]
    Empty {
        /// The file, or a note that none was given.
        path: PathBuf,
    },
    /// The target of a write is there already.
    #[error("{}: expected no file at this path, found one. Hint: nothing is overwritten; \
             choose another name or delete it.", path.display())]
    Exists {
        /// The path that is taken.
        path: PathBuf,
    },
    /// The system does not give the memory that the values need.
    #[error("{}: key `{key}`: expected {wanted} bytes of memory for its values as f32, found less to be had. Hint: a data \
             set is held in memory as a whole; free some, or write a file with fewer episodes.", path.display())]
    OutOfMemory {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// A header asks for more memory than the file can need.
    #[error("{}: key `{key}`: expected at most {allowed} bytes for a file of this size, \
             found {wanted} in its header: damaged, or too large for this machine.", path.display())]
    TooLarge {
        /// File that is at fault.
        path: PathBuf,
        /// Key of the array that is at fault.
        key: String,
        /// Bytes the header asks for.
        wanted: u64,
        /// Bytes that are thinkable.
        allowed: u64,
    },
    /// An actor file does not have the flat layout.
    #[error("{}: actor layer `{layer}`: expected {expected}, found {found}. Hint: four layers \
             (latent_pi.0, latent_pi.2, mu, log_std), each i32 out, i32 in, f32 weights[out][in], \
             f32 bias[out], little-endian.", path.display())]
    Actor {
        /// File that is at fault.
        path: PathBuf,
        /// The layer being read.
        layer: &'static str,
        /// What the layout wants here.
        expected: String,
        /// What the file has here.
        found: String,
    },
    /// A file of named arrays is no actor for this environment.
    #[error("{}: {}expected {expected}, found {found}. Hint: {hint}", path.display(), key_prefix(key))]
    ActorFile {
        /// File that is at fault.
        path: PathBuf,
        /// The key, or an empty string where the file as a whole is meant.
        key: String,
        /// What the layout wants here.
        expected: String,
        /// What the file has here.
        found: String,
        /// What the user can do.
        hint: String,
    },
}

impl DataError {
    /// Wraps an error of the operating system, turning "not found" into [`DataError::NotFound`].
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound && action == "open" {
            return Self::NotFound {
                path: path.to_path_buf(),
                hint: nearest_file(path),
            };
        }
        Self::Io {
            path: path.to_path_buf(),
            action,
            source,
        }
    }
}
