//! The transposed Jacobian of a step's mean: what gradients of the reward need on their way back along a path.

use burn::tensor::Tensor;

use super::{ExactDenoiser, GaussianDiffusion, Units, embedding};
use crate::kernels::mlp::{backward, forward};
use crate::nets::host;
use crate::sequential::SequentialModel;

impl GaussianDiffusion {
    /// Returns Jᵀ · `along` [rows · dim] with J the Jacobian of the step's mean at `x` [rows, dim].
    ///
    /// Back-propagated through the network, central differences through an exact denoiser. A guidance term is left
    /// out: priors have none.
    pub fn pull_back(
        &self,
        x: &Tensor<2>,
        step: usize,
        condition: &Tensor<2>,
        along: &[f32],
    ) -> Vec<f32> {
        let (state, condition) = (host(x.clone()), host(condition.clone()));
        let [own, out] = self.schedule.coefficients(step).map(|c| c as f32);
        let head = match self.kernel.units {
            Units::Denoiser => out,
            Units::Sigma => self.schedule.sigma[step] as f32,
        };
        let network = self.pull_back_network(&state, step, &condition, along);
        let sums = along.iter().zip(&network);
        let mut sums: Vec<f32> = sums.map(|(a, n)| own * a + head * n).collect();
        if let Some(exact) = &self.exact {
            let known = differences(exact.as_ref(), (&state, self.dim), step, &condition, along);
            sums.iter_mut().zip(&known).for_each(|(s, d)| *s += out * d);
        }
        sums
    }

    /// The network's part: gradient of ⟨along, first outputs⟩ with respect to the state.
    fn pull_back_network(
        &self,
        state: &[f32],
        step: usize,
        condition: &[f32],
        along: &[f32],
    ) -> Vec<f32> {
        let (dim, rows) = (self.dim, state.len() / self.dim);
        let embedded = embedding(step, self.num_steps());
        let width = self.net.spec.inputs();
        let extra = self.kernel.extra_inputs(dim);
        let waves = self.wave_values(state);
        let mut input = Vec::with_capacity(rows * width);
        for (row, x) in state.chunks_exact(dim).enumerate() {
            input.extend_from_slice(x);
            input.extend_from_slice(&embedded);
            let c = self.condition_dim;
            input.extend_from_slice(&condition[row * c..(row + 1) * c]);
            input.extend_from_slice(&waves[row * extra..(row + 1) * extra]);
        }
        let parameters = host(self.net.parameters.clone());
        let kept = forward(&self.net.spec, &parameters, &input, true).1;
        let kept = kept.expect("asked to keep activations");
        let outputs = self.net.spec.outputs();
        let mut of_output = vec![0.0f32; rows * outputs];
        let pairs = of_output
            .chunks_exact_mut(outputs)
            .zip(along.chunks_exact(dim));
        pairs.for_each(|(o, a)| o[..dim].copy_from_slice(a));
        let spec = &self.net.spec;
        let gradient = backward(spec, &parameters, &input, &kept, &of_output, true).1;
        let gradient = gradient.expect("asked for the input's gradient");
        let rows = gradient.chunks_exact(width).enumerate();
        rows.flat_map(|(row, g)| {
            let waves = &waves[row * extra..(row + 1) * extra];
            let own = self.through_waves(waves, &g[width - extra..]);
            g.iter()
                .take(dim)
                .zip(own)
                .map(|(g, w)| g + w)
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Returns the gradient of one row's state from that of its waves: (sin, cos)' = angular frequency · (cos, −sin).
    fn through_waves(&self, waves: &[f32], gradient: &[f32]) -> Vec<f32> {
        let of_value = 2 * self.kernel.waves;
        (0..self.dim)
            .map(|i| {
                let range = i * of_value..(i + 1) * of_value;
                let pairs = waves[range.clone()].chunks_exact(2);
                let terms = pairs.zip(gradient[range].chunks_exact(2)).enumerate();
                terms
                    .map(|(octave, (w, g))| {
                        let frequency = std::f32::consts::FRAC_PI_2 * (1 << octave) as f32;
                        frequency * (g[0] * w[1] - g[1] * w[0])
                    })
                    .sum()
            })
            .collect()
    }
}

/// Returns Jᵀ · `along` of a host function by central differences.
fn differences(
    function: &ExactDenoiser,
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

    use burn::tensor::Device;

    use super::*;
    use crate::kernels::math::Activation;
    use crate::kernels::mlp::MlpSpec;
    use crate::nets::{Mlp, matrix};
    use crate::noise::Noise;
    use crate::schedule::{Prediction, Schedule, ScheduleKind};

    /// ⟨along, mean(x)⟩ moves by the pulled-back vector, with and without an exact part and for both units.
    #[test]
    fn the_pulled_back_vector_is_the_gradient() {
        let device = Device::flex();
        let mut noise = Noise::keyed(1, "pullback", 0);
        let exact: Arc<ExactDenoiser> = Arc::new(|x, _, _| x.iter().map(|v| v.sin()).collect());
        for (exact, units, waves) in [
            (None, Units::Denoiser, 0),
            (Some(exact.clone()), Units::Denoiser, 2),
            (Some(exact), Units::Sigma, 1),
        ] {
            let kernel = crate::gaussian::Kernel {
                units,
                learned_variance: true,
                guidance: None,
                waves,
            };
            let spec = MlpSpec {
                sizes: vec![
                    GaussianDiffusion::net_inputs(2, 3) + kernel.extra_inputs(2),
                    24,
                    kernel.outputs(2),
                ],
                activation: Activation::Silu,
                layer_norm: false,
            };
            let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
            let model = GaussianDiffusion {
                net: Mlp::new(spec, 1.0, &mut noise, &device),
                schedule: Arc::new(schedule.expect("memoryless")),
                dim: 2,
                condition_dim: 3,
                exact,
                kernel,
            };
            let x = noise.normals(4, 2);
            let along = noise.normals(4, 2);
            let condition = matrix(noise.normals(4, 3), 3, &device);
            let value = |x: &[f32], row: usize| -> f64 {
                let x = matrix(x.to_vec(), 2, &device);
                let mean = model.step_moments(&x, 2, &condition).0;
                (0..2)
                    .map(|i| mean[row * 2 + i] * f64::from(along[row * 2 + i]))
                    .sum()
            };
            let found = model.pull_back(&matrix(x.clone(), 2, &device), 2, &condition, &along);
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
