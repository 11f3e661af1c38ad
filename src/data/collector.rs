//! Experience gathered in memory, one row at a time, as a [`Dataset`].

use super::dataset::{Dataset, Interruptions};
use super::matrix::Matrix;
use super::units::ActionBounds;

/// What follows a recorded step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The episode goes on with the next row.
    Continues,
    /// The task ended: nothing to bootstrap from.
    Terminated,
    /// The horizon was reached, or the recording stopped: the task would have gone on.
    TimedOut,
}

impl Ending {
    /// Returns the ending of a step of an environment; where the task ends at the very last step of
    /// the horizon, the task's end wins: its reward counts and nothing follows.
    pub fn of(terminated: bool, truncated: bool) -> Self {
        match (terminated, truncated) {
            (true, _) => Self::Terminated,
            (false, true) => Self::TimedOut,
            (false, false) => Self::Continues,
        }
    }
}

/// Whether successors are stored (they double the size of the observations).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextObservations {
    /// Every row keeps its successor, and no transition is lost at a timeout.
    Stored,
    /// As most D4RL files: the successor is the next row, and a timeout costs one transition.
    Omitted,
}

/// One transition: a step of an environment, and what was seen before and after it.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// `[observation_dim]`: what was seen before acting.
    pub observation: &'a [f32],
    /// `[action_dim]`: what was done, as environments take it (−1 … 1).
    pub action: &'a [f32],
    /// The reward of the step, unscaled.
    pub reward: f32,
    /// `[observation_dim]`: what was seen after acting (before any reset).
    pub next_observation: &'a [f32],
    /// Whether the episode goes on, ends, or is cut.
    pub ending: Ending,
}

/// Gathers rows in the order they are pushed: whole episodes after one another.
///
/// Environments that run side by side each get a recorder of their own;
/// [`append`](Self::append) joins them in a fixed order.
#[derive(Debug, Clone)]
pub struct Recorder {
    observation_dim: usize,
    action_dim: usize,
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    next_observations: Option<Vec<f32>>,
    terminals: Vec<bool>,
    timeouts: Vec<bool>,
}

impl Recorder {
    /// Returns an empty recorder.
    ///
    /// # Panics
    /// If a dimension is 0.
    pub fn new(observation_dim: usize, action_dim: usize, next: NextObservations) -> Self {
        assert!(
            observation_dim > 0 && action_dim > 0,
            "observations and actions have entries"
        );
        Self {
            observation_dim,
            action_dim,
            observations: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            next_observations: (next == NextObservations::Stored).then(Vec::new),
            terminals: Vec::new(),
            timeouts: Vec::new(),
        }
    }

    /// Returns the number of rows so far.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Returns whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Appends one step.
    ///
    /// # Panics
    /// If a slice has another length than the recorder's dimensions.
    pub fn push(&mut self, transition: Transition<'_>) {
        assert_eq!(
            transition.observation.len(),
            self.observation_dim,
            "observation_dim"
        );
        assert_eq!(
            transition.next_observation.len(),
            self.observation_dim,
            "observation_dim of the successor"
        );
        assert_eq!(transition.action.len(), self.action_dim, "action_dim");
        self.observations.extend_from_slice(transition.observation);
        self.actions.extend_from_slice(transition.action);
        self.rewards.push(transition.reward);
        if let Some(next_observations) = &mut self.next_observations {
            next_observations.extend_from_slice(transition.next_observation);
        }
        self.terminals.push(transition.ending == Ending::Terminated);
        self.timeouts.push(transition.ending == Ending::TimedOut);
    }

    /// Marks the last row as a timeout, unless it ended its episode already: call it when the
    /// recording stops inside an episode. Does nothing on an empty recorder.
    pub fn cut(&mut self) {
        if let (Some(false), Some(timeout)) = (self.terminals.last(), self.timeouts.last_mut()) {
            *timeout = true;
        }
    }

    /// Appends all rows of `other`.
    ///
    /// # Panics
    /// If the dimensions or the [`NextObservations`] differ, or if this recorder's last row does
    /// not end its episode: the rows of `other` would pass for its continuation.
    pub fn append(&mut self, other: Self) {
        assert_eq!(
            self.observation_dim, other.observation_dim,
            "observation_dim"
        );
        assert_eq!(self.action_dim, other.action_dim, "action_dim");
        let ended = |flags: &[bool]| flags.last().copied().unwrap_or(true);
        assert!(
            other.is_empty() || ended(&self.terminals) || ended(&self.timeouts),
            "the last episode has ended; see Recorder::cut"
        );
        self.observations.extend(other.observations);
        self.actions.extend(other.actions);
        self.rewards.extend(other.rewards);
        match (&mut self.next_observations, other.next_observations) {
            (Some(mine), Some(theirs)) => mine.extend(theirs),
            (None, None) => {}
            _ => panic!("both recorders store successors, or neither does"),
        }
        self.terminals.extend(other.terminals);
        self.timeouts.extend(other.timeouts);
    }

    /// Returns the rows as a data set without sources. Nothing is copied.
    pub fn finish(self) -> Dataset {
        let (observation_dim, action_dim) = (self.observation_dim, self.action_dim);
        let bounded = self.actions.iter().all(|action| action.abs() <= 1.0);
        Dataset {
            action_bounds: bounded.then(|| ActionBounds::symmetric(1.0, action_dim)),
            interruptions: Interruptions::default(),
            notes: Vec::new(),
            observations: Matrix::new(self.observations, observation_dim),
            actions: Matrix::new(self.actions, action_dim),
            rewards: self.rewards,
            next_observations: self
                .next_observations
                .map(|values| Matrix::new(values, observation_dim)),
            terminals: self.terminals,
            timeouts: self.timeouts,
            sources: Vec::new(),
        }
    }
}
