//! Reading D4RL's layout, HDF5 or npz, from one file or several that are concatenated.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Interruptions, Source, hex};
use super::error::DataError;
use super::matrix::Matrix;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::plan::{Arrays, Plan, width};
use super::settle::Settled;
use super::suspicions::duplicates;
use super::units::{ActionBounds, clip_note};

/// Returns the rows of all `paths`, files in D4RL's layout (an array per quantity), decoded into one array each.
///
/// Accepted: floating-point or integer numbers of any width (kept as f32); flags as bool or as
/// numbers that are 0 or 1; `rewards` and flags as `[N]` or `[N, 1]`; any chunking, gzip,
/// shuffle or lzf; soft links, and external links into the same folder. Other keys (`infos/…`,
/// `metadata/…`) are not looked at.
///
/// - `next_observations` may be missing, from all files alike.
/// - Ends of episodes may have other names than `terminals` and `timeouts`; docs/data.md lists them.
/// - Where no key tells when the clock ended, recorded successors that are not the next row's
///   observation do, and `options.horizon`, or the horizon of `options.environment`.
/// - Actions are scaled to −1 … 1 by the bounds that the file states or the environment has.
/// - The last row of a file has no successor in the next file, whatever its flags.
///
/// All threads of the current rayon pool decode; the result does not depend on their number.
/// Memory: the result, and a few MiB a thread; arrays from `options.in_memory` bytes on lie in scratch files.
pub(super) fn read_arrays(paths: &[PathBuf], options: &ReadOptions) -> Result<Dataset, DataError> {
    let plans = paths
        .iter()
        .map(|path| Plan::new(path, options))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = plans.first() else {
        return Err(DataError::Empty {
            path: PathBuf::from("(no file given)"),
        });
    };
    plans[1..]
        .iter()
        .try_for_each(|plan| plan.check_concatenates(first))?;
    let rows: usize = plans.iter().map(|plan| plan.rows).sum();
    let widths = (width(&first.observations), width(&first.actions));
    let next = first.next_observations.is_some();
    let mut arrays = Arrays::new(&first.path, rows, widths, next, options.in_memory)?;
    let mut joined = Joined::default();
    for plan in &plans {
        let start = joined.terminals.len();
        let (hash, read) = rayon::join(
            || hash_files(&plan.path, &plan.linked_files),
            || plan.read(&mut arrays, start, options),
        );
        joined.push(&plan.path, read?, hash?);
    }
    arrays.truncate(joined.terminals.len());
    Ok(joined.finish(arrays))
}

/// What the files gave so far, besides the values.
#[derive(Default)]
struct Joined {
    terminals: Vec<bool>,
    timeouts: Vec<bool>,
    sources: Vec<Source>,
    bounds: Vec<Option<ActionBounds>>,
    interruptions: Interruptions,
    notes: Vec<Note>,
}

impl Joined {
    fn push(&mut self, path: &Path, rows: Settled, sha256: String) {
        let start = self.terminals.len();
        let shifted = |rows: Vec<usize>| rows.into_iter().map(move |row| start + row);
        self.interruptions
            .no_transition
            .extend(shifted(rows.no_transition));
        self.interruptions.breaks.extend(shifted(rows.breaks));
        self.sources.push(Source {
            path: path.to_path_buf(),
            sha256,
            transitions: rows.terminals.len(),
        });
        self.terminals.extend(rows.terminals);
        self.timeouts.extend(rows.timeouts);
        self.notes.extend(rows.notes);
        self.bounds.push(rows.bounds);
    }

    fn finish(mut self, arrays: Arrays) -> Dataset {
        duplicates(&self.sources, &mut self.notes);
        let first = self.bounds.first().cloned().flatten();
        for (source, bounds) in self.sources.iter().zip(&self.bounds) {
            if *bounds != first {
                let text = "its actions have other bounds than the first file's; each was scaled by its own";
                self.notes
                    .push(Note::new(NoteKind::Warning, &source.path, text, &[]));
            }
        }
        let actions = Matrix::new(arrays.actions, arrays.widths.1);
        let known = self.bounds.iter().all(Option::is_some);
        self.notes.extend(clip_note(&actions).filter(|_| known));
        Dataset {
            observations: Matrix::new(arrays.observations, arrays.widths.0),
            actions,
            rewards: arrays.rewards,
            next_observations: arrays
                .next_observations
                .map(|values| Matrix::new(values, arrays.widths.0)),
            terminals: self.terminals,
            timeouts: self.timeouts,
            sources: self.sources,
            action_bounds: first.filter(|_| known),
            interruptions: self.interruptions,
            notes: self.notes,
        }
    }
}

/// Returns the hash of a file; where links lead into others, that over its hash and theirs.
pub(super) fn hash_files(path: &Path, linked: &[PathBuf]) -> Result<String, DataError> {
    let own = hash_file(path)?;
    if linked.is_empty() {
        return Ok(own);
    }
    let mut hasher = Sha256::new();
    hasher.update(own + "\n");
    for path in linked {
        hasher.update(hash_file(path)? + "\n");
    }
    Ok(hex(&hasher.finalize()))
}

/// Returns the SHA-256 of a file's bytes in hexadecimal.
pub(super) fn hash_file(path: &Path) -> Result<String, DataError> {
    let read_error = |source| DataError::io(path, "read", source);
    let mut file =
        std::fs::File::open(path).map_err(|source| DataError::io(path, "open", source))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 17];
    loop {
        match file.read(&mut buffer).map_err(read_error)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
