//! The rows of one file that holds an array per quantity: decoded, then settled.

use super::column::Column;
use super::ends::{Found, Meaning, Name, combine, flags_of_indices, flags_of_starts};
use super::error::DataError;
use super::options::ReadOptions;
use super::plan::{Arrays, Plan, width};
use super::settle::{Decoded, Settled, check_numbers, horizon, settle};

impl Plan {
    /// Decodes this file's rows into `arrays` from row `start` on and returns the rest.
    pub(super) fn read(
        &self,
        arrays: &mut Arrays,
        start: usize,
        options: &ReadOptions,
    ) -> Result<Settled, DataError> {
        let mut notes = self.notes.clone();
        let (observation_dim, action_dim) = arrays.widths;
        let all = |width: usize| start * width..(start + self.rows) * width;
        let observations = &mut arrays.observations[all(observation_dim)];
        let actions = &mut arrays.actions[all(action_dim)];
        let rewards = &mut arrays.rewards[all(1)];
        let mut next =
            (arrays.next_observations.as_mut()).map(|values| &mut values[all(observation_dim)]);
        let mut decode = |column: &Column, values: &mut [f32]| {
            column.read_into(values)?;
            check_numbers(&self.path, column.key(), values, width(column), &mut notes)
        };
        decode(&self.observations, observations)?;
        decode(&self.actions, actions)?;
        decode(&self.rewards, rewards)?;
        if let (Some(column), Some(values)) = (&self.next_observations, &mut next) {
            decode(column, values)?;
        }
        let ends = combine(
            &self.path,
            &self.found_ends()?,
            horizon(options),
            &mut notes,
        )?;
        let values = Decoded {
            path: &self.path,
            keys: &self.keys,
            widths: arrays.widths,
            observations,
            actions,
            rewards,
            next: next.map(|next| &*next),
            stated_bounds: self.stated_bounds.clone(),
        };
        settle(values, ends, options, notes)
    }

    fn found_ends(&self) -> Result<Vec<Found>, DataError> {
        let flags = |(name, column): &(&'static Name, Column)| {
            let flags = match name.meaning {
                Meaning::EndIndices => self.indices(column)?,
                Meaning::Start => flags_of_starts(&column.flags()?),
                _ => column.flags()?,
            };
            Ok(Found { name, flags })
        };
        self.ends.iter().map(flags).collect()
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
        flags_of_indices(&column.values()?, self.rows).map_err(unclear)
    }
}
