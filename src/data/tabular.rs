//! The rows of a table whose columns are known, gathered by its reader cell by cell.

use std::path::Path;

use super::column::floats;
use super::columns::{Columns, beside, find};
use super::dataset::Dataset;
use super::ends::{EPISODE, Found, Meaning, combine, flags_of_starts};
use super::error::DataError;
use super::faults::Faults;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::read::hash_files;
use super::recording::Recording;
use super::scratch::Floats;
use super::settle::horizon;

/// Where a column's numbers belong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// In a row of the array with this number, from this entry on.
    Array(usize, usize),
    /// They tell one episode from the next.
    Episode,
    Unused,
}

/// The arrays of a table, being filled: observations, actions, rewards, next observations, flags.
pub(super) struct Table<'a> {
    faults: Faults<'a>,
    columns: Columns,
    names: Vec<String>,
    /// One per column of the table.
    pub(super) places: Vec<Place>,
    arrays: Vec<(usize, Floats)>,
    /// Whether an episode begins in the row.
    pub(super) starts: Vec<bool>,
}

impl<'a> Table<'a> {
    /// Makes room for at most `rows` rows of a table with columns of these names and widths.
    ///
    /// # Errors
    /// [`DataError::Format`] where it is not clear which columns are what.
    pub(super) fn new(
        faults: Faults<'a>,
        names: Vec<String>,
        widths: &[usize],
        rows: usize,
        in_memory: usize,
    ) -> Result<Self, DataError> {
        let columns = find(&faults, &names)?;
        let mut places = vec![Place::Unused; names.len()];
        let mut arrays = Vec::new();
        let groups = [
            ("observations", columns.observations.clone()),
            ("actions", columns.actions.clone()),
            ("rewards", vec![columns.rewards]),
            ("next_observations", columns.next_observations.clone()),
        ];
        let flags = columns.flags.iter().map(|(name, at)| (name.key, vec![*at]));
        for (array, (key, group)) in groups.into_iter().chain(flags).enumerate() {
            let mut width = 0;
            for at in group {
                places[at] = Place::Array(array, width);
                width += widths[at];
            }
            if !["observations", "actions", "next_observations"].contains(&key) && width != 1 {
                return Err(faults.of(format!("`{key}` has {width} numbers a row; expected one")));
            }
            arrays.push((width, floats(faults.path, key, rows, width, in_memory)?));
        }
        if let Some(at) = columns.episode {
            places[at] = Place::Episode;
        }
        Ok(Self {
            faults,
            columns,
            names,
            places,
            arrays,
            starts: Vec::new(),
        })
    }

    /// Sets one number of a row.
    pub(super) fn set(&mut self, row: usize, array: usize, entry: usize, value: f32) {
        let (width, values) = &mut self.arrays[array];
        values[row * *width + entry] = value;
    }

    /// Returns the data set, once `rows` rows are filled.
    ///
    /// # Errors
    /// As for D4RL's layout.
    pub(super) fn into_dataset(
        self,
        rows: usize,
        options: &ReadOptions,
    ) -> Result<Dataset, DataError> {
        let path = self.faults.path;
        let mut arrays = self.arrays.into_iter().map(|(width, mut values)| {
            values.truncate(rows * width);
            (width, values)
        });
        let mut array = || arrays.next().unwrap_or_default();
        let [observations, actions, rewards, next] = [array(), array(), array(), array()];
        let widths = (observations.0, actions.0);
        if next.0 != 0 && next.0 != widths.0 {
            return Err(self.faults.of(format!(
                "observations have {} numbers a row and next_observations {}; expected as many",
                widths.0, next.0
            )));
        }
        let mut notes = vec![Note::new(
            NoteKind::Understood,
            path,
            self.columns.words(&self.names),
            &[],
        )];
        let flags: Vec<Floats> = arrays.map(|(_, values)| values).collect();
        let found = found_ends(&self.faults, &self.columns, &flags, &self.starts)?;
        let ends = combine(path, &found, horizon(options), &mut notes)?;
        let mapping = beside(path);
        let linked = if mapping.is_file() {
            vec![mapping]
        } else {
            Vec::new()
        };
        Recording {
            path: path.to_path_buf(),
            sha256: hash_files(path, &linked)?,
            widths,
            observations: observations.1,
            actions: actions.1,
            rewards: rewards.1.to_vec(),
            next_observations: (next.0 > 0).then_some(next.1),
            ends,
            stated_bounds: self.columns.bounds(path, widths.1)?,
            keys: self.names,
            texts: Vec::new(),
            notes,
        }
        .into_dataset(options)
    }
}

/// Returns what the columns tell of the ends; `values` are those of the flags' columns, in order.
fn found_ends(
    faults: &Faults<'_>,
    columns: &Columns,
    values: &[Floats],
    starts: &[bool],
) -> Result<Vec<Found>, DataError> {
    let mut found = Vec::new();
    for ((name, _), values) in columns.flags.iter().zip(values) {
        let flags = flags(faults.path, name.key, values)?;
        let flags = match name.meaning {
            Meaning::Start => flags_of_starts(&flags),
            Meaning::EndIndices => {
                return Err(faults.of(format!(
                    "`{}` is no column of a table: it has a number per episode",
                    name.key
                )));
            }
            _ => flags,
        };
        found.push(Found { name, flags });
    }
    if columns.episode.is_some() {
        let mut flags = flags_of_starts(starts);
        if let Some(last) = flags.last_mut() {
            *last = true;
        }
        found.push(Found {
            name: &EPISODE,
            flags,
        });
    }
    Ok(found)
}

fn flags(path: &Path, key: &str, values: &[f32]) -> Result<Vec<bool>, DataError> {
    match (values.iter()).position(|&value| value != 0.0 && value != 1.0) {
        None => Ok(values.iter().map(|&value| value != 0.0).collect()),
        Some(row) => Err(DataError::NotAFlag {
            path: path.to_path_buf(),
            key: key.to_string(),
            row,
            value: values[row],
        }),
    }
}
