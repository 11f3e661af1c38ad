//! The transposed Jacobian of a step's mean: what gradients of the reward need on their way back along a path.

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};

use super::GaussianDiffusion;
use crate::fast::HostField;
use crate::nets::Denoiser;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tiltrl_tilt::noise::Noise;

    use super::*;
    use crate::compute::Compute;
    use crate::fast::Activation;
    use crate::models::gaussian::{StepShape, Units};
    use crate::models::schedule::{Prediction, Schedule, ScheduleKind};
    use crate::nets::Network;
    use crate::nets::{NetworkShape, Perceptron};

    fn model(units: Units, waves: usize, noise: &mut Noise) -> GaussianDiffusion {
        let step = StepShape {
            units,
            learned_variance: true,
            guidance: None,
        };
        let shape = NetworkShape {
            dim: 2,
            condition_dim: 3,
            outputs: step.outputs(2),
            hidden: vec![24],
            activation: Activation::Silu,
            waves,
        };
        let net = Perceptron::new(&shape, 1.0, noise, &Compute::cpu());
        let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
        let schedule = schedule.expect("memoryless");
        GaussianDiffusion::new(Network::of(net), schedule, [2, 3], step).expect("fits")
    }

    /// ⟨along, mean(x)⟩ moves by Jᵀ · along, with and without an exact part and for both units.
    #[test]
    fn the_pulled_back_vector_is_the_gradient() {
        let mut noise = Noise::keyed(1, "pullback", 0);
        let exact: Arc<HostField> = Arc::new(|x, _, _| x.iter().map(|v| v.sin()).collect());
        for (exact, units, waves) in [
            (None, Units::Denoiser, 0),
            (Some(exact.clone()), Units::Denoiser, 2),
            (Some(exact), Units::Sigma, 1),
        ] {
            let mut model = model(units, waves, &mut noise);
            if let Some(exact) = exact {
                model = model.with_exact(exact);
            }
            let device = model.device();
            let x = noise.normals(4, 2);
            let along = noise.normals(4, 2);
            let condition = matrix(noise.normals(4, 3), 3, &device);
            let value = |x: &[f32], row: usize| -> f64 {
                let x = matrix(x.to_vec(), 2, &device);
                let mean = model.step_moments(&x, 2, &condition).mean;
                (0..2)
                    .map(|i| mean[row * 2 + i] * f64::from(along[row * 2 + i]))
                    .sum()
            };
            let state = matrix(x.clone(), 2, &device);
            let found = model.jacobian_transposed(&state, 2, &condition, &along);
            for i in 0..8 {
                let (mut up, mut down) = (x.clone(), x.clone());
                up[i] += 1e-2;
                down[i] -= 1e-2;
                let slope = (value(&up, i / 2) - value(&down, i / 2)) / 2e-2;
                assert!((slope - f64::from(found[i])).abs() < 1e-3, "{slope}");
            }
        }
    }
}
