//! Replay of good samples. It stores raw values, never values over α, so a change of α
//! leaves nothing stale; paths and log-probabilities are made anew at every use.

use std::collections::VecDeque;

use super::options::ReplayOptions;
use crate::noise::Noise;
use crate::sequential::{Batched, SequentialModel};

/// A condition (one row) and its best samples, best first, with their raw values.
#[derive(Clone)]
struct Entry<M: SequentialModel> {
    condition: M::Condition,
    samples: M::Sample,
    values: Vec<f64>,
}

/// The entries, oldest first.
#[derive(Clone)]
pub struct Replay<M: SequentialModel> {
    options: ReplayOptions,
    entries: VecDeque<Entry<M>>,
}

/// Samples drawn from a replay, `paths` per condition.
pub struct Replayed<M: SequentialModel> {
    /// Conditions, one row per group.
    pub conditions: M::Condition,
    /// Conditions, each repeated for its samples.
    pub condition: M::Condition,
    /// Samples to be noised backwards, one per repeated condition.
    pub samples: M::Sample,
    /// Value of each sample, not yet divided by α.
    pub values: Vec<f64>,
}

impl<M: SequentialModel> Replay<M> {
    /// Returns an empty replay.
    pub fn new(options: ReplayOptions) -> Self {
        Self {
            options,
            entries: VecDeque::new(),
        }
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the best samples of each condition; there are `per_condition` consecutive samples of each.
    pub fn store(
        &mut self,
        condition: &M::Condition,
        samples: &M::Sample,
        values: &[f64],
        per_condition: usize,
    ) {
        for (c, group) in values.chunks_exact(per_condition).enumerate() {
            let mut order: Vec<usize> = (0..per_condition).collect();
            order.sort_by(|&i, &j| group[j].total_cmp(&group[i]));
            order.truncate(self.options.paths);
            let rows: Vec<usize> = order.iter().map(|i| c * per_condition + i).collect();
            if self.entries.len() == self.options.capacity {
                self.entries.pop_front();
            }
            self.entries.push_back(Entry {
                condition: condition.pick(&[c]),
                samples: samples.pick(&rows),
                values: order.iter().map(|&i| group[i]).collect(),
            });
        }
    }

    /// Returns the probability of drawing each entry, oldest first.
    pub fn probabilities(&self) -> Vec<f64> {
        let count = self.entries.len();
        let mut order: Vec<usize> = (0..count).collect();
        let best = |i: usize| self.entries[i].values[0];
        order.sort_by(|&i, &j| best(j).total_cmp(&best(i)));
        let mut weights = vec![0.0; count];
        for (rank, &i) in order.iter().enumerate() {
            let age = (count - 1 - i) as f64;
            weights[i] = (1.0 + rank as f64).powf(-self.options.value_priority)
                * (1.0 + age).powf(-self.options.recency_priority);
        }
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).collect()
    }

    /// Draws groups with replacement, or nothing while the replay is empty.
    pub(crate) fn draw(&self, noise: &mut Noise) -> Option<Replayed<M>> {
        if self.entries.is_empty() || self.options.groups == 0 {
            return None;
        }
        let probabilities = self.probabilities();
        let (mut conditions, mut samples, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::new();
        for _ in 0..self.options.groups {
            let mut left = noise.uniform();
            let drawn = probabilities.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            let entry = &self.entries[drawn.unwrap_or(self.entries.len() - 1)];
            groups.push(entry.condition.clone());
            conditions.push(entry.condition.repeated(entry.values.len()));
            samples.push(entry.samples.clone());
            values.extend_from_slice(&entry.values);
        }
        Some(Replayed {
            conditions: M::Condition::join(&groups),
            condition: M::Condition::join(&conditions),
            samples: M::Sample::join(&samples),
            values,
        })
    }
}
