//! The denoising chain of Diffusion-QL: T steps of the variance-preserving schedule, ε-prediction, the estimate of x₀ clipped to
//! [-1, 1], no noise at the last step. Samples keep their graph, so that a loss of the sample reaches the network.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_tilt::host::matrix;

use crate::fast::{Engine, MlpSpec, mlp_forward};

/// Width of the sinusoidal embedding of the step.
const EMBEDDING: usize = 16;
/// β of the continuous process at its start and at its end.
const BETAS: [f64; 2] = [0.1, 10.0];

/// Numbers of one denoising step.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// √ᾱ and √(1 − ᾱ): how a clean action is noised.
    noised: [f32; 2],
    /// 1/√ᾱ and √(1/ᾱ − 1): the estimate of x₀ from x and ε.
    estimate: [f32; 2],
    /// Weights of the estimate and of x in the mean.
    mean: [f32; 2],
    /// Standard deviation of the step's noise; 0 at the last.
    std: f32,
}

/// The chain; step 0 is the last one taken.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    steps: Vec<Step>,
    engine: Engine,
    spec: Arc<MlpSpec>,
    widths: [usize; 2],
}

/// Returns the width of the network's input: action, embedding of the step, observation.
pub(super) fn inputs([observation_dim, action_dim]: [usize; 2]) -> usize {
    action_dim + EMBEDDING + observation_dim
}

impl Chain {
    /// Returns the chain of `count` steps over a network of this shape.
    pub(super) fn new(
        count: usize,
        spec: Arc<MlpSpec>,
        engine: &Engine,
        widths: [usize; 2],
    ) -> Self {
        let total = count as f64;
        let mut before = 1.0;
        let step = |t: usize| {
            let [low, high] = BETAS;
            let rate = low / total + 0.5 * (high - low) * (2 * t + 1) as f64 / (total * total);
            let alpha = (-rate).exp();
            let (beta, product) = (1.0 - alpha, before * alpha);
            let found = Step {
                noised: [product.sqrt() as f32, (1.0 - product).sqrt() as f32],
                estimate: [
                    (1.0 / product).sqrt() as f32,
                    (1.0 / product - 1.0).sqrt() as f32,
                ],
                mean: [
                    (beta * f64::sqrt(before) / (1.0 - product)) as f32,
                    ((1.0 - before) * alpha.sqrt() / (1.0 - product)) as f32,
                ],
                std: (beta * (1.0 - before) / (1.0 - product)).sqrt() as f32,
            };
            before = product;
            found
        };
        Self {
            steps: (0..count).map(step).collect(),
            engine: engine.clone(),
            spec,
            widths,
        }
    }

    /// Returns the number of steps.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Noises clean actions in place, each at its own step.
    pub(super) fn noise(&self, actions: &mut [f32], noise: &[f32], steps: &[usize]) {
        let dim = self.widths[1];
        for (i, (x, z)) in actions.iter_mut().zip(noise).enumerate() {
            let [keep, add] = self.steps[steps[i / dim]].noised;
            *x = keep * *x + add * z;
        }
    }

    /// Returns the network's ε for states [rows, action_dim], each at its own step.
    pub(super) fn epsilon(
        &self,
        parameters: &Tensor<1>,
        states: Tensor<2>,
        steps: &[usize],
        observations: &Tensor<2>,
    ) -> Tensor<2> {
        let table: Vec<f32> = steps.iter().flat_map(|&t| embedding(t)).collect();
        let device = device_of(observations);
        let columns = vec![
            states,
            matrix(table, EMBEDDING, &device),
            observations.clone(),
        ];
        mlp_forward(
            &self.engine,
            &self.spec,
            parameters.clone(),
            Tensor::cat(columns, 1),
        )
    }

    /// Returns samples [rows, action_dim] from standard normal numbers [T + 1 · rows · action_dim], the start first.
    pub(super) fn sample(
        &self,
        parameters: &Tensor<1>,
        observations: &Tensor<2>,
        normals: &[f32],
    ) -> Tensor<2> {
        let (rows, dim) = (observations.dims()[0], self.widths[1]);
        let device = device_of(observations);
        let mut parts = normals.chunks_exact(rows * dim);
        let mut next = || matrix(parts.next().unwrap_or_default().to_vec(), dim, &device);
        let mut x = next();
        for (t, step) in self.steps.iter().enumerate().rev() {
            let epsilon = self.epsilon(parameters, x.clone(), &vec![t; rows], observations);
            let estimate = x.clone() * step.estimate[0] - epsilon * step.estimate[1];
            x = estimate.clamp(-1.0, 1.0) * step.mean[0] + x * step.mean[1];
            if t > 0 {
                x = x + next() * step.std;
            }
        }
        x.clamp(-1.0, 1.0)
    }
}

fn device_of(tensor: &Tensor<2>) -> Device {
    tensor.device().inner()
}

/// Sinusoids of the step in octaves of 10000, as in the authors' network.
fn embedding(t: usize) -> [f32; EMBEDDING] {
    let half = EMBEDDING / 2;
    std::array::from_fn(|i| {
        let rate = (-(10_000f64.ln()) * (i % half) as f64 / (half - 1) as f64).exp();
        let angle = t as f64 * rate;
        (if i < half { angle.sin() } else { angle.cos() }) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::Activation;

    fn chain() -> Chain {
        let spec = MlpSpec {
            sizes: vec![inputs([1, 1]), 8, 1],
            activation: Activation::Mish,
            layer_norm: false,
        };
        Chain::new(5, Arc::new(spec), &Engine::best(), [1, 1])
    }

    /// abar_5 = 0.0064 and beta_1 = 0.196 of the published schedule, and what the numbers of a step must satisfy.
    #[test]
    fn the_schedule_is_the_published_one() {
        let chain = chain();
        let last = chain.steps[4].noised[0].powi(2);
        assert!((last - 0.0064).abs() < 1e-4, "{last}");
        let first = chain.steps[0].noised[1].powi(2);
        assert!((first - 0.196).abs() < 1e-3, "{first}");
        assert!(chain.steps[0].std == 0.0 && (chain.steps[0].mean[0] - 1.0).abs() < 1e-6);
        for pair in chain.steps.windows(2) {
            let (before, step) = (pair[0].noised[0], pair[1]);
            // A clean action noised at step t has its mean at the step below kept by the posterior's mean.
            let kept = step.mean[0] + step.mean[1] * step.noised[0];
            assert!((kept - before).abs() < 1e-5, "{kept} {before}");
        }
    }
}
