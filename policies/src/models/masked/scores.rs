//! Scores and losses of a masked diffusion computed on the host: the network is a tensor operation, what follows it is not.
//!
//! A log-softmax has a gradient that is known where its value is. A score enters the graph as Σ outputs · gradient plus a
//! constant that makes its value right; derivatives of the first order are those of the score itself.

use std::ops::Range;

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Rows;

use super::MaskedDiffusion;
use crate::models::strings::{StringPath, Strings, softmax};
use crate::nets::tokens::MaskedNet;

/// A loss whose gradient is that of [`Self::surrogate`].
pub struct MaskedLoss {
    /// A scalar; its gradient is the loss's, its value is not.
    pub surrogate: Tensor<1>,
    /// The loss, nats per string: an upper bound of the mean −log p.
    pub value: f64,
}

/// Adds `scale` times the gradient of log softmax(logits)[chosen] at these columns, and returns log softmax(logits)[chosen].
fn add_log_softmax(
    row: &[f32],
    columns: &[usize],
    chosen: usize,
    scale: f64,
    gradient: &mut [f32],
) -> f64 {
    let logits: Vec<f32> = columns.iter().map(|&c| row[c]).collect();
    let shares = softmax(&logits, 1.0);
    for (i, (&column, share)) in columns.iter().zip(&shares).enumerate() {
        let one = f64::from(u8::from(i == chosen));
        gradient[column] += (scale * (one - share)) as f32;
    }
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&l| f64::from(l - top).exp()).sum();
    f64::from(logits[chosen] - top) - sum.ln()
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
        let outputs = self.net.outputs(&Strings::join(&states), &condition);
        let values = host(outputs.clone());
        let width = outputs.dims()[1];
        let mut gradient = vec![0.0f32; values.len()];
        let mut scores = vec![0.0f64; paths * count];
        let rows = values
            .chunks_exact(width)
            .zip(gradient.chunks_exact_mut(width));
        for (at, (row, gradient)) in rows.enumerate() {
            let (step, own) = (steps.start + at / paths, at % paths);
            let order = &path.order[own * length..(own + 1) * length];
            let position = order[step] as usize;
            let token = path.strings.tokens[own * length + position] as usize;
            let open = order[step..].iter();
            let open: Vec<usize> = open
                .map(|&i| self.net.column(i as usize, self.vocabulary()))
                .collect();
            let columns = self.token_columns(position);
            let score = add_log_softmax(row, &open, 0, 1.0, gradient)
                + add_log_softmax(row, &columns, token, 1.0, gradient);
            scores[at] = score;
        }
        let device = self.device();
        let tracked = outputs.device().is_autodiff();
        let by_step = if tracked {
            let linear = values
                .chunks_exact(width)
                .zip(gradient.chunks_exact(width))
                .map(|(v, g)| v.iter().zip(g).map(|(v, g)| f64::from(v * g)).sum::<f64>());
            let rest = linear.zip(&scores).map(|(l, s)| (s - l) as f32).collect();
            (outputs * matrix(gradient, width, &device)).sum_dim(1) + matrix(rest, 1, &device)
        } else {
            matrix(scores.iter().map(|&s| s as f32).collect(), 1, &device)
        };
        by_step.reshape([count, paths]).transpose()
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
        let mut value = 0.0;
        for (row, masked) in hidden.iter().enumerate() {
            let weight = -((length - known) as f64) / (masked.len() * rows) as f64;
            let cells = row * width..(row + 1) * width;
            for &i in masked {
                let columns = self.token_columns(i);
                let token = strings.tokens[row * length + i] as usize;
                let gradient = &mut gradient[cells.clone()];
                let own = &values[cells.clone()];
                value += weight * add_log_softmax(own, &columns, token, weight, gradient);
            }
        }
        MaskedLoss {
            surrogate: (outputs * matrix(gradient, width, &self.device())).sum(),
            value,
        }
    }
}
