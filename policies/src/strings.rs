//! Short strings of tokens and the paths that make them, shared by the discrete models.

use burn::tensor::{Tensor, activation};

use crate::nets::matrix;
use crate::sequential::{Rows, condition_columns};

/// Strings of one length, row-major, tokens from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// The tokens [rows, length].
    pub tokens: Vec<u8>,
    /// Tokens per string.
    pub length: usize,
}

impl Rows for Strings {
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
}

impl Strings {
    /// Returns all strings of `length` tokens below `vocabulary`, in the order of [`Self::index`].
    pub fn all(vocabulary: usize, length: usize) -> Self {
        let digits = |mut i: usize| -> Vec<u8> {
            let mut row = vec![0; length];
            for slot in row.iter_mut().rev() {
                *slot = (i % vocabulary) as u8;
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

    /// Returns each row as a number in base `vocabulary`, first token first.
    pub fn index(&self, vocabulary: usize) -> Vec<usize> {
        let number = |row: &[u8]| row.iter().fold(0, |n, &t| n * vocabulary + usize::from(t));
        self.tokens.chunks_exact(self.length).map(number).collect()
    }
}

/// A finished string, the position that each step filled, and the condition.
#[derive(Clone, Debug)]
pub struct StringPath {
    /// The finished strings.
    pub strings: Strings,
    /// Position filled at each step [paths, length]: the state before step k shows the first k of them.
    pub order: Vec<u8>,
    /// Condition [paths, condition_dim].
    pub condition: Tensor<2>,
}

/// Returns one-hot rows of the states before `step`; unfilled positions have the extra token `vocabulary`.
pub fn one_hot(path: &StringPath, step: usize, vocabulary: usize) -> Vec<f32> {
    let (length, symbols) = (path.strings.length, vocabulary + 1);
    let mut out = vec![0.0; path.order.len() * symbols];
    let rows = path.order.chunks_exact(length).enumerate();
    for (row, order) in rows {
        for (k, &position) in order.iter().enumerate() {
            let at = row * length + usize::from(position);
            let token = if k < step {
                usize::from(path.strings.tokens[at])
            } else {
                vocabulary
            };
            out[at * symbols + token] = 1.0;
        }
    }
    out
}

/// Returns what a network over strings gets: one-hot rows of `symbols` values, then the conditions if they have a width.
pub fn network_input(
    hot: Vec<f32>,
    symbols: usize,
    condition: &Tensor<2>,
    condition_dim: usize,
) -> Tensor<2> {
    let input = matrix(hot, symbols, &condition.device().inner());
    if condition_dim > 0 {
        Tensor::cat(vec![input, condition.clone()], 1)
    } else {
        input
    }
}

/// Returns what a network for the value of a state sees: the one-hot rows and the condition's columns.
pub fn state_columns(
    path: &StringPath,
    step: usize,
    vocabulary: usize,
    condition_dim: usize,
) -> Tensor<2> {
    let symbols = (vocabulary + 1) * path.strings.length;
    let hot = one_hot(path, step, vocabulary);
    let state = matrix(hot, symbols, &path.condition.device().inner());
    Tensor::cat(
        vec![state, condition_columns(&path.condition, condition_dim)],
        1,
    )
}

/// Returns Σ over `picked` of the log-softmax of logits [rows, groups · vocabulary], as `[rows]`.
///
/// `picked` lists, per row, the flat index of the chosen logit, or nothing for a step without a choice.
pub fn chosen_log_probs(
    logits: Tensor<2>,
    vocabulary: usize,
    picked: &[Option<usize>],
) -> Tensor<1> {
    let [rows, width] = logits.dims();
    let device = logits.device().inner();
    let mut mask = vec![0.0f32; rows * width];
    for (row, index) in picked.iter().enumerate() {
        if let Some(index) = index {
            mask[row * width + index] = 1.0;
        }
    }
    let groups = [rows, width / vocabulary, vocabulary];
    let log_probs = activation::log_softmax(logits.reshape(groups), 2).reshape([rows, width]);
    (log_probs * matrix(mask, width, &device))
        .sum_dim(1)
        .reshape([rows])
}

/// Draws a token from logits divided by `temperature`.
pub fn draw_token(logits: &[f32], temperature: f64, uniform: f64) -> u8 {
    pick(&softmax(logits, temperature), uniform)
}

/// Draws an index with the given probabilities from a uniform number in [0, 1).
pub fn pick(probabilities: &[f64], uniform: f64) -> u8 {
    let mut left = uniform;
    let drawn = probabilities.iter().position(|p| {
        left -= p;
        left < 0.0
    });
    drawn.unwrap_or(probabilities.len() - 1) as u8
}

/// Returns the probabilities of logits divided by `temperature`, in f64.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
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

/// Returns (log Z, posterior) of an enumerated prior and log-rewards: p r / Z.
pub fn enumerated_posterior(prior: &[f64], log_reward: &[f64]) -> (f64, Vec<f64>) {
    let logs: Vec<f64> = prior
        .iter()
        .zip(log_reward)
        .map(|(p, r)| p.ln() + r)
        .collect();
    let log_z = crate::rtb::log_mean_exp(&logs) + (logs.len() as f64).ln();
    (log_z, logs.iter().map(|l| (l - log_z).exp()).collect())
}
