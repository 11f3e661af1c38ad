//! A tiny autoregressive model of strings of varying length: a perceptron over the prefix (Bengio et al. 2003).
//!
//! Tokens are letters below `vocabulary − 1` and an end token, `vocabulary − 1`. After the end, or after `length`
//! tokens, nothing is chosen: the remaining steps fill in the end token with probability one.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::{Mlp, host, vector};
use crate::noise::Noise;
use crate::sequential::{SequentialModel, condition_columns};
use crate::strings::{
    StringPath, Strings, chosen_log_probs, draw_token, network_input, one_hot, softmax,
    state_columns,
};

/// A model of strings of at most `length` letters.
#[derive(Clone)]
pub struct Autoregressive {
    /// The network: [one-hot prefix, condition] → logits of the next token.
    pub net: Mlp,
    /// Number of tokens, the end included.
    pub vocabulary: usize,
    /// Longest string: T.
    pub length: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
}

impl Autoregressive {
    /// Returns a model with random weights; the last layer's are scaled by `last_scale`.
    pub fn new(
        [vocabulary, length, condition_dim]: [usize; 3],
        hidden: &[usize],
        last_scale: f32,
        noise: &mut Noise,
        device: &Device,
    ) -> Self {
        let inputs = (vocabulary + 1) * length + condition_dim;
        let spec = MlpSpec {
            sizes: [vec![inputs], hidden.to_vec(), vec![vocabulary]].concat(),
            activation: Activation::Silu,
            layer_norm: false,
        };
        Self {
            net: Mlp::new(spec, last_scale, noise, device),
            vocabulary,
            length,
            condition_dim,
        }
    }

    fn device(&self) -> Device {
        self.net.parameters.device().inner()
    }

    /// The end token.
    fn end(&self) -> u8 {
        (self.vocabulary - 1) as u8
    }

    fn input(&self, path: &StringPath, step: usize) -> Tensor<2> {
        let symbols = (self.vocabulary + 1) * self.length;
        let hot = one_hot(path, step, self.vocabulary);
        network_input(hot, symbols, &path.condition, self.condition_dim)
    }

    fn path(&self, strings: Strings, condition: &Tensor<2>) -> StringPath {
        let order: Vec<u8> = (0..self.length as u8).collect();
        StringPath {
            order: order.repeat(strings.tokens.len() / self.length),
            strings,
            condition: condition.clone(),
        }
    }

    /// Whether each row has ended before `step`.
    fn ended<'a>(&'a self, strings: &'a Strings, step: usize) -> impl Iterator<Item = bool> + 'a {
        let rows = strings.tokens.chunks_exact(self.length);
        rows.map(move |row| step > 0 && row[step - 1] == self.end())
    }

    /// Returns the exact probability of every token row, in the order of [`Strings::all`], for one condition row.
    /// Rows with a letter after the end have probability 0.
    pub fn enumerate(&self, condition: &Tensor<2>) -> Vec<f64> {
        let strings = Strings::all(self.vocabulary, self.length);
        let count = strings.tokens.len() / self.length;
        let rows = condition.clone().expand([count, condition.dims()[1]]);
        let path = self.path(strings.clone(), &rows);
        let mut mass = vec![1.0; count];
        for step in 0..self.length {
            let logits = host(self.net.forward(self.input(&path, step)));
            let ended: Vec<bool> = self.ended(&strings, step).collect();
            for (row, mass) in mass.iter_mut().enumerate() {
                let token = strings.tokens[row * self.length + step];
                let at = row * self.vocabulary;
                *mass *= if ended[row] {
                    f64::from(u8::from(token == self.end()))
                } else {
                    softmax(&logits[at..at + self.vocabulary], 1.0)[usize::from(token)]
                };
            }
        }
        mass
    }
}

impl SequentialModel for Autoregressive {
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
        let strings = Strings {
            tokens: vec![self.end(); rows * self.length],
            length: self.length,
        };
        let mut path = self.path(strings, condition);
        for step in 0..self.length {
            let logits = host(net.forward(self.input(&path, step)));
            let ended: Vec<bool> = self.ended(&path.strings, step).collect();
            for (row, uniform) in noise.uniform_rows(rows, 1).into_iter().enumerate() {
                let at = row * self.vocabulary;
                if !ended[row] {
                    path.strings.tokens[row * self.length + step] =
                        draw_token(&logits[at..at + self.vocabulary], scale, uniform);
                }
            }
        }
        path
    }

    /// There is one path to a string: noising takes the last token away.
    fn path_to(&self, condition: &Tensor<2>, sample: &Strings, _: &mut Noise) -> StringPath {
        self.path(sample.clone(), condition)
    }

    fn sample_of(&self, path: &StringPath) -> Strings {
        path.strings.clone()
    }

    fn step_log_probs(&self, path: &StringPath, steps: Range<usize>) -> Tensor<2> {
        let (count, paths) = (steps.len(), path.condition.dims()[0]);
        let (mut inputs, mut picked) = (Vec::new(), Vec::new());
        for step in steps {
            inputs.push(self.input(path, step));
            let ended = self.ended(&path.strings, step).enumerate();
            picked.extend(ended.map(|(row, ended)| {
                let token = path.strings.tokens[row * self.length + step];
                (!ended).then_some(usize::from(token))
            }));
        }
        let logits = self.net.forward(Tensor::cat(inputs, 0));
        chosen_log_probs(logits, self.vocabulary, &picked)
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
