//! The one trait of models that make a sample by a path of random steps, and what some options ask of a model besides.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::host::{host, host64, matrix};
use crate::noise::Noise;

/// A batch whose rows can be picked out and put together again: conditions and samples, one row per path.
pub trait Batched: Clone {
    /// Returns how many rows there are.
    fn count(&self) -> usize;
    /// Returns the rows of these indices, in this order; an index may repeat.
    fn pick(&self, rows: &[usize]) -> Self;
    /// Returns all rows one after another.
    ///
    /// # Panics
    /// When there is nothing to join.
    fn join(parts: &[Self]) -> Self;
    /// Returns the numbers of all rows, row-major: for comparisons.
    fn numbers(&self) -> Vec<f64>;
    /// Returns each row `times` times, consecutively.
    fn repeated(&self, times: usize) -> Self {
        let rows = (0..self.count()).flat_map(|row| std::iter::repeat_n(row, times));
        self.pick(&rows.collect::<Vec<_>>())
    }
}

impl Batched for Tensor<2> {
    fn count(&self) -> usize {
        self.dims()[0]
    }

    fn pick(&self, rows: &[usize]) -> Self {
        let width = self.dims()[1];
        let values = host(self.clone());
        let picked = rows
            .iter()
            .flat_map(|&row| values[row * width..(row + 1) * width].iter().copied())
            .collect();
        matrix(picked, width, &self.device())
    }

    fn join(parts: &[Self]) -> Self {
        Tensor::cat(parts.to_vec(), 0)
    }

    fn numbers(&self) -> Vec<f64> {
        host64(self.clone())
    }

    fn repeated(&self, times: usize) -> Self {
        let [rows, width] = self.dims();
        if rows * width == 0 || times == 1 {
            return if times == 1 {
                self.clone()
            } else {
                Tensor::empty([rows * times, width], &self.device())
            };
        }
        let expanded = self.clone().reshape([rows, 1, width]);
        expanded
            .expand([rows, times, width])
            .reshape([rows * times, width])
    }
}

/// Paths with their scores, as one sampling pass makes both.
#[derive(Clone, Debug)]
pub struct Scored<P> {
    /// All states of a batch of paths, with their condition.
    pub path: P,
    /// Log-probability of every step, [paths, T], without constants that no model changes.
    pub scores: Tensor<2>,
}

/// A model that makes a sample in T random steps and scores every step of any path.
///
/// A model whose weights record gradients ([`Module::train`]) gives tracked log-probabilities; sampled states never carry
/// gradients. [`crate::conformity::check`] tells whether a model keeps these rules.
pub trait SequentialModel: Clone {
    /// What is trained: a burn module, be it one flat perceptron or a transformer of a hundred tensors.
    type Weights: Module;
    /// What a sample depends on, one row per path.
    type Condition: Batched;
    /// Finished samples, one row per path.
    type Sample: Batched;
    /// All states of a batch of paths, with their condition.
    type Path: Clone;

    /// Returns the weights.
    fn weights(&self) -> &Self::Weights;
    /// Returns the same model with other weights.
    fn with_weights(&self, weights: Self::Weights) -> Self;
    /// Returns T, how many random steps a path has.
    fn num_steps(&self) -> usize;
    /// Samples one path per row of the condition and scores its steps [paths, T] in the same pass.
    fn sample_path(&self, condition: &Self::Condition, noise: &mut Noise) -> Scored<Self::Path>;
    /// Returns paths that end in the given samples, noised backwards.
    fn path_to(
        &self,
        condition: &Self::Condition,
        sample: &Self::Sample,
        noise: &mut Noise,
    ) -> Self::Path;
    /// Returns the samples at the end of the paths.
    fn sample_of(&self, path: &Self::Path) -> Self::Sample;
    /// Returns log p(x_{k+1} | x_k) of the steps, without constants that no model changes: [paths, steps].
    fn step_log_probs(&self, path: &Self::Path, steps: Range<usize>) -> Tensor<2>;

    /// Returns the same model whose weights record gradients.
    fn tracked(&self) -> Self {
        self.with_weights(self.weights().clone().train())
    }
}

/// A model that can also behave more noisily than it is.
pub trait Explore: SequentialModel {
    /// Samples paths from a more exploratory behaviour: `scale` = 1 is the model itself, larger is noisier.
    ///
    /// Score such paths with [`SequentialModel::step_log_probs`], never under the behaviour.
    fn explore(&self, condition: &Self::Condition, scale: f64, noise: &mut Noise) -> Self::Path;
}

/// A model whose conditions a network for log Z(s) can see.
pub trait ConditionFeatures: SequentialModel {
    /// Returns the width of [`Self::condition_features`].
    fn condition_width(&self) -> usize;
    /// Returns what a network sees of each condition, [paths, features].
    fn condition_features(&self, condition: &Self::Condition) -> Tensor<2>;
}

/// A model whose states a network for their value can see.
pub trait StateFeatures: SequentialModel {
    /// Returns the width of [`Self::state_features`].
    fn state_width(&self) -> usize;
    /// Returns what a network sees of the states at `step`, [paths, features].
    fn state_features(&self, path: &Self::Path, step: usize) -> Tensor<2>;
}

/// Returns what a network sees of conditions [rows, width]: themselves, or one column of zeros where they have no width.
pub fn condition_columns(condition: &Tensor<2>, width: usize) -> Tensor<2> {
    if width > 0 {
        condition.clone()
    } else {
        Tensor::zeros([condition.dims()[0], 1], &condition.device().inner())
    }
}
