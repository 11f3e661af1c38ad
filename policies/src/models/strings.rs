//! Strings of tokens and the paths that make them, shared by the discrete models.

use std::collections::HashMap;

use burn::tensor::{Tensor, activation};
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::sequential::{Batched, condition_columns};

/// Strings of one length, row-major, tokens from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// The tokens [rows, length].
    pub tokens: Vec<u32>,
    /// Tokens per string.
    pub length: usize,
}

impl Batched for Strings {
    fn count(&self) -> usize {
        self.tokens.len() / self.length
    }

    fn pick(&self, rows: &[usize]) -> Self {
        let row = |&r: &usize| self.tokens[r * self.length..(r + 1) * self.length].to_vec();
        Self {
            tokens: rows.iter().flat_map(row).collect(),
            length: self.length,
        }
    }

    fn join(parts: &[Self]) -> Self {
        Self {
            tokens: parts.iter().flat_map(|p| p.tokens.clone()).collect(),
            length: parts[0].length,
        }
    }

    fn numbers(&self) -> Vec<f64> {
        self.tokens.iter().map(|&t| f64::from(t)).collect()
    }
}

impl Strings {
    /// Returns `rows` strings of one token.
    pub(crate) fn filled(token: u32, rows: usize, length: usize) -> Self {
        Self {
            tokens: vec![token; rows * length],
            length,
        }
    }

    /// Returns all strings of `length` tokens below `vocabulary`, in the order of [`Self::index`].
    pub fn all(vocabulary: usize, length: usize) -> Self {
        let digits = |mut i: usize| -> Vec<u32> {
            let mut row = vec![0; length];
            for slot in row.iter_mut().rev() {
                *slot = (i % vocabulary) as u32;
                i /= vocabulary;
            }
            row
        };
        Self {
            tokens: (0..vocabulary.pow(length as u32))
                .flat_map(digits)
                .collect(),
            length,
        }
    }

    /// Returns the distinct rows in the order of their first appearance, and which of them each row is.
    pub(crate) fn distinct(&self) -> (Self, Vec<usize>) {
        let mut seen: HashMap<&[u32], usize> = HashMap::new();
        let mut tokens = Vec::new();
        let mut which = |row| {
            let next = seen.len();
            *seen.entry(row).or_insert_with(|| {
                tokens.extend_from_slice(row);
                next
            })
        };
        let rows = self.tokens.chunks_exact(self.length);
        let which = rows.map(&mut which).collect();
        let length = self.length;
        (Self { tokens, length }, which)
    }

    /// Returns each row as a number in base `vocabulary`, first token first.
    pub fn index(&self, vocabulary: usize) -> Vec<usize> {
        let number = |row: &[u32]| row.iter().fold(0, |n, &t| n * vocabulary + t as usize);
        self.tokens.chunks_exact(self.length).map(number).collect()
    }

    /// Returns the strings with every token from `position` on replaced by `hidden`.
    pub(crate) fn prefix(&self, position: usize, hidden: u32) -> Self {
        let mut strings = self.clone();
        for row in strings.tokens.chunks_exact_mut(self.length) {
            row[position..].fill(hidden);
        }
        strings
    }
}

/// A finished string, the position that each step filled, and the condition.
#[derive(Clone, Debug)]
pub struct StringPath {
    /// The finished strings.
    pub strings: Strings,
    /// Position filled at each step [paths, length]: the state before step k shows the first k of them.
    pub order: Vec<u32>,
    /// Condition [paths, condition_dim].
    pub condition: Tensor<2>,
}

impl StringPath {
    /// Returns the strings before `step`, unfilled positions with the token `hidden`.
    pub(crate) fn state(&self, step: usize, hidden: u32) -> Strings {
        let length = self.strings.length;
        let mut state = Strings::filled(hidden, self.strings.count(), length);
        let rows = self.order.chunks_exact(length).enumerate();
        for (row, order) in rows {
            for &position in &order[..step] {
                let at = row * length + position as usize;
                state.tokens[at] = self.strings.tokens[at];
            }
        }
        state
    }
}

/// Returns what a network for the value of a state sees: one-hot rows and the condition's columns.
pub(crate) fn state_columns(
    path: &StringPath,
    step: usize,
    vocabulary: usize,
    condition_dim: usize,
) -> Tensor<2> {
    let symbols = vocabulary + 1;
    let state = path.state(step, vocabulary as u32);
    let mut hot = vec![0.0; state.tokens.len() * symbols];
    for (row, &token) in hot.chunks_exact_mut(symbols).zip(&state.tokens) {
        row[token as usize] = 1.0;
    }
    let device = path.condition.device().inner();
    let hot = matrix(hot, symbols * state.length, &device);
    let condition = condition_columns(&path.condition, condition_dim);
    Tensor::cat(vec![hot, condition], 1)
}

/// Returns the log-softmax of logits [rows, choices] at the chosen index of each row, 0 for a row without a choice, `[rows]`.
pub(crate) fn chosen_log_probs(logits: Tensor<2>, chosen: &[Option<usize>]) -> Tensor<1> {
    let [rows, width] = logits.dims();
    let device = logits.device().inner();
    let mut mask = vec![0.0f32; rows * width];
    for (row, index) in chosen.iter().enumerate() {
        if let Some(index) = index {
            mask[row * width + index] = 1.0;
        }
    }
    let log_probs = activation::log_softmax(logits, 1);
    (log_probs * matrix(mask, width, &device))
        .sum_dim(1)
        .reshape([rows])
}

/// log softmax over some columns of a row of outputs, with its gradient.
#[derive(Default)]
pub(crate) struct LogSoftmax {
    shares: Vec<f32>,
}

impl LogSoftmax {
    /// Returns log softmax(outputs at these columns) of the chosen one of them, and adds `scale` times its gradient.
    pub(crate) fn of(
        &mut self,
        row: &[f32],
        columns: &[usize],
        chosen: usize,
        gradient: Option<(&mut [f32], f32)>,
    ) -> f64 {
        let logits = columns.iter().map(|&c| row[c]);
        let top = logits.clone().fold(f32::NEG_INFINITY, f32::max);
        self.shares.clear();
        self.shares.extend(logits.map(|l| (l - top).exp()));
        let sum: f64 = self.shares.iter().map(|&s| f64::from(s)).sum();
        if let Some((gradient, scale)) = gradient {
            let factor = scale / sum as f32;
            for (&column, share) in columns.iter().zip(&self.shares) {
                gradient[column] -= factor * share;
            }
            gradient[columns[chosen]] += scale;
        }
        f64::from(row[columns[chosen]] - top) - sum.ln()
    }
}

/// Draws an index with the given probabilities from a uniform number in [0, 1).
pub(crate) fn pick(probabilities: &[f64], uniform: f64) -> usize {
    let mut left = uniform;
    let drawn = probabilities.iter().position(|p| {
        left -= p;
        left < 0.0
    });
    drawn.unwrap_or(probabilities.len() - 1)
}

/// Returns the probabilities of logits divided by `temperature`, in f64.
pub(crate) fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |&l: &f32| (f64::from(l - top) / temperature).exp();
    let weights: Vec<f64> = logits.iter().map(exp).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// Returns ½ Σ |p − q|.
pub fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    0.5 * p.iter().zip(q).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

/// A posterior over an enumerated set.
#[derive(Clone, Debug)]
pub struct Enumerated {
    /// Log of Σ p r over the set, nats.
    pub log_z: f64,
    /// p r / Z of each element.
    pub probabilities: Vec<f64>,
}

/// Returns the exact posterior of an enumerated prior and log-rewards.
pub fn enumerated_posterior(prior: &[f64], log_reward: &[f64]) -> Enumerated {
    let logs: Vec<f64> = prior
        .iter()
        .zip(log_reward)
        .map(|(p, r)| p.ln() + r)
        .collect();
    let log_z = tiltrl_tilt::rtb::log_mean_exp(&logs) + (logs.len() as f64).ln();
    Enumerated {
        log_z,
        probabilities: logs.iter().map(|l| (l - log_z).exp()).collect(),
    }
}
