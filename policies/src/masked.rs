//! Masked (absorbing) discrete diffusion over short strings, one token per step.
//!
//! Noising absorbs tokens into a mask one by one in random order; sampling draws a masked position at each step, then
//! its token. That is the jump chain of absorbing diffusion in continuous time (Austin et al. 2021, arXiv:2107.03006;
//! Zheng et al. 2024, arXiv:2409.02908): no two tokens are filled independently. The position is uniform under a new
//! model and learned afterwards: a network's conditionals need not agree across orders, then Z depends on the
//! order, and a posterior that kept the order uniform would have a floor.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::{Mlp, host, matrix, vector};
use crate::noise::Noise;
use crate::sequential::{SequentialModel, condition_columns};
use crate::strings::{
    StringPath, Strings, chosen_log_probs, draw_token, network_input, one_hot, pick, softmax,
    state_columns,
};

/// Added to the logit of a position that is filled already.
const FILLED: f32 = -1e4;

/// A masked diffusion over strings of `length` tokens below `vocabulary`.
#[derive(Clone)]
pub struct MaskedDiffusion {
    /// The network: [one-hot string with masks, condition] → logits of every position's token, then of the positions.
    pub net: Mlp,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Tokens per string: T.
    pub length: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
}

impl MaskedDiffusion {
    /// Returns a model with random weights; the last layer's are scaled by `last_scale`, those of positions are zero.
    pub fn new(
        [vocabulary, length, condition_dim]: [usize; 3],
        hidden: &[usize],
        last_scale: f32,
        noise: &mut Noise,
        device: &Device,
    ) -> Self {
        let inputs = (vocabulary + 1) * length + condition_dim;
        let spec = MlpSpec {
            sizes: [
                vec![inputs],
                hidden.to_vec(),
                vec![(vocabulary + 1) * length],
            ]
            .concat(),
            activation: Activation::Silu,
            layer_norm: false,
        };
        let mut net = Mlp::new(spec, last_scale, noise, device);
        let last = *net.spec.layers().last().expect("a network has layers");
        let mut values = host(net.parameters);
        for row in values[last.weight..last.bias].chunks_exact_mut(last.shape[1]) {
            row[vocabulary * length..].fill(0.0);
        }
        net.parameters = vector(values, device);
        Self {
            net,
            vocabulary,
            length,
            condition_dim,
        }
    }

    fn device(&self) -> Device {
        self.net.parameters.device().inner()
    }

    fn input(&self, values: Vec<f32>, condition: &Tensor<2>) -> Tensor<2> {
        let symbols = (self.vocabulary + 1) * self.length;
        network_input(values, symbols, condition, self.condition_dim)
    }

    /// Returns a random order of filling for each row [rows, length].
    fn orders(&self, rows: usize, noise: &mut Noise) -> Vec<u8> {
        let keys = noise.uniform_rows(rows, self.length);
        let order = |keys: &[f64]| -> Vec<u8> {
            let mut order: Vec<u8> = (0..self.length as u8).collect();
            order.sort_by(|&a, &b| keys[usize::from(a)].total_cmp(&keys[usize::from(b)]));
            order
        };
        keys.chunks_exact(self.length).flat_map(order).collect()
    }

    /// Returns the probability of each masked position, from a row of all logits.
    fn positions(&self, row: &[f32], masked: &[usize], temperature: f64) -> Vec<f64> {
        let first = self.vocabulary * self.length;
        let logits: Vec<f32> = masked.iter().map(|i| row[first + i]).collect();
        softmax(&logits, temperature)
    }

    /// Returns the exact probability of every string, in the order of [`Strings::all`], for one condition row.
    ///
    /// A recursion over all partly masked strings: each is reached by filling any of its positions last.
    pub fn enumerate(&self, condition: &Tensor<2>) -> Vec<f64> {
        let (symbols, length, mask) = (self.vocabulary + 1, self.length, self.vocabulary as u8);
        let states = Strings::all(symbols, length);
        let count = states.tokens.len() / length;
        let mut hot = vec![0.0f32; count * length * symbols];
        for (i, &t) in states.tokens.iter().enumerate() {
            hot[i * symbols + usize::from(t)] = 1.0;
        }
        let rows = condition.clone().expand([count, condition.dims()[1]]);
        let logits = host(self.net.forward(self.input(hot, &rows)));
        let mut mass = vec![0.0; count];
        mass[count - 1] = 1.0;
        let place = |i: usize| symbols.pow((length - 1 - i) as u32);
        // From most masks to none: filling a position makes the index smaller.
        for state in (0..count).rev() {
            let tokens = &states.tokens[state * length..(state + 1) * length];
            let masked: Vec<usize> = (0..length).filter(|&i| tokens[i] == mask).collect();
            let row = &logits[state * length * symbols..(state + 1) * length * symbols];
            let positions = self.positions(row, &masked, 1.0);
            for (&i, position) in masked.iter().zip(positions) {
                let shares = softmax(&row[i * self.vocabulary..(i + 1) * self.vocabulary], 1.0);
                for (token, p) in shares.iter().enumerate() {
                    let next = state - (self.vocabulary - token) * place(i);
                    mass[next] += mass[state] * position * p;
                }
            }
        }
        let done = |state: &usize| {
            let tokens = &states.tokens[state * length..(state + 1) * length];
            tokens.iter().all(|&t| t < mask)
        };
        (0..count).filter(done).map(|state| mass[state]).collect()
    }
}

impl SequentialModel for MaskedDiffusion {
    type Condition = Tensor<2>;
    type Sample = Strings;
    type Path = StringPath;

    fn parameters(&self) -> Tensor<1> {
        self.net.parameters.clone()
    }

    fn with_parameters(&self, parameters: Tensor<1>) -> Self {
        let spec = self.net.spec.clone();
        Self {
            net: Mlp { spec, parameters },
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.length
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> (StringPath, Tensor<2>) {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..self.length);
        (path, scores)
    }

    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> StringPath {
        let rows = condition.dims()[0];
        let net = Mlp {
            spec: Arc::clone(&self.net.spec),
            parameters: vector(host(self.net.parameters.clone()), &self.device()),
        };
        let mut path = StringPath {
            strings: Strings {
                tokens: vec![0; rows * self.length],
                length: self.length,
            },
            order: (0..self.length as u8).collect::<Vec<u8>>().repeat(rows),
            condition: condition.clone(),
        };
        let (length, width) = (self.length, self.length * (self.vocabulary + 1));
        for step in 0..length {
            let input = self.input(one_hot(&path, step, self.vocabulary), condition);
            let logits = host(net.forward(input));
            for (row, draws) in noise.uniform_rows(rows, 2).chunks_exact(2).enumerate() {
                let logits = &logits[row * width..(row + 1) * width];
                let order = &mut path.order[row * length..(row + 1) * length];
                let left: Vec<usize> = order[step..].iter().map(|&i| usize::from(i)).collect();
                let shares = self.positions(logits, &left, scale);
                let drawn = usize::from(pick(&shares, draws[0]));
                order.swap(step, step + drawn);
                let at = left[drawn] * self.vocabulary;
                path.strings.tokens[row * length + left[drawn]] =
                    draw_token(&logits[at..at + self.vocabulary], scale, draws[1]);
            }
        }
        path
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
        let (count, paths) = (steps.len(), path.condition.dims()[0]);
        let (tokens, length) = (self.vocabulary * self.length, self.length);
        let (mut values, mut of_token, mut of_position) = (Vec::new(), Vec::new(), Vec::new());
        let mut filled = Vec::new();
        for step in steps {
            values.extend(one_hot(path, step, self.vocabulary));
            for (row, order) in path.order.chunks_exact(length).enumerate() {
                let position = usize::from(order[step]);
                let token = usize::from(path.strings.tokens[row * length + position]);
                of_token.push(Some(position * self.vocabulary + token));
                of_position.push(Some(position));
                let mut closed = vec![0.0f32; length];
                order[..step]
                    .iter()
                    .for_each(|&i| closed[usize::from(i)] = FILLED);
                filled.extend(closed);
            }
        }
        let condition = Tensor::cat(vec![path.condition.clone(); count], 0);
        let logits = self.net.forward(self.input(values, &condition));
        let rows = count * paths;
        let of_tokens = logits.clone().slice([0..rows, 0..tokens]);
        let of_positions = logits.slice([0..rows, tokens..tokens + length])
            + matrix(filled, length, &self.device());
        (chosen_log_probs(of_tokens, self.vocabulary, &of_token)
            + chosen_log_probs(of_positions, length, &of_position))
        .reshape([count, paths])
        .transpose()
    }

    fn feature_widths(&self) -> [usize; 2] {
        let condition = self.condition_dim.max(1);
        [condition, (self.vocabulary + 1) * self.length + condition]
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        condition_columns(condition, self.condition_dim)
    }

    fn state_features(&self, path: &StringPath, step: usize) -> Tensor<2> {
        state_columns(path, step, self.vocabulary, self.condition_dim)
    }
}
