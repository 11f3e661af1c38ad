//! Scores and losses of a masked diffusion computed on the host: the network is a tensor operation, what follows it is not.
//!
//! A log-softmax has a gradient that is known where its value is, so that scores enter the graph as one operation. Many paths start
//! alike: the network reads each distinct string once.

use std::ops::Range;

use burn::tensor::Tensor;
use rayon::prelude::*;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Batched;

use super::{MaskedDiffusion, ROWS_OF_A_THREAD};
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
    /// The network's outputs of partly masked strings, and their values [rows · width]; values alone where a table has them.
    fn outputs_of(
        &self,
        partial: &Strings,
        condition: &Tensor<2>,
    ) -> (Option<Tensor<2>>, Vec<f32>) {
        if let Some(table) = &self.table {
            return (None, table.read(partial, self.vocabulary() + 1));
        }
        let outputs = self.net.outputs(partial, condition);
        let values = host(outputs.clone());
        (Some(outputs), values)
    }

    /// Scores of steps counted with the known positions, [paths, steps].
    pub(super) fn linear_scores(&self, path: &StringPath, steps: Range<usize>) -> Tensor<2> {
        let (length, paths) = (self.length(), path.strings.count());
        let count = steps.len();
        let states: Vec<Strings> = steps.clone().map(|k| path.state(k, self.mask())).collect();
        let condition = Tensor::cat(vec![path.condition.clone(); count], 0);
        let (states, condition, which) = self.distinct(&Strings::join(&states), &condition);
        let (outputs, values) = self.outputs_of(&states, &condition);
        let tracked = outputs.as_ref().filter(|o| o.device().is_autodiff());
        let width = values.len() / states.count();
        let (columns, strings, orders) = (self.columns(), &path.strings, &path.order);
        let score = |softmax: &mut LogSoftmax, at: usize, mut gradient: Option<&mut [f32]>| {
            let row = &values[which[at] * width..(which[at] + 1) * width];
            let (step, own) = (steps.start + at / paths, at % paths);
            let order = &orders[own * length..(own + 1) * length];
            let position = order[step] as usize;
            let token = strings.tokens[own * length + position] as usize;
            let open = order[step..].iter();
            let open: Vec<usize> = open.map(|&i| columns.positions[i as usize]).collect();
            let mut part = |columns: &[usize], chosen| {
                let gradient = gradient.as_deref_mut().map(|gradient| (gradient, 1.0));
                softmax.of(row, columns, chosen, gradient)
            };
            (part(&open, 0) + part(&columns.tokens[position], token)) as f32
        };
        let mut gradient = vec![0.0f32; tracked.map_or(0, |_| which.len() * width)];
        let mut scores = vec![0.0f32; which.len()];
        let slots = scores.par_iter_mut().with_min_len(ROWS_OF_A_THREAD);
        if tracked.is_some() {
            let cells = slots.zip(gradient.par_chunks_exact_mut(width)).enumerate();
            cells.for_each_init(LogSoftmax::default, |softmax, (at, (slot, gradient))| {
                *slot = score(softmax, at, Some(gradient));
            });
        } else {
            slots
                .enumerate()
                .for_each_init(LogSoftmax::default, |softmax, (at, slot)| {
                    *slot = score(softmax, at, None);
                });
        }
        let by_step = match tracked {
            Some(outputs) => {
                let scores = HostScores {
                    rows: which,
                    values: scores,
                    gradient,
                };
                host_scores(outputs.clone(), scores).reshape([count, paths])
            }
            None => matrix(scores, paths, &self.device()),
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
        let columns = self.columns();
        for (row, masked) in hidden.iter().enumerate() {
            let weight = -((length - known) as f64) / (masked.len() * rows) as f64;
            let cells = row * width..(row + 1) * width;
            for &i in masked {
                let token = strings.tokens[row * length + i] as usize;
                let gradient = Some((&mut gradient[cells.clone()], weight as f32));
                let own = &values[cells.clone()];
                value += weight * softmax.of(own, &columns.tokens[i], token, gradient);
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
        let tabulated = on_host.clone().tabulated();
        near(&untracked, &host64(tabulated.step_log_probs(&path, 1..3)));
        let other = weights::tensors(model.weights())
            .into_iter()
            .map(|t| t * 1.5);
        let other = weights::with_tensors(model.weights().clone(), other.collect());
        let anew = model.with_weights(other.clone());
        let [moved, anew] = [tabulated.with_weights(other), anew]
            .map(|model| host64(model.step_log_probs(&path, 1..3)));
        assert!(
            (moved[0] - untracked[0]).abs() > 1e-3,
            "other weights, other scores"
        );
        near(&moved, &anew);
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

    /// Paths, scores and gradients are the same bytes with any number of threads, in loops long enough to be split.
    #[test]
    fn threads_change_nothing() {
        let model = perceptron().scored_on_host();
        let found = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().expect("a pool").install(|| {
                let tracked = model.tracked();
                let path = model
                    .sample_path(&none(900), &mut Noise::keyed(2, "paths", 0))
                    .path;
                let scores = tracked.step_log_probs(&path, 0..3);
                let values = host64(scores.clone());
                let gradient = weights::gradient(tracked.weights(), &scores.sum().backward());
                let gradient: Vec<f64> = gradient.into_iter().flatten().flat_map(host64).collect();
                (path.strings, path.order, values, gradient)
            })
        });
        assert_eq!(found[0], found[1]);
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
