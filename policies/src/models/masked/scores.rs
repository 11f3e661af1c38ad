//! Scores and losses of a masked diffusion computed on the host: the network is a tensor operation, what follows it is not.
//!
//! A log-softmax has a gradient that is known where its value is, so that scores enter the graph as one operation. Many paths start
//! alike: the network reads each distinct string once.

use std::ops::Range;

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Batched;

use super::MaskedDiffusion;
use crate::fast::{HostScores, host_scores};
use crate::models::strings::{LogSoftmax, StringPath, Strings};
use crate::nets::MaskedNet;

/// A loss whose gradient is that of [`Self::surrogate`].
pub struct MaskedLoss {
    /// A scalar; its gradient is the loss's, its value is not.
    pub surrogate: Tensor<1>,
    /// The loss, nats per string: an upper bound of the mean −log p.
    pub value: f64,
}

impl<N: MaskedNet> MaskedDiffusion<N> {
    fn token_columns(&self, position: usize) -> Vec<usize> {
        let at = self.net.column(position, 0);
        (at..at + self.vocabulary()).collect()
    }

    /// Scores of steps counted with the known positions, [paths, steps].
    pub(super) fn linear_scores(&self, path: &StringPath, steps: Range<usize>) -> Tensor<2> {
        let (length, paths) = (self.length(), path.strings.count());
        let count = steps.len();
        let states: Vec<Strings> = steps.clone().map(|k| path.state(k, self.mask())).collect();
        let condition = Tensor::cat(vec![path.condition.clone(); count], 0);
        let (states, condition, which) = self.distinct(&Strings::join(&states), &condition);
        let outputs = self.net.outputs(&states, &condition);
        let (tracked, width) = (outputs.device().is_autodiff(), outputs.dims()[1]);
        let values = host(outputs.clone());
        let mut softmax = LogSoftmax::default();
        let mut gradient = vec![0.0f32; if tracked { which.len() * width } else { 0 }];
        let mut scores = Vec::with_capacity(which.len());
        for (at, row) in which.iter().enumerate() {
            let row = &values[row * width..(row + 1) * width];
            let (step, own) = (steps.start + at / paths, at % paths);
            let order = &path.order[own * length..(own + 1) * length];
            let position = order[step] as usize;
            let token = path.strings.tokens[own * length + position] as usize;
            let open = order[step..].iter();
            let open: Vec<usize> = open
                .map(|&i| self.net.column(i as usize, self.vocabulary()))
                .collect();
            let columns = self.token_columns(position);
            let mut part = |columns: &[usize], chosen| {
                let cells = at * width..(at + 1) * width;
                let gradient = tracked.then(|| (&mut gradient[cells], 1.0));
                softmax.of(row, columns, chosen, gradient)
            };
            scores.push((part(&open, 0) + part(&columns, token)) as f32);
        }
        let by_step = if tracked {
            let scores = HostScores {
                rows: which,
                values: scores,
                gradient,
            };
            host_scores(outputs, scores).reshape([count, paths])
        } else {
            matrix(scores, paths, &self.device())
        };
        by_step.transpose()
    }

    /// Returns the masked cross-entropy of strings: a random number of random positions is masked, every masked token is to
    /// be told, and their mean is scaled to a bound of −log p (arXiv:2406.07524).
    pub fn loss(&self, strings: &Strings, condition: &Tensor<2>, noise: &mut Noise) -> MaskedLoss {
        let (rows, length) = (strings.count(), self.length());
        let orders = self.orders(rows, noise);
        let (known, draws) = (self.known(), noise.uniform_rows(rows, 1));
        let mut partial = strings.clone();
        let mut hidden = Vec::with_capacity(rows);
        for (row, draw) in draws.iter().enumerate() {
            let shown = known + (draw * (length - known) as f64) as usize;
            let masked = orders[row * length + shown..(row + 1) * length].iter();
            let masked: Vec<usize> = masked.map(|&i| i as usize).collect();
            for &i in &masked {
                partial.tokens[row * length + i] = self.mask();
            }
            hidden.push(masked);
        }
        let outputs = self.net.outputs(&partial, condition);
        let (values, width) = (host(outputs.clone()), outputs.dims()[1]);
        let mut gradient = vec![0.0f32; values.len()];
        let (mut value, mut softmax) = (0.0, LogSoftmax::default());
        for (row, masked) in hidden.iter().enumerate() {
            let weight = -((length - known) as f64) / (masked.len() * rows) as f64;
            let cells = row * width..(row + 1) * width;
            for &i in masked {
                let columns = self.token_columns(i);
                let token = strings.tokens[row * length + i] as usize;
                let gradient = Some((&mut gradient[cells.clone()], weight as f32));
                let own = &values[cells.clone()];
                value += weight * softmax.of(own, &columns, token, gradient);
            }
        }
        let scores = HostScores {
            rows: (0..rows).collect(),
            values: vec![0.0; rows],
            gradient,
        };
        MaskedLoss {
            surrogate: host_scores(outputs, scores).sum(),
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::conformity;
    use tiltrl_tilt::host::host64;
    use tiltrl_tilt::sequential::SequentialModel;
    use tiltrl_tilt::weights;

    use super::*;
    use crate::Compute;
    use crate::models::strings::total_variation;
    use crate::nets::{MaskedPerceptron, StringShape};
    use crate::nets::{MaskedTransformer, TransformerShape};

    fn none(rows: usize) -> Tensor<2> {
        Tensor::zeros([rows, 1], &Compute::cpu().device)
    }

    fn perceptron() -> MaskedDiffusion<MaskedPerceptron> {
        let shape = StringShape {
            vocabulary: 3,
            length: 3,
            condition_dim: 0,
            hidden: vec![16],
        };
        let mut noise = Noise::keyed(1, "masked", 0);
        let net = MaskedPerceptron::new(&shape, 3.0, &mut noise, &Compute::cpu());
        // Positions start with zero logits; here they differ.
        let moved = weights::tensors(&net);
        let moved = moved.into_iter().map(|t| {
            let shift = noise.normals(t.dims()[0], 1);
            t + tiltrl_tilt::host::vector(shift, &Compute::cpu().device) * 0.3
        });
        MaskedDiffusion::new(weights::with_tensors(net.clone(), moved.collect()), 0)
    }

    fn transformer() -> MaskedDiffusion<MaskedTransformer> {
        let shape = TransformerShape {
            vocabulary: 3,
            length: 3,
            condition_dim: 0,
            width: 8,
            heads: 2,
            layers: 1,
        };
        let mut noise = Noise::keyed(1, "masked", 0);
        MaskedDiffusion::new(
            MaskedTransformer::new(&shape, 3.0, &mut noise, &Compute::cpu()),
            0,
        )
    }

    /// Scores and gradients on the host are those of the tensor operations.
    fn agree<N: MaskedNet>(model: &MaskedDiffusion<N>) {
        let on_host = model.clone().scored_on_host();
        let path = model
            .sample_path(&none(40), &mut Noise::keyed(2, "paths", 0))
            .path;
        let results = [model.tracked(), on_host.tracked()].map(|tracked| {
            let scores = tracked.step_log_probs(&path, 1..3);
            let values = host64(scores.clone());
            let rates = (0..80).map(|i| (i as f32).sin()).collect();
            let loss = (scores * matrix(rates, 2, &Compute::cpu().device)).sum();
            let gradient = weights::gradient(tracked.weights(), &loss.backward());
            let gradient = gradient.into_iter().flatten().flat_map(host64).collect();
            [values, gradient]
        });
        let untracked = host64(on_host.step_log_probs(&path, 1..3));
        let near = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            a.iter()
                .zip(b)
                .for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
        };
        near(&results[0][0], &results[1][0]);
        near(&results[0][0], &untracked);
        near(&results[0][1], &results[1][1]);
        conformity::check(&on_host, &none(8), conformity::Settings::default())
            .expect("keeps the rules");
    }

    #[test]
    fn scores_on_the_host_are_those_of_the_tensors() {
        agree(&perceptron());
        agree(&transformer());
        agree(
            &perceptron()
                .clamped(&[None, Some(2), None])
                .clamped(&[None, None, None]),
        );
    }

    /// Clamped evidence: nothing else is drawn, and strings come as often as they are said to.
    #[test]
    fn clamped_strings_are_drawn_as_they_are_enumerated() {
        let model = perceptron().clamped(&[None, Some(2), None]);
        assert_eq!(model.num_steps(), 2);
        conformity::check(&model, &none(8), conformity::Settings::default())
            .expect("keeps the rules");
        let exact = model.enumerate(&none(1));
        assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let paths = 20_000;
        let path = model
            .sample_path(&none(paths), &mut Noise::keyed(3, "paths", 0))
            .path;
        let mut counts = vec![0.0; 27];
        for i in path.strings.index(3) {
            assert!(i / 3 % 3 == 2, "the evidence is kept");
            counts[i] += 1.0 / paths as f64;
        }
        assert!(total_variation(&counts, &exact) < 0.02);
        // Not the unclamped model's conditional: the order of filling is another.
        let back = model.path_to(&none(paths), &path.strings, &mut Noise::keyed(4, "back", 0));
        assert!(back.order.chunks_exact(3).all(|order| order[0] == 1));
    }

    /// The loss is an upper bound of −log p, and its gradient is that of its value.
    #[test]
    fn the_masked_loss_bounds_and_descends() {
        let mut model = perceptron();
        let words = Strings {
            tokens: vec![0, 1, 2, 0, 1, 1, 2, 2, 2],
            length: 3,
        };
        let bound = |model: &MaskedDiffusion<MaskedPerceptron>| {
            let many = words.pick(&(0..3000).map(|i| i % 3).collect::<Vec<_>>());
            model
                .loss(&many, &none(3000), &mut Noise::keyed(5, "loss", 0))
                .value
        };
        let before = bound(&model);
        for update in 0..300 {
            let tracked = model.tracked();
            let found = tracked.loss(&words, &none(3), &mut Noise::keyed(6, "update", update));
            let gradient = weights::gradient(tracked.weights(), &found.surrogate.backward());
            let all = weights::tensors(model.weights()).into_iter().zip(gradient);
            let stepped = all.map(|(p, g)| p - g.expect("learns") * 0.1).collect();
            let net = weights::with_tensors(model.weights().clone(), stepped);
            model = model.with_weights(net);
        }
        let (after, exact) = (bound(&model), model.enumerate(&none(1)));
        let index = words.index(3);
        let mean = -index.iter().map(|&i| exact[i].ln()).sum::<f64>() / 3.0;
        assert!(
            after < before - 1.0 && after > mean - 0.05,
            "{before} {after} {mean}"
        );
        assert!(mean < 1.6, "near log 3: {mean}");
    }
}
