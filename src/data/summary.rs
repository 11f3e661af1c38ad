//! What is in a data set, in numbers.

use std::path::PathBuf;

use serde::Serialize;
use tiltrl_envs::ReferenceScores;

use super::dataset::Dataset;
use super::matrix::Matrix;
use super::notes::Note;
use crate::stats;

/// An action entry counts as saturated beyond this absolute value.
const SATURATION: f32 = 0.99;
/// Bins of the histogram of returns.
const BINS: usize = 20;

/// What is in a data set; made by [`summarize`], printed by [`Summary::to_table`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The files, in order.
    pub sources: Vec<PathBuf>,
    /// The hash that identifies the data, see [`Dataset::sha256`].
    pub sha256: String,
    /// Number of rows.
    pub transitions: usize,
    /// Number of entries of an observation.
    pub observation_dim: usize,
    /// Number of entries of an action.
    pub action_dim: usize,
    /// Whether successors are on record.
    pub has_next_observations: bool,
    /// Number of complete episodes.
    pub episodes: usize,
    /// Number of rows with the terminal flag.
    pub terminals: usize,
    /// Number of rows with the timeout flag.
    pub timeouts: usize,
    /// Rows after the last complete episode of each source.
    pub trailing_transitions: usize,
    /// Returns of the complete episodes.
    pub returns: Statistics,
    /// Timesteps of the complete episodes.
    pub lengths: Statistics,
    /// Rewards of all rows.
    pub rewards: Statistics,
    /// The returns on the scale of the environment's reference values, where those are known.
    pub normalized_score: Option<NormalizedScore>,
    /// Smallest value of each action entry.
    pub action_minimum: Vec<f32>,
    /// Largest value of each action entry.
    pub action_maximum: Vec<f32>,
    /// Share of rows with |entry| > 0.99, for each action entry.
    pub action_saturation: Vec<f64>,
    /// NaN and infinite values; 0 for data that came through [`Dataset::read`].
    pub not_finite: usize,
    /// What the reader guessed, repaired, clipped or dropped.
    pub notes: Vec<Note>,
    /// How the returns are distributed.
    pub histogram: Histogram,
}

/// Location and spread of some numbers; all NaN where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// Sum over the count.
    pub mean: f64,
    /// Standard deviation of the numbers themselves (divided by their count, as NumPy does).
    pub standard_deviation: f64,
    /// Smallest of the numbers.
    pub minimum: f64,
    /// Median; of an even count, the mean of the middle two.
    pub median: f64,
    /// Largest of the numbers.
    pub maximum: f64,
}

/// Returns on D4RL's scale, 100 · (return − minimum) / (maximum − minimum).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NormalizedScore {
    /// Mean score of the complete episodes.
    pub mean: f64,
    /// Standard deviation of the scores.
    pub standard_deviation: f64,
    /// The return that scores 0.
    pub reference_minimum: f64,
    /// The return that scores 100.
    pub reference_maximum: f64,
}

/// Counts of values in adjoining bins; bin `i` is `[edges[i], edges[i + 1])`, the last one closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// `[bins + 1]`, ascending.
    pub edges: Vec<f64>,
    /// Values per bin, `[bins]`.
    pub counts: Vec<usize>,
}

/// Returns what is in `dataset`, with a score where the returns that count as 0 and 100 are known.
pub fn summarize(dataset: &Dataset, reference: Option<ReferenceScores>) -> Summary {
    let returns = dataset.episode_returns();
    let lengths: Vec<f64> = dataset
        .episode_lengths()
        .iter()
        .map(|&length| length as f64)
        .collect();
    let rewards: Vec<f64> = dataset
        .rewards
        .iter()
        .map(|&reward| f64::from(reward))
        .collect();
    let complete = lengths.iter().sum::<f64>() as usize;
    let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
    let actions = ActionRange::of(&dataset.actions);
    let statistics = Statistics::of(&returns);
    Summary {
        sources: dataset
            .sources
            .iter()
            .map(|source| source.path.clone())
            .collect(),
        sha256: dataset.sha256(),
        transitions: dataset.len(),
        observation_dim: dataset.observations.ncols(),
        action_dim: dataset.actions.ncols(),
        has_next_observations: dataset.next_observations.is_some(),
        episodes: returns.len(),
        terminals: count(&dataset.terminals),
        timeouts: count(&dataset.timeouts),
        trailing_transitions: dataset.len() - complete,
        returns: statistics,
        lengths: Statistics::of(&lengths),
        rewards: Statistics::of(&rewards),
        normalized_score: reference.map(|r| NormalizedScore::of(statistics, r)),
        action_minimum: actions.minimum,
        action_maximum: actions.maximum,
        action_saturation: actions.saturation,
        not_finite: not_finite(dataset),
        notes: dataset.notes.clone(),
        histogram: Histogram::of(&returns, BINS),
    }
}

/// What the entries of actions reach, one of each per entry.
struct ActionRange {
    minimum: Vec<f32>,
    maximum: Vec<f32>,
    /// Shares of the rows beyond [`SATURATION`].
    saturation: Vec<f64>,
}

impl ActionRange {
    /// Looks at every row once, in order: they may lie on a disk.
    fn of(actions: &Matrix) -> Self {
        let (rows, width) = actions.dim();
        let (mut minimum, mut maximum) = (vec![f32::NAN; width], vec![f32::NAN; width]);
        let mut saturated = vec![0_usize; width];
        for row in actions.values().chunks_exact(width) {
            for (entry, &value) in row.iter().enumerate() {
                minimum[entry] = minimum[entry].min(value);
                maximum[entry] = maximum[entry].max(value);
                saturated[entry] += usize::from(value.abs() > SATURATION);
            }
        }
        let share = |&count: &usize| count as f64 / rows as f64;
        Self {
            minimum,
            maximum,
            saturation: saturated.iter().map(share).collect(),
        }
    }
}

fn not_finite(dataset: &Dataset) -> usize {
    let next = dataset.next_observations.iter().flatten();
    let matrices = dataset
        .observations
        .iter()
        .chain(&dataset.actions)
        .chain(next);
    matrices
        .chain(&dataset.rewards)
        .filter(|value| !value.is_finite())
        .count()
}

impl Statistics {
    /// Returns the statistics of `values`.
    pub fn of(values: &[f64]) -> Self {
        let mean = stats::mean(values);
        let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
        Self {
            mean,
            standard_deviation: stats::mean(&squares).sqrt(),
            minimum: values.iter().copied().fold(f64::NAN, f64::min),
            median: stats::median(values),
            maximum: values.iter().copied().fold(f64::NAN, f64::max),
        }
    }
}

impl NormalizedScore {
    fn of(returns: Statistics, reference: ReferenceScores) -> Self {
        let scale = 100.0 / (reference.max - reference.min);
        Self {
            mean: (returns.mean - reference.min) * scale,
            standard_deviation: returns.standard_deviation * scale.abs(),
            reference_minimum: reference.min,
            reference_maximum: reference.max,
        }
    }
}

impl Histogram {
    /// Returns the counts of `values` in `bins` equal bins from the smallest to the largest value;
    /// if those are equal the bins span one unit around them, and without values [0, 1].
    ///
    /// # Panics
    /// If `bins` is 0.
    pub fn of(values: &[f64], bins: usize) -> Self {
        assert!(bins > 0, "a histogram has bins");
        let minimum = values.iter().copied().fold(f64::NAN, f64::min);
        let maximum = values.iter().copied().fold(f64::NAN, f64::max);
        let (low, high) = match (
            minimum.is_finite() && maximum.is_finite(),
            maximum > minimum,
        ) {
            (false, _) => (0.0, 1.0),
            (true, true) => (minimum, maximum),
            (true, false) => (minimum - 0.5, minimum + 0.5),
        };
        let width = (high - low) / bins as f64;
        let mut counts = vec![0; bins];
        for value in values.iter().filter(|value| value.is_finite()) {
            counts[(((value - low) / width) as usize).min(bins - 1)] += 1;
        }
        let mut edges: Vec<f64> = (0..bins).map(|bin| low + bin as f64 * width).collect();
        edges.push(high);
        Self { edges, counts }
    }
}
