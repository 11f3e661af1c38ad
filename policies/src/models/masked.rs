//! Masked (absorbing) discrete diffusion over short strings, one token per step.
//!
//! Noising absorbs tokens into a mask one by one in random order; sampling draws a masked position at each step, then
//! its token. That is the jump chain of absorbing diffusion in continuous time (Austin et al. 2021, arXiv:2107.03006;
//! Zheng et al. 2024, arXiv:2409.02908): no two tokens are filled independently. The position is uniform under a new
//! model and learned afterwards: a network's conditionals need not agree across orders, then Z depends on the
//! order, and a posterior that kept the order uniform would have a floor.
//!
//! Hard evidence is clamped: known positions are filled before the first step, and the other steps are as they were.

mod exact;
mod scores;
mod table;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{
    Batched, ConditionFeatures, Explore, Scored, SequentialModel, StateFeatures, condition_columns,
};
use tiltrl_tilt::weights;

use super::strings::{StringPath, Strings, chosen_log_probs, pick, softmax, state_columns};
use crate::nets::MaskedNet;

/// Rows below which a loop over them is not split among threads.
const ROWS_OF_A_THREAD: usize = 256;

/// Added to the logit of a position that is filled already.
const FILLED: f32 = -1e4;

/// A masked diffusion over strings.
#[derive(Clone)]
pub struct MaskedDiffusion<N> {
    net: N,
    condition_dim: usize,
    /// The known token of each position; empty: none is known.
    evidence: Arc<Vec<Option<u32>>>,
    linear: bool,
    /// Outputs of the network by partly masked string, of a model that does not learn.
    table: Option<Arc<table::Table>>,
}

pub use scores::MaskedLoss;

impl<N: MaskedNet> MaskedDiffusion<N> {
    /// Returns the model over a network, given `condition_dim` values (0: none).
    pub fn new(net: N, condition_dim: usize) -> Self {
        Self {
            net,
            condition_dim,
            evidence: Arc::default(),
            linear: false,
            table: None,
        }
    }

    /// Returns the model of strings whose known positions have these tokens; the others are filled as before.
    ///
    /// # Panics
    /// When there are not as many entries as positions, a token is none of the vocabulary, or nothing is left to fill.
    pub fn clamped(&self, evidence: &[Option<u32>]) -> Self {
        assert_eq!(evidence.len(), self.length(), "one entry per position");
        let tokens = evidence.iter().flatten();
        assert!(tokens.clone().all(|&t| t < self.mask()), "known tokens");
        assert!(tokens.count() < self.length(), "nothing is left to fill");
        Self {
            evidence: Arc::new(evidence.to_vec()),
            ..self.clone()
        }
    }

    /// Returns the same model whose scores are computed on the host and enter the graph by their gradient alone: fewer tensor
    /// operations per update, the same numbers but for rounding.
    pub fn scored_on_host(mut self) -> Self {
        self.linear = true;
        self
    }

    /// How many positions are known.
    fn known(&self) -> usize {
        self.evidence.iter().flatten().count()
    }

    /// Positions in a row's first order: known ones before the others.
    fn first_order(&self) -> Vec<u32> {
        let is_known = |i: &u32| self.evidence.get(*i as usize).is_some_and(Option::is_some);
        let (known, left): (Vec<u32>, Vec<u32>) = (0..self.length() as u32).partition(is_known);
        [known, left].concat()
    }

    fn vocabulary(&self) -> usize {
        self.net.vocabulary()
    }

    fn length(&self) -> usize {
        self.net.length()
    }

    fn mask(&self) -> u32 {
        self.vocabulary() as u32
    }

    fn device(&self) -> Device {
        weights::device(&self.net)
    }

    /// Returns a random order of filling for each row [rows, length].
    fn orders(&self, rows: usize, noise: &mut Noise) -> Vec<u32> {
        let mut keys = noise.uniform_rows(rows, self.length());
        for row in keys.chunks_exact_mut(self.length()) {
            let pairs = row.iter_mut().zip(self.evidence.iter());
            pairs.for_each(|(key, known)| *key -= if known.is_some() { 2.0 } else { 0.0 });
        }
        let order = |keys: &[f64]| -> Vec<u32> {
            let mut order: Vec<u32> = (0..self.length() as u32).collect();
            order.sort_by(|&a, &b| keys[a as usize].total_cmp(&keys[b as usize]));
            order
        };
        keys.chunks_exact(self.length()).flat_map(order).collect()
    }

    /// The rows that the network has to read, and which of them each row is: without a condition, each distinct string once.
    fn distinct(
        &self,
        partial: &Strings,
        condition: &Tensor<2>,
    ) -> (Strings, Tensor<2>, Vec<usize>) {
        let rows = partial.count();
        if self.condition_dim > 0 {
            return (partial.clone(), condition.clone(), (0..rows).collect());
        }
        let (strings, which) = partial.distinct();
        let condition = condition.clone().slice(0..strings.count());
        (strings, condition, which)
    }

    /// Where the network's outputs lie.
    fn columns(&self) -> Columns {
        let (vocabulary, length) = (self.vocabulary(), self.length());
        let tokens = |i| (0..vocabulary).map(|t| self.net.column(i, t)).collect();
        Columns {
            positions: (0..length)
                .map(|i| self.net.column(i, vocabulary))
                .collect(),
            tokens: (0..length).map(tokens).collect(),
        }
    }
}

/// Columns of a network's outputs.
struct Columns {
    /// The column of each position.
    positions: Vec<usize>,
    /// The columns of the tokens at each position.
    tokens: Vec<Vec<usize>>,
}

impl Columns {
    /// The probability of each masked position, from all outputs of one string.
    fn positions(&self, row: &[f32], masked: &[usize], temperature: f64) -> Vec<f64> {
        let logit = |&i: &usize| row[self.positions[i]];
        let logits: Vec<f32> = masked.iter().map(logit).collect();
        softmax(&logits, temperature)
    }

    /// The probability of each token at a position, from all outputs of one string.
    fn tokens(&self, row: &[f32], position: usize, temperature: f64) -> Vec<f64> {
        let logits: Vec<f32> = self.tokens[position].iter().map(|&c| row[c]).collect();
        softmax(&logits, temperature)
    }
}

impl<N: MaskedNet> SequentialModel for MaskedDiffusion<N> {
    type Weights = N;
    type Condition = Tensor<2>;
    type Sample = Strings;
    type Path = StringPath;

    fn weights(&self) -> &N {
        &self.net
    }

    fn with_weights(&self, net: N) -> Self {
        Self {
            net,
            table: None,
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.length() - self.known()
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<StringPath> {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..self.num_steps());
        Scored { path, scores }
    }

    fn path_to(&self, condition: &Tensor<2>, sample: &Strings, noise: &mut Noise) -> StringPath {
        StringPath {
            strings: sample.clone(),
            order: self.orders(condition.dims()[0], noise),
            condition: condition.clone(),
        }
    }

    fn sample_of(&self, path: &StringPath) -> Strings {
        path.strings.clone()
    }

    fn step_log_probs(&self, path: &StringPath, steps: Range<usize>) -> Tensor<2> {
        let known = self.known();
        let steps = steps.start + known..steps.end + known;
        if self.linear {
            return self.linear_scores(path, steps);
        }
        let (count, paths) = (steps.len(), path.condition.dims()[0]);
        let (length, symbols) = (self.length(), self.vocabulary() + 1);
        let (mut states, mut of_token, mut of_position) = (Vec::new(), Vec::new(), Vec::new());
        let mut filled = Vec::new();
        for step in steps {
            states.push(path.state(step, self.mask()));
            for (row, order) in path.order.chunks_exact(length).enumerate() {
                let position = order[step] as usize;
                let token = path.strings.tokens[row * length + position] as usize;
                of_token.push((position, token));
                of_position.push(Some(position));
                let mut closed = vec![0.0f32; length];
                order[..step]
                    .iter()
                    .for_each(|&i| closed[i as usize] = FILLED);
                filled.extend(closed);
            }
        }
        let condition = Tensor::cat(vec![path.condition.clone(); count], 0);
        let logits = self.net.logits(&Strings::join(&states), &condition);
        let rows = count * paths;
        let device = self.device();
        let tokens = logits
            .clone()
            .slice([0..rows, 0..length, 0..symbols - 1])
            .reshape([rows * length, symbols - 1]);
        let mut chosen = vec![None; rows * length];
        for (row, (position, token)) in of_token.into_iter().enumerate() {
            chosen[row * length + position] = Some(token);
        }
        let of_tokens = chosen_log_probs(tokens, &chosen)
            .reshape([rows, length])
            .sum_dim(1)
            .reshape([rows]);
        let positions = logits
            .slice([0..rows, 0..length, symbols - 1..symbols])
            .reshape([rows, length]);
        let open = positions + matrix(filled, length, &device);
        (of_tokens + chosen_log_probs(open, &of_position))
            .reshape([count, paths])
            .transpose()
    }
}

impl<N: MaskedNet> Explore for MaskedDiffusion<N> {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> StringPath {
        let (rows, length) = (condition.dims()[0], self.length());
        let (net, columns) = (self.net.valid(), self.columns());
        let mut path = StringPath {
            strings: Strings::filled(0, rows, length),
            order: self.first_order().repeat(rows),
            condition: condition.clone(),
        };
        for row in path.strings.tokens.chunks_exact_mut(length) {
            let pairs = row.iter_mut().zip(self.evidence.iter());
            pairs.for_each(|(token, known)| *token = known.unwrap_or(*token));
        }
        for step in self.known()..length {
            let state = path.state(step, self.mask());
            let (strings, condition, which) = self.distinct(&state, condition);
            let logits = host(net.outputs(&strings, &condition));
            let width = logits.len() / strings.count();
            let draws = noise.uniform_rows(rows, 2);
            let orders = path.order.par_chunks_mut(length);
            let rows = orders.zip(path.strings.tokens.par_chunks_mut(length));
            let rows = rows.zip(draws.par_chunks_exact(2)).zip(&which);
            rows.with_min_len(ROWS_OF_A_THREAD)
                .for_each(|(((order, tokens), draws), &which)| {
                    let logits = &logits[which * width..(which + 1) * width];
                    let left: Vec<usize> = order[step..].iter().map(|&i| i as usize).collect();
                    let drawn = pick(&columns.positions(logits, &left, scale), draws[0]);
                    order.swap(step, step + drawn);
                    let token = pick(&columns.tokens(logits, left[drawn], scale), draws[1]);
                    tokens[left[drawn]] = token as u32;
                });
        }
        path
    }
}

impl<N: MaskedNet> ConditionFeatures for MaskedDiffusion<N> {
    fn condition_width(&self) -> usize {
        self.condition_dim.max(1)
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        condition_columns(condition, self.condition_dim)
    }
}

impl<N: MaskedNet> StateFeatures for MaskedDiffusion<N> {
    fn state_width(&self) -> usize {
        (self.vocabulary() + 1) * self.length() + self.condition_width()
    }

    fn state_features(&self, path: &StringPath, step: usize) -> Tensor<2> {
        let step = step + self.known();
        state_columns(path, step, self.vocabulary(), self.condition_dim)
    }
}
