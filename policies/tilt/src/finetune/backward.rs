//! The last half of an update: Σ weights · ∇log q, at once from the graphs of the draw, or chunk by chunk with new ones.

use std::ops::Range;

use burn::tensor::Tensor;

use super::draw::{Drawn, Set};
use super::tuner::Finetuner;
use crate::host::matrix;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::sequential::SequentialModel;
use crate::weights;

/// Steps to back-propagate together, and the factor of their gradient.
struct Chunk {
    steps: Range<usize>,
    factor: f64,
}

impl<M: SequentialModel, O: Optimizer> Finetuner<M, O> {
    /// Returns the gradient of each parameter.
    pub(super) fn backward(
        &self,
        tracked: &M,
        sets: &[Set<M>],
        weights: &[Vec<Vec<f64>>],
        noise: &mut Noise,
    ) -> Vec<Option<Tensor<1>>> {
        let pairs = sets.iter().zip(weights);
        let drawn: Vec<(&Drawn<M>, &Vec<f64>)> =
            pairs.flat_map(|(set, w)| set.drawn.iter().zip(w)).collect();
        if self.keeps_graph() {
            let terms = drawn.iter();
            let terms = terms.map(|(drawn, w)| weighted_sum(drawn.scores.tracked.clone(), w));
            let total = terms.reduce(|a, b| a + b).expect("a set holds paths");
            return gradient_of(tracked, total);
        }
        let steps = self.prior.num_steps();
        let mut sum = Vec::new();
        for chunk in self.chunks(noise) {
            for (drawn, w) in &drawn {
                let part: Vec<f64> = w
                    .chunks_exact(steps)
                    .flat_map(|row| row[chunk.steps.clone()].iter().map(|w| chunk.factor * w))
                    .collect();
                let scores = tracked.step_log_probs(&drawn.path, chunk.steps.clone());
                sum = weights::add(sum, gradient_of(tracked, weighted_sum(scores, &part)));
            }
        }
        sum
    }

    /// The steps to back-propagate, with T over the number of sampled steps.
    fn chunks(&self, noise: &mut Noise) -> Vec<Chunk> {
        let steps = self.prior.num_steps();
        let sampled = self.options.sampled_steps.min(steps);
        if sampled == 0 {
            let chunk = self.options.chunk.clamp(1, steps);
            let starts = (0..steps).step_by(chunk);
            let whole = |s: usize| Chunk {
                steps: s..(s + chunk).min(steps),
                factor: 1.0,
            };
            return starts.map(whole).collect();
        }
        // The first draws of a Fisher–Yates shuffle: distinct steps, every subset equally likely.
        let mut noise = Noise::keyed(noise.seed(), "steps", self.optimizer.count());
        let mut order: Vec<usize> = (0..steps).collect();
        for i in 0..sampled {
            order.swap(i, i + noise.indices(1, steps - i)[0]);
        }
        let one = |&k: &usize| Chunk {
            steps: k..k + 1,
            factor: steps as f64 / sampled as f64,
        };
        order[..sampled].iter().map(one).collect()
    }
}

/// Returns Σ weights · scores, both [paths, steps].
fn weighted_sum(scores: Tensor<2>, weights: &[f64]) -> Tensor<1> {
    let columns = scores.dims()[1];
    let device = scores.device().inner();
    let weights = weights.iter().map(|&w| w as f32).collect();
    (scores * matrix(weights, columns, &device)).sum()
}

fn gradient_of<M: SequentialModel>(tracked: &M, surrogate: Tensor<1>) -> Vec<Option<Tensor<1>>> {
    let gradients = surrogate.backward();
    weights::gradient(tracked.weights(), &gradients)
}
