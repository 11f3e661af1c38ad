//! Conditional Gaussian diffusion with a memoryless schedule (arXiv:2006.11239).
//!
//! x_0 ~ N(0, I); x_{k+1} = a_k x_k + b_k out(x_k, k, s) + σ_k z. `out` is a perceptron plus, in closed-form
//! worlds, an exact function. By default variances are fixed and shared by prior and posterior; [`Kernel`] lets the
//! network shift the mean in units of σ_k, scale σ_k, and follow the gradient of the reward.

mod kernel;
mod pullback;
mod walks;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::nets::{Mlp, host, matrix, vector};
use crate::noise::Noise;
use crate::schedule::{Prediction, Schedule};
use crate::sequential::{SequentialModel, condition_columns};

pub use kernel::{Kernel, LOG_SIGMA_LIMIT, Units};

/// An exact denoiser (or gradient of the reward) beside the network: (x [rows, dim], step of each row, condition [rows, c]) → [rows, dim].
pub type ExactDenoiser = dyn Fn(&[f32], &[usize], &[f32]) -> Vec<f32> + Send + Sync;

/// Width of the sinusoidal embedding of the step.
pub const EMBEDDING: usize = 16;

/// A diffusion model of `dim` values given `condition_dim` values.
#[derive(Clone)]
pub struct GaussianDiffusion {
    /// The network: [x, step embedding, condition] → `[dim]`.
    pub net: Mlp,
    /// Noise levels.
    pub schedule: Arc<Schedule>,
    /// Width of a sample.
    pub dim: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
    /// The exact part of the denoiser, if any.
    pub exact: Option<Arc<ExactDenoiser>>,
    /// How the network's outputs enter a step.
    pub kernel: Kernel,
}

/// Paths of a batch: T + 1 states [paths, dim] and their condition.
#[derive(Clone, Debug)]
pub struct GaussianPath {
    /// x_0 (noise) … x_T (sample).
    pub states: Vec<Tensor<2>>,
    /// Condition [paths, condition_dim].
    pub condition: Tensor<2>,
}

pub(crate) fn embedding(step: usize, num_steps: usize) -> [f32; EMBEDDING] {
    let t = (num_steps - step) as f64 / num_steps as f64;
    std::array::from_fn(|i| {
        let frequency = 2f64.powi((i / 2) as i32) * std::f64::consts::FRAC_PI_2;
        if i % 2 == 0 {
            (t * frequency).sin() as f32
        } else {
            (t * frequency).cos() as f32
        }
    })
}

impl GaussianDiffusion {
    /// Returns the width of the network's input.
    pub fn net_inputs(dim: usize, condition_dim: usize) -> usize {
        dim + EMBEDDING + condition_dim
    }

    fn device(&self) -> Device {
        self.net.parameters.device().inner()
    }

    /// Embeddings [steps.len() · paths, EMBEDDING], step-major.
    fn embed(&self, steps: Range<usize>, paths: usize) -> Tensor<2> {
        let count = steps.len();
        let table: Vec<f32> = steps.flat_map(|k| embedding(k, self.num_steps())).collect();
        matrix(table, EMBEDDING, &self.device())
            .reshape([count, 1, EMBEDDING])
            .expand([count, paths, EMBEDDING])
            .reshape([count * paths, EMBEDDING])
    }

    /// Returns the denoising loss on samples [rows, dim]: mean squared error of v or ε at random times.
    pub fn denoising_loss(
        &self,
        sample: &[f32],
        condition: Tensor<2>,
        noise: &mut Noise,
    ) -> Tensor<1> {
        let rows = sample.len() / self.dim;
        let steps = self.num_steps();
        let chosen: Vec<usize> = noise.indices(rows, steps);
        let (input, target) = self.noised(sample, &chosen, noise);
        let table: Vec<f32> = chosen.iter().flat_map(|&k| embedding(k, steps)).collect();
        let device = self.device();
        let mut columns = vec![
            matrix(input, self.dim, &device),
            matrix(table, EMBEDDING, &device),
        ];
        if self.condition_dim > 0 {
            columns.push(condition);
        }
        let error = self.net.forward(Tensor::cat(columns, 1)) - matrix(target, self.dim, &device);
        (error.clone() * error).mean()
    }

    /// Noises each sample to the time of its step; returns states and targets, [rows, dim] each.
    fn noised(&self, sample: &[f32], steps: &[usize], noise: &mut Noise) -> (Vec<f32>, Vec<f32>) {
        let epsilon = noise.normals(steps.len(), self.dim);
        let mut target = Vec::with_capacity(sample.len());
        let mut state = Vec::with_capacity(sample.len());
        for (i, (&x, &e)) in sample.iter().zip(&epsilon).enumerate() {
            let level = self.schedule.alpha_bar[self.num_steps() - steps[i / self.dim]];
            let (signal, spread) = (level.sqrt() as f32, (1.0 - level).sqrt() as f32);
            state.push(signal * x + spread * e);
            target.push(match self.schedule.prediction {
                Prediction::Velocity => signal * e - spread * x,
                Prediction::Epsilon => e,
            });
        }
        (state, target)
    }

    /// Sets the step variances to the optimum for the fitted network, estimated on samples [rows, dim].
    pub fn fit_variance(&mut self, sample: &[f32], condition: &Tensor<2>, noise: &mut Noise) {
        let rows = sample.len() / self.dim;
        let mut residual = Vec::new();
        for t in 1..=self.num_steps() {
            let k = self.num_steps() - t;
            let (state, target) = self.noised(sample, &vec![k; rows], noise);
            let state = matrix(state, self.dim, &self.device());
            let out = host(self.outputs(&state, k..k + 1, condition));
            let mse = out
                .iter()
                .zip(&target)
                .map(|(o, y)| f64::from(o - y).powi(2))
                .sum::<f64>()
                / out.len() as f64;
            let level = self.schedule.alpha_bar[t];
            // Error of the predicted sample: (1 − ᾱ) for v, (1 − ᾱ)/ᾱ for ε.
            residual.push(match self.schedule.prediction {
                Prediction::Velocity => mse * (1.0 - level),
                Prediction::Epsilon => (mse * (1.0 - level) / level).min(1.0),
            });
        }
        let mut schedule = (*self.schedule).clone();
        schedule.fit_variance(&residual);
        self.schedule = Arc::new(schedule);
    }

    fn step_scale(&self, steps: &Range<usize>, values: impl Fn(usize) -> f64) -> Tensor<3> {
        let scales: Vec<f32> = steps.clone().map(|k| values(k) as f32).collect();
        vector(scales, &self.device()).reshape([steps.len(), 1, 1])
    }
}

impl SequentialModel for GaussianDiffusion {
    type Condition = Tensor<2>;
    type Sample = Tensor<2>;
    type Path = GaussianPath;

    fn parameters(&self) -> Tensor<1> {
        self.net.parameters.clone()
    }

    fn with_parameters(&self, parameters: Tensor<1>) -> Self {
        Self {
            net: Mlp {
                spec: self.net.spec.clone(),
                parameters,
            },
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.schedule.num_steps()
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> (GaussianPath, Tensor<2>) {
        let compiled = self.compiled_path(condition, noise);
        compiled.unwrap_or_else(|| self.path_by_tensors(condition, noise))
    }

    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> GaussianPath {
        let compiled = self.compiled_exploration(condition, scale, noise);
        compiled.unwrap_or_else(|| self.exploration_by_tensors(condition, scale, noise))
    }

    fn path_to(
        &self,
        condition: &Tensor<2>,
        sample: &Tensor<2>,
        noise: &mut Noise,
    ) -> GaussianPath {
        let rows = condition.dims()[0];
        let mut states = vec![sample.clone()];
        for t in 1..=self.num_steps() {
            let alpha = self.schedule.alpha_bar[t] / self.schedule.alpha_bar[t - 1];
            let z = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
            let previous = states[t - 1].clone();
            states.push(previous * alpha.sqrt() + z * (1.0 - alpha).sqrt());
        }
        states.reverse();
        GaussianPath {
            states,
            condition: condition.clone(),
        }
    }

    fn sample_of(&self, path: &GaussianPath) -> Tensor<2> {
        path.states[self.num_steps()].clone()
    }

    fn step_log_probs(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        let compiled = self.compiled_scores(path, &steps);
        compiled.unwrap_or_else(|| self.scores_by_tensors(path, steps))
    }

    fn feature_widths(&self) -> [usize; 2] {
        let condition = self.condition_dim.max(1);
        [condition, self.dim + EMBEDDING + condition]
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        condition_columns(condition, self.condition_dim)
    }

    fn state_features(&self, path: &GaussianPath, step: usize) -> Tensor<2> {
        let x = path.states[step].clone();
        let paths = x.dims()[0];
        let condition = self.condition_features(&path.condition);
        Tensor::cat(vec![x, self.embed(step..step + 1, paths), condition], 1)
    }
}
