//! Reading D4RL's layout, from one file or several that are concatenated.

use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex, matrix};
use super::error::DataError;
use super::file::{Column, DataFile};

/// The columns of one file, found and checked against each other, not yet decoded.
struct Plan {
    path: PathBuf,
    rows: usize,
    observations: Column,
    actions: Column,
    rewards: Column,
    next_observations: Option<Column>,
    terminals: Column,
    timeouts: Option<Column>,
}

impl Dataset {
    /// Returns the rows of all `paths`, one file after the other (medium-expert is medium, expert).
    ///
    /// Accepted: floating-point or integer numbers of any width (kept as f32); flags as bool or as
    /// numbers that are 0 or 1; `rewards`, `terminals`, `timeouts` as `[N]` or `[N, 1]`; any
    /// chunking, gzip, shuffle or lzf. Other keys (`infos/…`, `metadata/…`) are not looked at.
    ///
    /// - `next_observations` may be missing, from all files alike.
    /// - `timeouts` may be missing, as in D4RL's first files. With `next_observations`, a row that
    ///   is not terminal and whose successor is not the next row's observation then ends its
    ///   episode. Without, nothing tells: all flags are false, and
    ///   [`mark_timeouts`](Self::mark_timeouts) sets them for a known horizon.
    /// - The last row of a file has no successor in the next file, whatever its flags.
    ///
    /// All threads of the current rayon pool decode; the result does not depend on their number.
    /// Memory: the result, and a few MiB a thread.
    ///
    /// # Errors
    /// See [`DataError`]; a file is refused as a whole, nothing is repaired silently.
    pub fn read(paths: &[PathBuf]) -> Result<Dataset, DataError> {
        let plans = paths
            .iter()
            .map(|path| Plan::new(path))
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
        let mut arrays = Arrays::new(&first.path, rows, widths, first.next_observations.is_some())?;
        let mut terminals = Vec::with_capacity(rows);
        let mut timeouts = Vec::with_capacity(rows);
        let mut sources = Vec::with_capacity(plans.len());
        let mut start = 0;
        for plan in &plans {
            let (hash, read) =
                rayon::join(|| hash_file(&plan.path), || plan.read(&mut arrays, start));
            let flags = read?;
            terminals.extend(flags.terminals);
            timeouts.extend(flags.timeouts);
            sources.push(Source {
                path: plan.path.clone(),
                sha256: hash?,
                transitions: plan.rows,
            });
            start += plan.rows;
        }
        Ok(Dataset {
            observations: matrix(arrays.observations, widths.0),
            actions: matrix(arrays.actions, widths.1),
            rewards: arrays.rewards,
            next_observations: arrays
                .next_observations
                .map(|values| matrix(values, widths.0)),
            terminals,
            timeouts,
            sources,
        })
    }
}

/// The values of all files, row-major.
struct Arrays {
    widths: (usize, usize),
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    next_observations: Option<Vec<f32>>,
}

impl Arrays {
    fn new(
        path: &Path,
        rows: usize,
        widths: (usize, usize),
        with_next_observations: bool,
    ) -> Result<Self, DataError> {
        let observations = zeros(path, "observations", rows, widths.0)?;
        let actions = zeros(path, "actions", rows, widths.1)?;
        let rewards = zeros(path, "rewards", rows, 1)?;
        let next_observations = with_next_observations
            .then(|| zeros(path, "next_observations", rows, widths.0))
            .transpose()?;
        Ok(Self {
            widths,
            observations,
            actions,
            rewards,
            next_observations,
        })
    }
}

struct Flags {
    terminals: Vec<bool>,
    timeouts: Vec<bool>,
}

impl Plan {
    fn new(path: &Path) -> Result<Self, DataError> {
        let file = DataFile::open(path)?;
        let plan = Self {
            path: path.to_path_buf(),
            observations: file.required("observations")?,
            actions: file.required("actions")?,
            rewards: file.required("rewards")?,
            next_observations: file.optional("next_observations")?,
            terminals: file.required("terminals")?,
            timeouts: file.optional("timeouts")?,
            rows: 0,
        };
        plan.check_shapes()
    }

    fn check_shapes(mut self) -> Result<Self, DataError> {
        let &[rows, observation_dim @ (1..=u64::MAX)] = self.observations.shape() else {
            return Err(self.wrong_shape(&self.observations, "[N, observation_dim]".to_string()));
        };
        if rows == 0 {
            return Err(DataError::Empty { path: self.path });
        }
        if !matches!(self.actions.shape(), &[found, 1..=u64::MAX] if found == rows) {
            return Err(self.wrong_shape(
                &self.actions,
                format!("[{rows}, action_dim], one row per row of `observations`"),
            ));
        }
        if let Some(next) = &self.next_observations
            && next.shape() != [rows, observation_dim]
        {
            return Err(self.wrong_shape(
                next,
                format!("[{rows}, {observation_dim}], as `observations`"),
            ));
        }
        let one_per_row = [
            Some(&self.rewards),
            Some(&self.terminals),
            self.timeouts.as_ref(),
        ];
        for column in one_per_row.into_iter().flatten() {
            if column.shape() != [rows] && column.shape() != [rows, 1] {
                return Err(self.wrong_shape(
                    column,
                    format!("[{rows}] or [{rows}, 1], one value per row of `observations`"),
                ));
            }
        }
        self.rows = usize::try_from(rows).map_err(|_| DataError::TooLarge {
            path: self.path.clone(),
            key: "observations".to_string(),
            wanted: rows,
            allowed: usize::MAX as u64,
        })?;
        Ok(self)
    }

    fn wrong_shape(&self, column: &Column, expected: String) -> DataError {
        let hint = match column.shape() {
            [_] => " Hint: with h5py, array.reshape(N, -1) makes it two-dimensional.",
            [] | [_, _] => " Hint: rows are timesteps; is one array cut short or transposed?",
            _ => " Hint: flatten everything but the first dimension.",
        };
        DataError::WrongShape {
            path: self.path.clone(),
            key: column.key().to_string(),
            expected,
            found: format!("{:?}", column.shape()),
            hint,
        }
    }

    fn check_concatenates(&self, first: &Plan) -> Result<(), DataError> {
        let pairs = [
            (&self.observations, &first.observations),
            (&self.actions, &first.actions),
        ];
        for (column, model) in pairs {
            if width(column) != width(model) {
                return Err(DataError::WrongShape {
                    path: self.path.clone(),
                    key: column.key().to_string(),
                    expected: format!("[N, {}], as in {}", width(model), first.path.display()),
                    found: format!("{:?}", column.shape()),
                    hint: " Hint: files of different environments do not concatenate.",
                });
            }
        }
        match (&self.next_observations, &first.next_observations) {
            (Some(_), None) => Err(DataError::MixedNextObservations {
                with: self.path.clone(),
                without: first.path.clone(),
            }),
            (None, Some(_)) => Err(DataError::MixedNextObservations {
                with: first.path.clone(),
                without: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Decodes this file's rows into `arrays` from row `start` on and returns its flags.
    fn read(&self, arrays: &mut Arrays, start: usize) -> Result<Flags, DataError> {
        let end = start + self.rows;
        let (observation_dim, action_dim) = arrays.widths;
        let observations = &mut arrays.observations[start * observation_dim..end * observation_dim];
        self.numbers(&self.observations, observations)?;
        self.numbers(
            &self.actions,
            &mut arrays.actions[start * action_dim..end * action_dim],
        )?;
        self.numbers(&self.rewards, &mut arrays.rewards[start..end])?;
        let mut next_observations = None;
        if let (Some(column), Some(all)) = (&self.next_observations, &mut arrays.next_observations)
        {
            let values = &mut all[start * observation_dim..end * observation_dim];
            self.numbers(column, values)?;
            next_observations = Some(&*values);
        }
        let terminals = self.flags(&self.terminals)?;
        let timeouts = match (&self.timeouts, next_observations) {
            (Some(column), _) => self.flags(column)?,
            (None, Some(next)) => breaks(observations, next, &terminals),
            (None, None) => vec![false; self.rows],
        };
        Ok(Flags {
            terminals,
            timeouts,
        })
    }

    fn numbers(&self, column: &Column, values: &mut [f32]) -> Result<(), DataError> {
        column.read_into(values)?;
        match values.par_iter().position_first(|value| !value.is_finite()) {
            None => Ok(()),
            Some(position) => Err(DataError::NotFinite {
                path: self.path.clone(),
                key: column.key().to_string(),
                row: position / width(column),
                column: position % width(column),
                value: values[position],
            }),
        }
    }

    fn flags(&self, column: &Column) -> Result<Vec<bool>, DataError> {
        let mut values = zeros(&self.path, column.key(), self.rows, 1)?;
        column.read_into(&mut values)?;
        match values
            .iter()
            .position(|&value| value != 0.0 && value != 1.0)
        {
            None => Ok(values.into_iter().map(|value| value != 0.0).collect()),
            Some(row) => Err(DataError::NotAFlag {
                path: self.path.clone(),
                key: column.key().to_string(),
                row,
                value: values[row],
            }),
        }
    }
}

/// Marks the rows that are not terminal and whose successor is not the next row's observation.
fn breaks(observations: &[f32], next_observations: &[f32], terminals: &[bool]) -> Vec<bool> {
    let width = observations.len() / terminals.len();
    let following = observations.chunks_exact(width).skip(1);
    let mut breaks: Vec<bool> = next_observations
        .chunks_exact(width)
        .zip(following)
        .zip(terminals)
        .map(|((next, following), &terminal)| !terminal && next != following)
        .collect();
    breaks.push(false);
    breaks
}

/// Number of values in a row of `column`.
fn width(column: &Column) -> usize {
    column
        .shape()
        .get(1)
        .map_or(1, |&width| usize::try_from(width).unwrap_or(usize::MAX))
}

fn zeros(path: &Path, key: &str, rows: usize, width: usize) -> Result<Vec<f32>, DataError> {
    let too_large = || DataError::TooLarge {
        path: path.to_path_buf(),
        key: key.to_string(),
        wanted: (rows as u64).saturating_mul(width as u64).saturating_mul(4),
        allowed: isize::MAX as u64,
    };
    let values = rows.checked_mul(width).ok_or_else(too_large)?;
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(values).map_err(|_| too_large())?;
    zeros.resize(values, 0.0);
    Ok(zeros)
}

fn hash_file(path: &Path) -> Result<String, DataError> {
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
