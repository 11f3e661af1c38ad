//! Return and length of episodes.

use crate::env::{Env, EnvSpec, Step};
use std::collections::VecDeque;

/// One finished episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeRecord {
    /// Sum of its rewards.
    pub episode_return: f64,
    /// Number of its steps.
    pub length: usize,
    /// Whether the task ended it (otherwise it was cut at the horizon or by a reset).
    pub terminated: bool,
}

/// An environment that keeps the records of its last episodes.
pub struct EpisodeStatistics {
    inner: Box<dyn Env>,
    current: EpisodeRecord,
    records: VecDeque<EpisodeRecord>,
    capacity: usize,
}

const EMPTY: EpisodeRecord = EpisodeRecord {
    episode_return: 0.0,
    length: 0,
    terminated: false,
};

impl EpisodeStatistics {
    /// Keeps at most `capacity` records.
    pub fn new(inner: Box<dyn Env>, capacity: usize) -> Self {
        Self {
            inner,
            current: EMPTY,
            records: VecDeque::with_capacity(capacity),
            capacity,
        }
    }

    /// The records of the last finished episodes, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &EpisodeRecord> {
        self.records.iter()
    }

    fn finish(&mut self) {
        if self.current.length > 0 && self.capacity > 0 {
            if self.records.len() == self.capacity {
                self.records.pop_front();
            }
            self.records.push_back(self.current);
        }
        self.current = EMPTY;
    }
}

impl Env for EpisodeStatistics {
    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.finish();
        self.inner.reset(seed, observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let step = self.inner.step(action, observation);
        self.current.episode_return += step.reward;
        self.current.length += 1;
        self.current.terminated = step.terminated;
        if step.terminated || self.current.length == self.inner.spec().horizon {
            self.finish();
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    #[test]
    fn an_episode_is_recorded_at_its_horizon_and_when_it_is_cut_short() {
        let mut env = EpisodeStatistics::new(Box::new(Pendulum::new()), 2);
        let mut observation = [0.0; 3];
        env.reset(0, &mut observation);
        let mut sum = 0.0;
        for _ in 0..200 {
            sum += env.step(&[0.1], &mut observation).reward;
        }
        env.reset(1, &mut observation);
        for _ in 0..7 {
            env.step(&[0.1], &mut observation);
        }
        env.reset(2, &mut observation);
        let records: Vec<_> = env.records().copied().collect();
        assert_eq!(
            records.iter().map(|r| r.length).collect::<Vec<_>>(),
            [200, 7]
        );
        assert_eq!(records[0].episode_return, sum);
    }
}
