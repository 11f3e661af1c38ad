//! The rows of one or several data files, and the episodes they form.

use std::ops::Range;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::ends::mark_every;
use super::matrix::Matrix;
use super::notes::Note;
use super::units::ActionBounds;

/// Where a run of rows of a [`Dataset`] came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file as it was named.
    pub path: PathBuf,
    /// SHA-256 of the file's bytes, in lower-case hexadecimal; where links lead into other files,
    /// the hash over its hash and theirs, each followed by a line feed.
    pub sha256: String,
    /// Number of rows the file gave.
    pub transitions: usize,
}

/// Recorded experience, one row per timestep, episodes after one another.
///
/// All fields have the same number of rows `N`. Rows of different sources follow each other in the
/// order of `sources`; nothing (no successor, no episode) reaches across from one into the next.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `[N, observation_dim]`: what was seen before acting, in the environment's units.
    pub observations: Matrix,
    /// `[N, action_dim]`: what was done, as shares −1 … 1 of the bounds (see `action_bounds`).
    pub actions: Matrix,
    /// `[N]`: reward of the step, unscaled.
    pub rewards: Vec<f32>,
    /// `[N, observation_dim]`: what was seen after acting, where the files say it.
    pub next_observations: Option<Matrix>,
    /// `[N]`: the task ended here; there is no future to bootstrap from.
    pub terminals: Vec<bool>,
    /// `[N]`: the recording ended here though the task did not.
    pub timeouts: Vec<bool>,
    /// The files, in order; empty for data recorded in memory.
    pub sources: Vec<Source>,
    /// What −1 … 1 of `actions` stood for in the (first) file; `None` where nothing told, and
    /// `actions` are as they were found.
    pub action_bounds: Option<ActionBounds>,
    /// Where rows do not follow each other as their flags say.
    pub interruptions: Interruptions,
    /// What a reader guessed, repaired, clipped or dropped.
    pub notes: Vec<Note>,
}

/// Rows (ascending) that do not follow each other as the flags and the order of rows say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interruptions {
    /// Rows without a transition: what is recorded as their successor is not what followed.
    pub no_transition: Vec<usize>,
    /// Rows after which no flag is set and the episode does not go on with the next row all the same.
    pub breaks: Vec<usize>,
}

impl Dataset {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Returns the SHA-256 that identifies the data, in lower-case hexadecimal.
    ///
    /// One source: the hash of the file. Several: the hash over their hashes, each followed by a
    /// line feed, in order. None (recorded in memory): the hash over the little-endian bytes of
    /// all fields in the order of this struct.
    pub fn sha256(&self) -> String {
        if let [only] = self.sources.as_slice() {
            return only.sha256.clone();
        }
        let mut hasher = Sha256::new();
        for source in &self.sources {
            hasher.update(source.sha256.as_bytes());
            hasher.update(b"\n");
        }
        if self.sources.is_empty() {
            self.hash_contents(&mut hasher);
        }
        hex(&hasher.finalize())
    }

    fn hash_contents(&self, hasher: &mut Sha256) {
        let arrays = [
            Some(&self.observations),
            Some(&self.actions),
            self.next_observations.as_ref(),
        ];
        for array in arrays.into_iter().flatten() {
            hasher.update((array.ncols() as u64).to_le_bytes());
            array
                .iter()
                .for_each(|value| hasher.update(value.to_le_bytes()));
        }
        self.rewards
            .iter()
            .for_each(|reward| hasher.update(reward.to_le_bytes()));
        for (&terminal, &timeout) in self.terminals.iter().zip(&self.timeouts) {
            hasher.update([u8::from(terminal), u8::from(timeout)]);
        }
    }

    /// Returns the row ranges of the complete episodes, in order.
    ///
    /// An episode ends at a row whose terminal or timeout flag is set. Rows after the last such
    /// row of a source are a trailing fragment: part of the [`transitions`](Self::transitions),
    /// but no episode, because its return is unknown. D4RL counts the same way.
    pub fn episodes(&self) -> Vec<Range<usize>> {
        let mut episodes = Vec::new();
        for source in self.source_ranges() {
            let mut start = source.start;
            for row in source {
                if self.terminals[row] || self.timeouts[row] {
                    episodes.push(start..row + 1);
                    start = row + 1;
                }
            }
        }
        episodes
    }

    /// Returns the undiscounted return of each complete episode, summed in f64.
    ///
    /// A trailing fragment is left out, see [`episodes`](Self::episodes).
    pub fn episode_returns(&self) -> Vec<f64> {
        let total = |rows: Range<usize>| {
            self.rewards[rows]
                .iter()
                .map(|&reward| f64::from(reward))
                .sum()
        };
        self.episodes().into_iter().map(total).collect()
    }

    /// Returns the number of timesteps of each complete episode.
    pub fn episode_lengths(&self) -> Vec<usize> {
        self.episodes().iter().map(ExactSizeIterator::len).collect()
    }

    /// Marks a timeout at every `horizon`-th row since the last end of an episode.
    ///
    /// For files that have neither `timeouts` nor `next_observations`: without the marks the last
    /// row of an episode would be given the first observation of the following one as successor.
    ///
    /// # Panics
    /// If `horizon` is 0.
    pub fn mark_timeouts(&mut self, horizon: usize) {
        assert!(horizon > 0, "an episode has at least one timestep");
        for source in self.source_ranges() {
            mark_every(
                horizon,
                &self.terminals[source.clone()],
                &mut self.timeouts[source],
            );
        }
    }

    /// The row range of each source; all rows where there is no source.
    pub(super) fn source_ranges(&self) -> Vec<Range<usize>> {
        if self.sources.is_empty() {
            return std::iter::once(0..self.len()).collect();
        }
        let mut start = 0;
        let mut ranges = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            ranges.push(start..start + source.transitions);
            start += source.transitions;
        }
        assert_eq!(start, self.len(), "the sources account for every row");
        ranges
    }
}

/// Returns `bytes` in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
