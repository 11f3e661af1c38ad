//! The rows of one file: decoded, their ends completed, their successors and actions checked.

use rayon::prelude::*;

use super::column::Column;
use super::ends::{self, Ends, Found, Meaning, Name, combine, flags_of_indices, flags_of_starts};
use super::error::DataError;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::plan::{Arrays, Plan, width, zeros};
use super::successors::Successors;
use super::suspicions;
use super::units::{ActionBounds, Units};

/// What one file gave besides its values; rows are counted from 0 in the file.
pub(super) struct Rows {
    pub(super) terminals: Vec<bool>,
    pub(super) timeouts: Vec<bool>,
    pub(super) no_transition: Vec<usize>,
    pub(super) breaks: Vec<usize>,
    pub(super) bounds: Option<ActionBounds>,
    pub(super) notes: Vec<Note>,
}

/// Returns the timesteps after which the clock ended an episode, where that is known.
fn horizon(options: &ReadOptions) -> Option<usize> {
    let own = (options.environment.as_ref()).map(|environment| environment.horizon);
    options.horizon.or(own)
}

impl Plan {
    /// Decodes this file's rows into `arrays` from row `start` on and returns the rest.
    pub(super) fn read(
        &self,
        arrays: &mut Arrays,
        start: usize,
        options: &ReadOptions,
    ) -> Result<Rows, DataError> {
        let mut notes = self.notes.clone();
        let (observation_dim, action_dim) = arrays.widths;
        let all = |width: usize| start * width..(start + self.rows) * width;
        let observations = &mut arrays.observations[all(observation_dim)];
        let actions = &mut arrays.actions[all(action_dim)];
        let rewards = &mut arrays.rewards[all(1)];
        self.numbers(&self.observations, observations, &mut notes)?;
        self.numbers(&self.actions, actions, &mut notes)?;
        self.numbers(&self.rewards, rewards, &mut notes)?;
        let mut next =
            (arrays.next_observations.as_mut()).map(|values| &mut values[all(observation_dim)]);
        if let (Some(column), Some(values)) = (&self.next_observations, &mut next) {
            self.numbers(column, values, &mut notes)?;
        }
        let mut ends = combine(
            &self.path,
            &self.found_ends()?,
            horizon(options),
            &mut notes,
        )?;
        let used = self.cut_zeros((observations, actions, rewards), &mut ends, &mut notes)?;
        let observations = &observations[..used * observation_dim];
        let successors = next.map(|next| {
            let next = &next[..used * observation_dim];
            Successors::new(observations, next, observation_dim)
        });
        self.complete_ends(&mut ends, successors.as_ref(), options, &mut notes)?;
        let (no_transition, breaks) = successors.map_or((Vec::new(), Vec::new()), |successors| {
            let lost = successors.reset_rows(&self.path, &ends, &rewards[..used], &mut notes);
            let breaks = successors.contradictions(&self.path, &ends, &lost, &mut notes);
            (lost, breaks)
        });
        let units = Units {
            path: &self.path,
            action_dim,
            stated: self.stated_bounds.clone(),
            environment: options.environment.as_ref(),
        };
        let bounds = units.scale(&mut actions[..used * action_dim], &mut notes)?;
        Ok(Rows {
            terminals: ends.terminals,
            timeouts: ends.timeouts,
            no_transition,
            breaks,
            bounds,
            notes,
        })
    }

    /// Returns the number of rows before the zeros at the file's end, and cuts `ends` to them.
    fn cut_zeros(
        &self,
        values: (&[f32], &[f32], &[f32]),
        ends: &mut Ends,
        notes: &mut Vec<Note>,
    ) -> Result<usize, DataError> {
        let used = suspicions::rows_used(&self.path, values, ends, notes);
        if used == 0 {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        }
        ends.terminals.truncate(used);
        ends.timeouts.truncate(used);
        Ok(used)
    }

    /// Sets the ends that the file's flags do not tell, and refuses a file without any.
    fn complete_ends(
        &self,
        ends: &mut Ends,
        successors: Option<&Successors<'_>>,
        options: &ReadOptions,
        notes: &mut Vec<Note>,
    ) -> Result<(), DataError> {
        ends::settle_both(&self.path, ends, options.both_flags, notes);
        if let Some(horizon) = options.horizon {
            let text = format!(
                "a timeout was set after every {horizon} timesteps without an end, as --horizon asks"
            );
            self.mark(horizon, text, ends, notes);
        }
        if let (false, Some(successors)) = (ends.told, successors) {
            successors.mark_breaks(&self.path, ends, notes);
        }
        let none = !ends.terminals.iter().chain(&ends.timeouts).any(|&end| end);
        let untold = !ends.told && successors.is_none();
        match (&options.environment, options.horizon) {
            (Some(environment), None) if none || untold => {
                let text = format!(
                    "no key tells where the clock ended: a timeout was set after every {} timesteps without an end, \
                     the horizon of {}",
                    environment.horizon, environment.id
                );
                self.mark(environment.horizon, text, ends, notes);
            }
            (None, None) if untold && !none => {
                let text = "no key tells where the clock ended: only terminals end episodes. If the clock ended some, \
                            name the environment (--env) or the horizon (--horizon N)";
                notes.push(Note::new(NoteKind::Warning, &self.path, text, &[]));
            }
            _ => {}
        }
        suspicions::check_ends(&self.path, self.keys.clone(), ends, horizon(options))?;
        if let Some(environment) = &options.environment {
            suspicions::too_long(&self.path, ends, environment, notes);
        }
        Ok(())
    }

    fn mark(&self, horizon: usize, text: String, ends: &mut Ends, notes: &mut Vec<Note>) {
        let rows = ends::mark_every(horizon.max(1), &ends.terminals, &mut ends.timeouts);
        notes.push(Note::new(NoteKind::Understood, &self.path, text, &rows));
    }

    fn numbers(
        &self,
        column: &Column,
        values: &mut [f32],
        notes: &mut Vec<Note>,
    ) -> Result<(), DataError> {
        column.read_into(values)?;
        match values.par_iter().position_first(|value| !value.is_finite()) {
            None => suspicions::extremes(&self.path, column.key(), values, width(column), notes),
            Some(position) => Err(DataError::NotFinite {
                path: self.path.clone(),
                key: column.key().to_string(),
                row: position / width(column),
                column: position % width(column),
                value: values[position],
            }),
        }
    }

    fn found_ends(&self) -> Result<Vec<Found>, DataError> {
        let flags = |(name, column): &(&'static Name, Column)| {
            let flags = match name.meaning {
                Meaning::EndIndices => self.indices(column)?,
                Meaning::Start => flags_of_starts(&self.flags(column)?),
                _ => self.flags(column)?,
            };
            Ok(Found { name, flags })
        };
        self.ends.iter().map(flags).collect()
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

    fn indices(&self, column: &Column) -> Result<Vec<bool>, DataError> {
        let unclear = |reason: String| DataError::EndsUnclear {
            path: self.path.clone(),
            key: column.key().to_string(),
            reason,
        };
        let &[episodes] = column.shape() else {
            return Err(self.wrong_shape(column, "[episodes]".to_string()));
        };
        // Beyond this f32 cannot tell two rows apart.
        if episodes > self.rows as u64 || self.rows > 1 << 24 {
            return Err(unclear(format!("{episodes} ends for {} rows", self.rows)));
        }
        let mut values = zeros(&self.path, column.key(), episodes as usize, 1)?;
        column.read_into(&mut values)?;
        flags_of_indices(&values, self.rows).map_err(unclear)
    }
}
