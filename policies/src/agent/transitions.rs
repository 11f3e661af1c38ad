//! Recorded transitions in the coordinates that networks see: what a critic learns from.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Numbers that are only read, wherever they lie: a vector, or a mapped file of a data set larger than memory.
#[derive(Clone)]
pub struct Numbers(Arc<dyn AsRef<[f32]> + Send + Sync>);

impl<V: AsRef<[f32]> + Send + Sync + 'static> From<V> for Numbers {
    fn from(values: V) -> Self {
        Self(Arc::new(values))
    }
}

impl Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        (*self.0).as_ref()
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

/// Transitions in recorded order, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transitions {
    /// Width of an observation.
    pub observation_dim: usize,
    /// Width of an action.
    pub action_dim: usize,
    /// Normalised observations [rows, observation_dim].
    pub observations: Numbers,
    /// Normalised next observations [rows, observation_dim].
    pub next_observations: Numbers,
    /// Actions in [-1, 1], [rows, action_dim].
    pub actions: Numbers,
    /// Rewards in the critic's units, `[rows]`.
    pub rewards: Vec<f32>,
    /// Whether the episode ended for good, `[rows]`.
    pub terminals: Vec<bool>,
    /// Whether the next row goes on with the same episode, `[rows]`.
    pub continues: Vec<bool>,
}

/// A batch of transitions on the host, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TransitionBatch {
    /// Where the actions were taken, [rows, observation_dim].
    pub observations: Vec<f32>,
    /// The data's actions, [rows, action_dim].
    pub actions: Vec<f32>,
    /// Σ γ^j r over the timesteps up to the bootstrap, `[rows]`.
    pub rewards: Vec<f32>,
    /// Where the bootstrap looks, [rows, observation_dim].
    pub next_observations: Vec<f32>,
    /// Weight of the bootstrap: γ^timesteps, or 0 where the episode ended for good, `[rows]`.
    pub discounts: Vec<f32>,
}

/// A return over several timesteps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Return {
    /// Σ γ^j r.
    pub sum: f32,
    /// Row whose successor is the bootstrap.
    pub last: usize,
    /// γ^timesteps, or 0 after a terminal.
    pub discount: f32,
}

impl Transitions {
    /// Returns the number of transitions.
    pub(crate) fn count(&self) -> usize {
        self.rewards.len()
    }

    /// Returns the return over at most `timesteps` from `row`; it ends early where the episode ends.
    pub(crate) fn return_from(&self, row: usize, timesteps: usize, discount: f64) -> Return {
        let (mut sum, mut weight, mut last) = (0.0, 1.0, row);
        for j in 0..timesteps {
            last = row + j;
            sum += weight * f64::from(self.rewards[last]);
            weight *= discount;
            if self.terminals[last] {
                weight = 0.0;
                break;
            }
            if !self.continues[last] {
                break;
            }
        }
        Return {
            sum: sum as f32,
            last,
            discount: weight as f32,
        }
    }

    /// Returns the given rows, with returns over at most `timesteps`.
    pub(crate) fn batch(&self, rows: &[usize], timesteps: usize, discount: f64) -> TransitionBatch {
        let returns = rows.iter();
        let returns: Vec<Return> = returns
            .map(|&row| self.return_from(row, timesteps, discount))
            .collect();
        let last: Vec<usize> = returns.iter().map(|r| r.last).collect();
        TransitionBatch {
            observations: gather(&self.observations, self.observation_dim, rows),
            actions: gather(&self.actions, self.action_dim, rows),
            rewards: returns.iter().map(|r| r.sum).collect(),
            next_observations: gather(&self.next_observations, self.observation_dim, &last),
            discounts: returns.iter().map(|r| r.discount).collect(),
        }
    }
}

/// Returns rows of `width` values, in the order asked for.
pub fn gather(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        out.extend_from_slice(&values[row * width..(row + 1) * width]);
    }
    out
}

/// Returns [observation, action] rows.
pub(crate) fn joined(observations: &[f32], actions: &[f32], widths: [usize; 2]) -> Vec<f32> {
    let mut out = Vec::with_capacity(observations.len() + actions.len());
    let rows = observations.chunks_exact(widths[0]);
    for (o, a) in rows.zip(actions.chunks_exact(widths[1])) {
        out.extend_from_slice(o);
        out.extend_from_slice(a);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two episodes: three rows that end in a terminal, two that end by the clock.
    #[test]
    fn returns_over_several_timesteps_stop_at_the_end_of_the_episode() {
        let transitions = Transitions {
            rewards: vec![1.0, 2.0, 4.0, 8.0, 16.0],
            terminals: vec![false, false, true, false, false],
            continues: vec![true, true, false, true, false],
            ..Transitions::default()
        };
        let found = |row, timesteps| {
            let r = transitions.return_from(row, timesteps, 0.5);
            (r.sum, r.last, r.discount)
        };
        assert_eq!(found(0, 1), (1.0, 0, 0.5));
        assert_eq!(found(0, 2), (2.0, 1, 0.25));
        assert_eq!(found(0, 9), (3.0, 2, 0.0), "a terminal cuts the bootstrap");
        assert_eq!(found(3, 9), (16.0, 4, 0.25), "the clock does not");
        assert_eq!(found(2, 1), (4.0, 2, 0.0));
    }
}
