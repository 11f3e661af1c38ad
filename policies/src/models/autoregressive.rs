//! Autoregressive models of strings of varying length, over any causal network.
//!
//! Tokens are letters below `vocabulary − 1` and an end token, `vocabulary − 1`. After the end, or after `length`
//! tokens, nothing is chosen: the remaining steps fill in the end token with probability one.

use std::ops::Range;

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{
    Batched, ConditionFeatures, Explore, Scored, SequentialModel, StateFeatures, condition_columns,
};
use tiltrl_tilt::weights;

use super::strings::{LogSoftmax, StringPath, Strings, pick, softmax, state_columns};
use crate::fast::{HostScores, host_scores};
use crate::nets::{CausalNet, Contexts};

/// A model of strings of at most the network's length.
#[derive(Clone)]
pub struct Autoregressive<N> {
    net: N,
    condition_dim: usize,
}

impl<N: CausalNet> Autoregressive<N> {
    /// Returns the model over a network, given `condition_dim` values (0: none).
    pub fn new(net: N, condition_dim: usize) -> Self {
        Self { net, condition_dim }
    }

    fn vocabulary(&self) -> usize {
        self.net.vocabulary()
    }

    fn length(&self) -> usize {
        self.net.length()
    }

    /// The end token.
    fn end(&self) -> u32 {
        (self.vocabulary() - 1) as u32
    }

    fn path(&self, strings: Strings, condition: &Tensor<2>) -> StringPath {
        let order: Vec<u32> = (0..self.length() as u32).collect();
        StringPath {
            order: order.repeat(strings.count()),
            strings,
            condition: condition.clone(),
        }
    }

    /// Whether each row has ended before `step`.
    fn ended<'a>(&'a self, strings: &'a Strings, step: usize) -> impl Iterator<Item = bool> + 'a {
        let rows = strings.tokens.chunks_exact(self.length());
        rows.map(move |row| step > 0 && row[step - 1] == self.end())
    }

    /// Returns the exact probability of every token row, in the order of [`Strings::all`], for one condition row.
    /// Rows with a letter after the end have probability 0.
    pub fn enumerate(&self, condition: &Tensor<2>) -> Vec<f64> {
        let (vocabulary, length) = (self.vocabulary(), self.length());
        let strings = Strings::all(vocabulary, length);
        let count = strings.count();
        let rows = condition.clone().expand([count, condition.dims()[1]]);
        let logits = host(self.net.logits(&strings, 0..length, &rows));
        let mut mass = vec![1.0; count];
        for step in 0..length {
            let ended: Vec<bool> = self.ended(&strings, step).collect();
            for (row, mass) in mass.iter_mut().enumerate() {
                let token = strings.tokens[row * length + step];
                let at = (row * length + step) * vocabulary;
                *mass *= if ended[row] {
                    f64::from(u8::from(token == self.end()))
                } else {
                    softmax(&logits[at..at + vocabulary], 1.0)[token as usize]
                };
            }
        }
        mass
    }
}

impl<N: CausalNet> SequentialModel for Autoregressive<N> {
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
            condition_dim: self.condition_dim,
        }
    }

    fn num_steps(&self) -> usize {
        self.length()
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<StringPath> {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..self.length());
        Scored { path, scores }
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
        let strings = &path.strings;
        let Contexts { logits, which } = self.net.contexts(strings, steps.clone(), &path.condition);
        let (values, device) = (host(logits.clone()), weights::device(&self.net));
        let (tracked, width) = (logits.device().is_autodiff(), self.vocabulary());
        let mut gradient = vec![0.0f32; if tracked { which.len() * width } else { 0 }];
        let mut scores = vec![0.0f32; which.len()];
        let (columns, mut softmax) = ((0..width).collect::<Vec<_>>(), LogSoftmax::default());
        for (column, step) in steps.enumerate() {
            for (row, ended) in self.ended(strings, step).enumerate() {
                if ended {
                    continue;
                }
                let at = row * count + column;
                let token = strings.tokens[row * self.length() + step] as usize;
                let cells = at * width..(at + 1) * width;
                let gradient = tracked.then(|| (&mut gradient[cells], 1.0));
                let own = &values[which[at] * width..(which[at] + 1) * width];
                scores[at] = softmax.of(own, &columns, token, gradient) as f32;
            }
        }
        if !tracked {
            return matrix(scores, count, &device);
        }
        let scores = HostScores {
            rows: which,
            values: scores,
            gradient,
        };
        host_scores(logits, scores).reshape([paths, count])
    }
}

impl<N: CausalNet> Explore for Autoregressive<N> {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> StringPath {
        let (rows, length, vocabulary) = (condition.dims()[0], self.length(), self.vocabulary());
        let net = self.net.valid();
        let mut decoder = net.decoder(condition);
        let mut strings = Strings::filled(self.end(), rows, length);
        for step in 0..length {
            let logits = decoder.next(&strings, step);
            let ended: Vec<bool> = self.ended(&strings, step).collect();
            for (row, uniform) in noise.uniform_rows(rows, 1).into_iter().enumerate() {
                if !ended[row] {
                    let shares = softmax(&logits[row * vocabulary..(row + 1) * vocabulary], scale);
                    strings.tokens[row * length + step] = pick(&shares, uniform) as u32;
                }
            }
        }
        self.path(strings, condition)
    }
}

impl<N: CausalNet> ConditionFeatures for Autoregressive<N> {
    fn condition_width(&self) -> usize {
        self.condition_dim.max(1)
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        condition_columns(condition, self.condition_dim)
    }
}

impl<N: CausalNet> StateFeatures for Autoregressive<N> {
    fn state_width(&self) -> usize {
        (self.vocabulary() + 1) * self.length() + self.condition_width()
    }

    fn state_features(&self, path: &StringPath, step: usize) -> Tensor<2> {
        state_columns(path, step, self.vocabulary(), self.condition_dim)
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::host::host64;

    use super::*;
    use crate::Compute;
    use crate::models::strings::chosen_log_probs;
    use crate::nets::{CausalPerceptron, StringShape};

    /// Scores and gradients on the host, of contexts that are read once, are those of tensor operations on every row.
    #[test]
    fn scores_on_the_host_are_those_of_the_tensors() {
        let (shape, compute) = (
            StringShape {
                vocabulary: 4,
                length: 3,
                condition_dim: 2,
                hidden: vec![8],
            },
            Compute::cpu(),
        );
        let mut noise = Noise::keyed(1, "causal", 0);
        let net = CausalPerceptron::new(&shape, 3.0, &mut noise, &compute);
        let model = Autoregressive::new(net, 2);
        let few = noise.normals(6, 2).iter().map(|v| v * 2.0).collect();
        let condition = matrix(few, 2, &compute.device).repeated(10);
        let path = model.explore(&condition, 1.0, &mut noise);
        let tracked = model.tracked();
        let rates = |count: usize| {
            matrix(
                (0..count).map(|i| (i as f32).sin()).collect(),
                2,
                &compute.device,
            )
        };
        let rows = path.strings.count();
        let chosen: Vec<Option<usize>> = (0..rows * 2)
            .map(|cell| {
                let (row, step) = (cell / 2, cell % 2 + 1);
                let tokens = &path.strings.tokens[row * 3..(row + 1) * 3];
                (tokens[step - 1] != 3).then_some(tokens[step] as usize)
            })
            .collect();
        let logits = tracked.net.logits(&path.strings, 1..3, &condition);
        let plain = chosen_log_probs(logits.reshape([rows * 2, 4]), &chosen).reshape([rows, 2]);
        let found = tracked.step_log_probs(&path, 1..3);
        let untracked = host64(model.step_log_probs(&path, 1..3));
        let results = [plain, found].map(|scores| {
            let values = host64(scores.clone());
            let loss = (scores * rates(rows * 2)).sum();
            let gradient = weights::gradient(tracked.weights(), &loss.backward());
            let gradient: Vec<f64> = gradient.into_iter().flatten().flat_map(host64).collect();
            [values, gradient]
        });
        let near = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5));
        };
        near(&results[0][0], &results[1][0]);
        near(&results[0][0], &untracked);
        near(&results[0][1], &results[1][1]);
        assert!(results[0][1].iter().any(|g| g.abs() > 0.1));
    }
}
