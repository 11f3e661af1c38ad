//! Rows turned into the (s, a, r, s', terminal) that a critic learns from.

use ndarray::Array2;

use super::dataset::{Dataset, matrix};

/// What a critic learns from; every row has a successor that really followed, or none that counts.
///
/// The rules are those of D4RL's `qlearning_dataset`:
/// - A terminal cuts the bootstrap, a timeout does not. Where a row carries both flags the timeout
///   wins: many recorders set `terminals = done`, which includes the clock.
/// - Without `next_observations` the successor is the following row. The last row of a file and a
///   row with a timeout have no known successor and are dropped. A terminal row is kept; its
///   successor is the next episode's first observation and never used.
/// - With `next_observations` every row is kept: its successor is on record.
#[derive(Debug, Clone)]
pub struct Transitions {
    /// `[M, observation_dim]`
    pub observations: Array2<f32>,
    /// `[M, action_dim]`
    pub actions: Array2<f32>,
    /// `[M]`
    pub rewards: Vec<f32>,
    /// `[M, observation_dim]`; arbitrary where `terminals` is set.
    pub next_observations: Array2<f32>,
    /// `[M]`: no bootstrap from `next_observations` where set.
    pub terminals: Vec<bool>,
}

impl Transitions {
    /// Returns the number of transitions `M`.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Returns whether there are no transitions.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }
}

impl Dataset {
    /// Returns the transitions, copied; see [`Transitions`] for the rules.
    pub fn transitions(&self) -> Transitions {
        if let Some(next_observations) = &self.next_observations {
            return Transitions {
                observations: self.observations.clone(),
                actions: self.actions.clone(),
                rewards: self.rewards.clone(),
                next_observations: next_observations.clone(),
                terminals: self.cutting_terminals(),
            };
        }
        let kept = self.rows_with_successor();
        let successors: Vec<usize> = kept.iter().map(|row| row + 1).collect();
        Transitions {
            observations: gather(&self.observations, &kept),
            actions: gather(&self.actions, &kept),
            rewards: kept.iter().map(|&row| self.rewards[row]).collect(),
            next_observations: gather(&self.observations, &successors),
            terminals: kept.iter().map(|&row| self.terminals[row]).collect(),
        }
    }

    /// Returns the same as [`transitions`](Self::transitions), reusing this data set's memory:
    /// nothing is copied where `next_observations` are on record, and one array otherwise.
    pub fn into_transitions(self) -> Transitions {
        let terminals = self.cutting_terminals();
        if let Some(next_observations) = self.next_observations {
            return Transitions {
                observations: self.observations,
                actions: self.actions,
                rewards: self.rewards,
                next_observations,
                terminals,
            };
        }
        let kept = self.rows_with_successor();
        let successors: Vec<usize> = kept.iter().map(|row| row + 1).collect();
        Transitions {
            next_observations: gather(&self.observations, &successors),
            observations: compact(self.observations, &kept),
            actions: compact(self.actions, &kept),
            rewards: kept.iter().map(|&row| self.rewards[row]).collect(),
            terminals: kept.iter().map(|&row| self.terminals[row]).collect(),
        }
    }

    fn cutting_terminals(&self) -> Vec<bool> {
        self.terminals
            .iter()
            .zip(&self.timeouts)
            .map(|(&terminal, &timeout)| terminal && !timeout)
            .collect()
    }

    fn rows_with_successor(&self) -> Vec<usize> {
        let not_last =
            |rows: std::ops::Range<usize>| rows.start..rows.end.saturating_sub(1).max(rows.start);
        self.source_ranges()
            .into_iter()
            .flat_map(not_last)
            .filter(|&row| !self.timeouts[row])
            .collect()
    }
}

/// Returns the rows of `array` at `rows`, in that order.
fn gather(array: &Array2<f32>, rows: &[usize]) -> Array2<f32> {
    let mut gathered = Array2::zeros((rows.len(), array.ncols()));
    for (mut target, &row) in gathered.outer_iter_mut().zip(rows) {
        target.assign(&array.row(row));
    }
    gathered
}

/// Moves the rows at `rows` (ascending) to the front and gives back the rest of the memory.
fn compact(array: Array2<f32>, rows: &[usize]) -> Array2<f32> {
    if !array.is_standard_layout() {
        return gather(&array, rows);
    }
    let width = array.ncols();
    let (mut values, offset) = array.into_raw_vec_and_offset();
    let offset = offset.unwrap_or(0);
    for (target, &row) in rows.iter().enumerate() {
        let start = offset + row * width;
        values.copy_within(start..start + width, target * width);
    }
    values.truncate(rows.len() * width);
    values.shrink_to_fit();
    matrix(values, width)
}
