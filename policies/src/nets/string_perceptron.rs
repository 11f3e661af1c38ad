//! Perceptrons over one-hot strings (Bengio et al. 2003): the smallest networks of strings, and the fastest on the CPU.

use std::collections::HashMap;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Batched;

use super::mlp::Mlp;
use super::tokens::{CausalNet, Contexts, MaskedNet};
use crate::compute::Compute;
use crate::fast::{Activation, MlpSpec};
use crate::models::Strings;

/// Shape of a perceptron over strings.
#[derive(Clone, Debug)]
pub struct StringShape {
    /// Number of tokens, without the mask.
    pub vocabulary: usize,
    /// Tokens per string.
    pub length: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
    /// Widths of the hidden layers, in order.
    pub hidden: Vec<usize>,
}

impl StringShape {
    fn net(&self, outputs: usize, last_scale: f32, noise: &mut Noise, compute: &Compute) -> Mlp {
        let inputs = (self.vocabulary + 1) * self.length + self.condition_dim;
        let spec = MlpSpec {
            sizes: [vec![inputs], self.hidden.clone(), vec![outputs]].concat(),
            activation: Activation::Silu,
            layer_norm: false,
        };
        Mlp::new(spec, last_scale, noise, compute)
    }
}

/// Returns one-hot rows [rows · length · (vocabulary + 1)]; the token `vocabulary` has a column of its own.
fn one_hot(strings: &Strings, vocabulary: usize) -> Vec<f32> {
    let symbols = vocabulary + 1;
    let mut out = vec![0.0; strings.tokens.len() * symbols];
    for (row, &token) in out.chunks_exact_mut(symbols).zip(&strings.tokens) {
        row[token as usize] = 1.0;
    }
    out
}

fn input(strings: &Strings, vocabulary: usize, condition: &Tensor<2>, dim: usize) -> Tensor<2> {
    let symbols = (vocabulary + 1) * strings.length;
    let device = condition.device().inner();
    let hot = matrix(one_hot(strings, vocabulary), symbols, &device);
    if dim > 0 {
        Tensor::cat(vec![hot, condition.clone()], 1)
    } else {
        hot
    }
}

/// A perceptron over partly masked strings.
#[derive(Module, Debug)]
pub struct MaskedPerceptron {
    net: Mlp,
    vocabulary: usize,
    length: usize,
    condition_dim: usize,
}

impl MaskedPerceptron {
    /// Returns a network with random weights; the last layer's are scaled by `last_scale`, those of positions are zero.
    pub fn new(shape: &StringShape, last_scale: f32, noise: &mut Noise, compute: &Compute) -> Self {
        let (vocabulary, length) = (shape.vocabulary, shape.length);
        let net = shape.net((vocabulary + 1) * length, last_scale, noise, compute);
        Self {
            net: net.with_zero_outputs_from(vocabulary * length),
            vocabulary,
            length,
            condition_dim: shape.condition_dim,
        }
    }
}

impl MaskedNet for MaskedPerceptron {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn length(&self) -> usize {
        self.length
    }

    fn logits(&self, partial: &Strings, condition: &Tensor<2>) -> Tensor<3> {
        let (vocabulary, length) = (self.vocabulary, self.length);
        let outputs = self.outputs(partial, condition);
        let rows = outputs.dims()[0];
        let tokens = vocabulary * length;
        let of_tokens = outputs.clone().slice([0..rows, 0..tokens]);
        let of_positions = outputs.slice([0..rows, tokens..tokens + length]);
        Tensor::cat(
            vec![
                of_tokens.reshape([rows, length, vocabulary]),
                of_positions.reshape([rows, length, 1]),
            ],
            2,
        )
    }

    fn outputs(&self, partial: &Strings, condition: &Tensor<2>) -> Tensor<2> {
        let input = input(partial, self.vocabulary, condition, self.condition_dim);
        self.net.forward(input)
    }

    fn column(&self, position: usize, token: usize) -> usize {
        if token < self.vocabulary {
            position * self.vocabulary + token
        } else {
            self.vocabulary * self.length + position
        }
    }
}

/// A perceptron over prefixes.
#[derive(Module, Debug)]
pub struct CausalPerceptron {
    net: Mlp,
    vocabulary: usize,
    length: usize,
    condition_dim: usize,
}

impl CausalPerceptron {
    /// Returns a network with random weights; the last layer's are scaled by `last_scale`.
    pub fn new(shape: &StringShape, last_scale: f32, noise: &mut Noise, compute: &Compute) -> Self {
        Self {
            net: shape.net(shape.vocabulary, last_scale, noise, compute),
            vocabulary: shape.vocabulary,
            length: shape.length,
            condition_dim: shape.condition_dim,
        }
    }
}

impl CausalNet for CausalPerceptron {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn length(&self) -> usize {
        self.length
    }

    fn logits(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<3> {
        let hidden = self.vocabulary as u32;
        let inputs = positions.clone().map(|position| {
            let prefix = strings.prefix(position, hidden);
            input(&prefix, self.vocabulary, condition, self.condition_dim)
        });
        let outputs = self.net.forward(Tensor::cat(inputs.collect(), 0));
        let rows = condition.dims()[0];
        outputs
            .reshape([positions.len(), rows, self.vocabulary])
            .swap_dims(0, 1)
    }

    /// Rows of one condition share their prefixes.
    fn contexts(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Contexts {
        let (vocabulary, length, dim) = (self.vocabulary, self.length, self.condition_dim);
        let conditions = host(condition.clone());
        let width = conditions.len() / strings.count();
        let conditions: Vec<Vec<u32>> = (conditions.chunks_exact(width))
            .map(|row| row[..dim].iter().map(|v| v.to_bits()).collect())
            .collect();
        let (mut seen, mut inputs) = (HashMap::new(), Vec::new());
        let mut which = Vec::with_capacity(strings.count() * positions.len());
        for (row, tokens) in strings.tokens.chunks_exact(length).enumerate() {
            for position in positions.clone() {
                let (prefix, bits) = (&tokens[..position], &conditions[row]);
                let next = seen.len();
                let at = *seen.entry((prefix, bits)).or_insert(next);
                if at == next {
                    let hidden = std::iter::repeat_n(vocabulary as u32, length - position);
                    let tokens = prefix.iter().copied().chain(hidden).collect();
                    inputs.extend(one_hot(&Strings { tokens, length }, vocabulary));
                    inputs.extend(bits.iter().map(|b| f32::from_bits(*b)));
                }
                which.push(at);
            }
        }
        let width = (vocabulary + 1) * length + dim;
        let inputs = matrix(inputs, width, &condition.device().inner());
        Contexts {
            logits: self.net.forward(inputs),
            which,
        }
    }
}
