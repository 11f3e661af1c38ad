//! Rows turned into the (s, a, r, s', terminal) that a critic learns from.

use super::dataset::Dataset;
use super::matrix::Matrix;

/// What a critic learns from; every row has a successor that really followed, or none that counts.
///
/// - A terminal cuts the bootstrap, a timeout does not. Where a row carries both flags the terminal
///   wins (Gymnasium passes both through): its reward counts and nothing follows.
/// - Without `next_observations` the successor is the following row. The last row of a file and a
///   row with a timeout alone have no known successor and are dropped. A terminal row is kept; its
///   successor is never used.
/// - With `next_observations` every row is kept whose recorded successor is what followed
///   ([`Interruptions`](super::Interruptions)).
///
/// But for rows with both flags these are the rules of D4RL's `qlearning_dataset`.
#[derive(Debug, Clone)]
pub struct Transitions {
    /// `[M, observation_dim]`: where the actions were taken.
    pub observations: Matrix,
    /// `[M, action_dim]`, in −1 … 1.
    pub actions: Matrix,
    /// `[M]`, in the file's units.
    pub rewards: Vec<f32>,
    /// `[M, observation_dim]`; arbitrary where `terminals` is set.
    pub next_observations: Matrix,
    /// `[M]`: no bootstrap from `next_observations` where set.
    pub terminals: Vec<bool>,
    /// `[M]`: the clock ended the episode here, and the task did not.
    pub timeouts: Vec<bool>,
    /// `[M]`: the same episode goes on with the next transition.
    pub continues: Vec<bool>,
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
        self.clone_columns().into_transitions()
    }

    /// A copy without sources' names and notes' texts, which transitions do not need.
    fn clone_columns(&self) -> Self {
        Self {
            notes: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns the same as [`transitions`](Self::transitions), reusing this data set's memory:
    /// nothing is copied where all `next_observations` are on record, and one array otherwise.
    pub fn into_transitions(self) -> Transitions {
        let kept = self.rows_with_successor();
        let pick = |flags: &[bool]| kept.iter().map(|&row| flags[row]).collect::<Vec<bool>>();
        let (terminals, continues) = (pick(&self.terminals), self.continues(&kept));
        let timeouts = kept
            .iter()
            .map(|&row| self.timeouts[row] && !self.terminals[row])
            .collect();
        let rewards = kept.iter().map(|&row| self.rewards[row]).collect();
        let next_observations = match self.next_observations {
            Some(next_observations) => next_observations.compact(&kept),
            None => {
                // A terminal in the last row has no following row; its successor is never used.
                let last = self.rewards.len() - 1;
                let following: Vec<usize> = kept.iter().map(|row| (row + 1).min(last)).collect();
                self.observations.gather(&following)
            }
        };
        Transitions {
            next_observations,
            observations: self.observations.compact(&kept),
            actions: self.actions.compact(&kept),
            rewards,
            terminals,
            timeouts,
            continues,
        }
    }

    /// Rows that give a transition.
    fn rows_with_successor(&self) -> Vec<usize> {
        let mut lost = vec![false; self.len()];
        self.interruptions
            .no_transition
            .iter()
            .for_each(|&row| lost[row] = true);
        if self.next_observations.is_none() {
            for source in self.source_ranges() {
                let last = source.end.wrapping_sub(1);
                for row in source {
                    let unknown = self.timeouts[row] || row == last;
                    lost[row] |= unknown && !self.terminals[row];
                }
            }
        }
        (0..self.len()).filter(|&row| !lost[row]).collect()
    }

    /// Tells for each of the rows `kept` whether its episode goes on with the next of them.
    fn continues(&self, kept: &[usize]) -> Vec<bool> {
        let mut ends: Vec<bool> = self
            .terminals
            .iter()
            .zip(&self.timeouts)
            .map(|(&terminal, &timeout)| terminal || timeout)
            .collect();
        for source in self.source_ranges() {
            if let Some(last) = source.last() {
                ends[last] = true;
            }
        }
        self.interruptions
            .breaks
            .iter()
            .for_each(|&row| ends[row] = true);
        let following = kept.iter().skip(1).map(Some).chain([None]);
        kept.iter()
            .zip(following)
            .map(|(&row, next)| !ends[row] && next == Some(&(row + 1)))
            .collect()
    }
}
