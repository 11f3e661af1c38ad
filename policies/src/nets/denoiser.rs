//! What a Gaussian diffusion asks of a network, and nothing more.
//!
//! The model owns the step: its noise levels, what the outputs mean, how a state is drawn and scored. The network owns how it sees
//! a state, the time and a condition: a perceptron appends columns, a U-Net adds embeddings to feature maps.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use tiltrl_tilt::TiltError;

use crate::fast::{Diffusion, PathSampler};

/// What a network is asked: states of some steps, step-major.
pub struct Query<'a> {
    /// States [steps · paths, dim].
    pub states: &'a Tensor<2>,
    /// The steps, from 0 at the noise.
    pub steps: Range<usize>,
    /// Steps T of the whole path, which the step is a share of.
    pub num_steps: usize,
    /// Conditions [steps · paths, condition_dim].
    pub condition: &'a Tensor<2>,
}

/// A network that denoises.
pub trait Denoiser: Module {
    /// Returns the outputs [steps · paths, num_outputs].
    ///
    /// The first `dim` are the mean's; what follows is the model's affair.
    fn outputs(&self, query: &Query<'_>) -> Tensor<2> {
        let paths = query.states.dims()[0] / query.steps.len().max(1);
        let of_row = query.steps.clone();
        let rows: Vec<usize> = of_row.flat_map(|k| std::iter::repeat_n(k, paths)).collect();
        self.outputs_at(query.states, &rows, query.num_steps, query.condition)
    }

    /// Returns the outputs for states whose steps differ from row to row, as denoising losses ask.
    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2>;

    /// Returns how many outputs there are.
    fn num_outputs(&self) -> usize;

    /// Returns the same network with as many outputs: new ones are zero, the last ones are dropped.
    ///
    /// # Errors
    /// When the network cannot have so many.
    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError>;

    /// Returns the same network over conditions of one more column, the last, which it does not look at yet.
    ///
    /// # Errors
    /// When the network cannot see one more column.
    fn with_condition_column(&self) -> Result<Self, TiltError> {
        Err(no_columns())
    }

    /// Returns the network whose conditions lack their last column: it is held at `value`. The outputs differ by rounding.
    ///
    /// # Errors
    /// When the network has no such column, or cannot do without.
    fn at_condition_column(&self, _value: f32) -> Result<Self, TiltError> {
        Err(no_columns())
    }

    /// Returns the compiled form of a diffusion over this network, if there is one, with the tensor that its gradient goes to.
    ///
    /// The steps come without embeddings: those are the network's.
    fn compiled(&self, _: Diffusion) -> Option<Compiled> {
        None
    }
}

/// The fast form of a diffusion on the CPU.
pub struct Compiled {
    pub(crate) sampler: std::sync::Arc<PathSampler>,
    pub(crate) parameters: Tensor<1>,
}

fn no_columns() -> TiltError {
    TiltError::Model("this network gains and loses no column of its conditions".into())
}
