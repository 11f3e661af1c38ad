//! The transposed Jacobian of a step's mean: what gradients of the reward need on their way back along a path.

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};

use super::{GaussianDiffusion, HostField};
use crate::nets::denoiser::Denoiser;

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Returns Jᵀ · `along` [rows · dim] with J the Jacobian of the step's mean at `x` [rows, dim].
    ///
    /// Back-propagated through the network, central differences through an exact denoiser. A guidance term is taken as
    /// constant: priors have none.
    pub(crate) fn jacobian_transposed(
        &self,
        x: &Tensor<2>,
        step: usize,
        condition: &Tensor<2>,
        along: &[f32],
    ) -> Vec<f32> {
        let tracked = x.clone().autodiff().require_grad();
        let mean = self.step_mean(&tracked, step, condition);
        let directions = matrix(along.to_vec(), self.dim, &self.device());
        let gradients = (mean * directions).sum().backward();
        let mut sums = host(tracked.grad(&gradients).expect("the states are tracked"));
        if let Some(exact) = &self.exact {
            let factor = self.schedule.coefficients(step)[1] as f32;
            let (state, condition) = (host(x.clone()), host(condition.clone()));
            let known = differences(exact.as_ref(), (&state, self.dim), step, &condition, along);
            sums.iter_mut()
                .zip(&known)
                .for_each(|(s, d)| *s += factor * d);
        }
        sums
    }
}

/// Returns Jᵀ · `along` of a host function by central differences.
fn differences(
    function: &HostField,
    (state, dim): (&[f32], usize),
    step: usize,
    condition: &[f32],
    along: &[f32],
) -> Vec<f32> {
    const HALF: f32 = 1e-3;
    let steps = vec![step; state.len() / dim];
    let mut out = vec![0.0; state.len()];
    for i in 0..dim {
        let at = |shift: f32| {
            let mut moved = state.to_vec();
            let column = moved.iter_mut().skip(i).step_by(dim);
            column.for_each(|v| *v += shift);
            function(&moved, &steps, condition)
        };
        let (up, down) = (at(HALF), at(-HALF));
        let rows = up.chunks_exact(dim).zip(down.chunks_exact(dim));
        for (row, ((up, down), a)) in rows.zip(along.chunks_exact(dim)).enumerate() {
            let slopes = up.iter().zip(down).zip(a);
            out[row * dim + i] = slopes.map(|((u, d), a)| (u - d) / (2.0 * HALF) * a).sum();
        }
    }
    out
}
