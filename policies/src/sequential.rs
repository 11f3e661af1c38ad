//! The one trait of models that make a sample by a path of random steps.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::noise::Noise;

/// A model that makes a sample in T random steps and scores every step of any path.
///
/// Parameters are one flat tensor. A model whose parameters are tracked (`autodiff().require_grad()`) gives tracked
/// log-probabilities; sampled states never carry gradients.
pub trait SequentialModel: Clone {
    /// What a sample depends on, one row per path.
    type Condition: Clone;
    /// Finished samples, one row per path.
    type Sample: Clone;
    /// All states of a batch of paths, with their condition.
    type Path: Clone;

    /// Returns the flat parameters.
    fn parameters(&self) -> Tensor<1>;
    /// Returns the same model with other parameters.
    fn with_parameters(&self, parameters: Tensor<1>) -> Self;
    /// Returns T.
    fn num_steps(&self) -> usize;
    /// Samples one path per row of the condition and scores its steps [paths, T] in the same pass.
    fn sample_path(
        &self,
        condition: &Self::Condition,
        noise: &mut Noise,
    ) -> (Self::Path, Tensor<2>);
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
}
