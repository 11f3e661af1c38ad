//! A perceptron as a denoiser: [state, sinusoids of the time, condition, waves of the state] → outputs.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;

use super::denoiser::{Compiled, Denoiser, Query};
use super::mlp::Mlp;
use super::network::NetworkShape;
use crate::compute::Compute;
use crate::fast::{Diffusion, MlpSpec, PathSampler};

/// Width of the sinusoidal embedding of the step.
pub(crate) const EMBEDDING: usize = 16;

/// A perceptron that denoises states.
#[derive(Module, Debug)]
pub struct Perceptron {
    net: Mlp,
    dim: usize,
    condition_dim: usize,
    waves: usize,
}

/// Returns sin and cos of the time t = (T − k)/T of step k in octaves: entries 2j and 2j + 1 are sin and cos of 2^j π/2 t.
pub fn embedding(step: usize, num_steps: usize) -> [f32; EMBEDDING] {
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

/// Returns the width of conditions without their last column.
///
/// # Errors
/// [`TiltError::Model`] when there is none.
pub(super) fn without_one(condition_dim: usize) -> Result<usize, TiltError> {
    condition_dim.checked_sub(1).ok_or_else(|| {
        TiltError::Model("a network without conditions has no column of them to hold".into())
    })
}

impl Perceptron {
    /// Returns the widths of all layers of a network of this shape.
    pub fn sizes(shape: &NetworkShape) -> Vec<usize> {
        let waves = 2 * shape.dim * shape.waves;
        let inputs = shape.dim + EMBEDDING + shape.condition_dim + waves;
        [vec![inputs], shape.hidden.clone(), vec![shape.outputs]].concat()
    }

    /// Returns a network with random weights; those of the last layer are scaled by `last_scale`.
    pub fn new(
        shape: &NetworkShape,
        last_scale: f32,
        noise: &mut Noise,
        compute: &Compute,
    ) -> Self {
        let spec = MlpSpec {
            sizes: Self::sizes(shape),
            activation: shape.activation,
            layer_norm: false,
        };
        Self::over(Mlp::new(spec, last_scale, noise, compute), shape)
    }

    /// Returns the denoiser over a perceptron of the shape's widths.
    pub fn over(net: Mlp, shape: &NetworkShape) -> Self {
        Self {
            net,
            dim: shape.dim,
            condition_dim: shape.condition_dim,
            waves: shape.waves,
        }
    }

    /// Returns the perceptron itself.
    pub fn net(&self) -> &Mlp {
        &self.net
    }

    fn device(&self) -> Device {
        self.net.parameters().device().inner()
    }

    /// Embeddings [steps.len() · paths, EMBEDDING], step-major.
    fn embed(&self, query: &Query<'_>, paths: usize) -> Tensor<2> {
        let mut table = Vec::with_capacity(query.steps.len() * paths * EMBEDDING);
        for k in query.steps.clone() {
            let of_step = embedding(k, query.num_steps);
            (0..paths).for_each(|_| table.extend_from_slice(&of_step));
        }
        matrix(table, EMBEDDING, &self.device())
    }

    /// sin and cos of π/2 · 2^j · x for each octave j, [rows, 2 dim waves]; octaves by doubling the angle.
    fn waves_of(&self, states: &Tensor<2>) -> Tensor<2> {
        let angle = states.clone() * std::f32::consts::FRAC_PI_2;
        let (mut sin, mut cos) = (angle.clone().sin(), angle.cos());
        let mut columns = Vec::with_capacity(2 * self.waves);
        for _ in 0..self.waves {
            columns.extend([sin.clone(), cos.clone()]);
            let doubled = sin.clone() * cos * 2.0;
            cos = sin.clone() * sin * -2.0 + 1.0;
            sin = doubled;
        }
        Tensor::cat(columns, 1)
    }

    /// The input's rows put together on the host: one tensor in place of five.
    fn joined(
        &self,
        states: &Tensor<2>,
        (steps, of_step): (&[usize], &[[f32; EMBEDDING]]),
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let (dim, columns) = (self.dim, self.condition_dim);
        let (states, condition) = (host(states.clone()), host(condition.clone()));
        let width = dim + EMBEDDING + columns;
        let mut rows = Vec::with_capacity(steps.len() * width);
        for (row, &k) in steps.iter().enumerate() {
            rows.extend_from_slice(&states[row * dim..(row + 1) * dim]);
            rows.extend_from_slice(&of_step[k]);
            rows.extend_from_slice(&condition[row * columns..(row + 1) * columns]);
        }
        matrix(rows, width, &self.device())
    }

    fn forward(&self, states: &Tensor<2>, times: Tensor<2>, condition: &Tensor<2>) -> Tensor<2> {
        let mut columns = vec![states.clone(), times];
        if self.condition_dim > 0 {
            columns.push(condition.clone());
        }
        if self.waves > 0 {
            columns.push(self.waves_of(states));
        }
        self.net.forward(Tensor::cat(columns, 1))
    }
}

impl Denoiser for Perceptron {
    fn outputs(&self, query: &Query<'_>) -> Tensor<2> {
        let paths = query.states.dims()[0] / query.steps.len().max(1);
        let times = self.embed(query, paths);
        self.forward(query.states, times, query.condition)
    }

    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        // Few steps, many rows: each step's sinusoids once.
        let of_step: Vec<_> = (0..num_steps).map(|k| embedding(k, num_steps)).collect();
        if self.waves == 0 && self.device() == Device::flex() {
            return self
                .net
                .forward(self.joined(states, (steps, &of_step), condition));
        }
        let mut table = Vec::with_capacity(steps.len() * EMBEDDING);
        steps
            .iter()
            .for_each(|&k| table.extend_from_slice(&of_step[k]));
        let times = matrix(table, EMBEDDING, &self.device());
        self.forward(states, times, condition)
    }

    fn num_outputs(&self) -> usize {
        self.net.spec().outputs()
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        Ok(Self {
            net: self.net.with_outputs(outputs),
            ..self.clone()
        })
    }

    fn with_condition_column(&self) -> Result<Self, TiltError> {
        let at = self.dim + EMBEDDING + self.condition_dim;
        Ok(Self {
            net: self.net.with_input(at),
            condition_dim: self.condition_dim + 1,
            ..self.clone()
        })
    }

    fn at_condition_column(&self, value: f32) -> Result<Self, TiltError> {
        let condition_dim = without_one(self.condition_dim)?;
        let at = self.dim + EMBEDDING + condition_dim;
        Ok(Self {
            net: self.net.at_input(at, value),
            condition_dim,
            ..self.clone()
        })
    }

    fn compiled(&self, mut diffusion: Diffusion) -> Option<Compiled> {
        diffusion.waves = self.waves;
        let num_steps = diffusion.steps.len();
        for (k, step) in diffusion.steps.iter_mut().enumerate() {
            step.embedding = embedding(k, num_steps).to_vec();
        }
        let (net, parameters) = (&self.net, self.net.parameters());
        let sampler = PathSampler::new(net.engine(), net.spec(), &parameters, diffusion)?;
        Some(Compiled {
            sampler: Arc::new(sampler),
            parameters,
        })
    }
}
