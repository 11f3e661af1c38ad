//! A multilayer perceptron whose parameters lie in one flat tensor: what the CPU engine runs as one operation.

use std::sync::Arc;

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, vector};
use tiltrl_tilt::noise::Noise;

use crate::compute::Compute;
use crate::fast::{Engine, LayerOffsets, MlpSpec, mlp_forward};

/// A perceptron as a burn module.
#[derive(Module, Debug)]
pub struct Mlp {
    parameters: Param<Tensor<1>>,
    #[module(skip)]
    spec: Arc<MlpSpec>,
    #[module(skip)]
    engine: Engine,
}

fn parameter(values: Tensor<1>) -> Param<Tensor<1>> {
    Param::initialized(ParamId::new(), values).set_require_grad(true)
}

impl Mlp {
    /// Returns a network with weights U(±√(1/inputs)), zero biases, unit gains, and a last layer
    /// scaled by `last_scale` (0 makes the network start at zero).
    pub fn new(spec: MlpSpec, last_scale: f32, noise: &mut Noise, compute: &Compute) -> Self {
        let values = initial(&spec, last_scale, noise);
        Self {
            parameters: parameter(vector(values, &compute.device)),
            spec: Arc::new(spec),
            engine: compute.engine.clone(),
        }
    }

    /// Returns the shape.
    pub fn spec(&self) -> &Arc<MlpSpec> {
        &self.spec
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the flat parameters `[num_parameters]`, tracked while training.
    pub fn parameters(&self) -> Tensor<1> {
        self.parameters.val()
    }

    /// Returns the output [rows, outputs] for `input` [rows, inputs].
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        mlp_forward(&self.engine, &self.spec, self.parameters.val(), input)
    }

    /// Returns the same network with as many outputs: new ones are zero, the last ones are dropped.
    pub(crate) fn with_outputs(&self, outputs: usize) -> Self {
        let last = self.last_layer();
        let [_, columns] = last.shape;
        let mut spec = (*self.spec).clone();
        *spec.sizes.last_mut().expect("a network has layers") = outputs;
        let device = self.parameters.val().device().inner();
        let mut values = host(self.parameters.val());
        let tail = values.split_off(last.weight);
        for row in tail.chunks_exact(columns) {
            let kept = values.len() + outputs;
            values.extend_from_slice(&row[..columns.min(outputs)]);
            values.resize(kept, 0.0);
        }
        Self {
            parameters: parameter(vector(values, &device)),
            spec: Arc::new(spec),
            engine: self.engine.clone(),
        }
    }

    /// Returns the same network whose outputs from `first` on are zero.
    pub(crate) fn with_zero_outputs_from(&self, first: usize) -> Self {
        let last = self.last_layer();
        let device = self.parameters.val().device().inner();
        let mut values = host(self.parameters.val());
        for row in values[last.weight..last.end].chunks_exact_mut(last.shape[1]) {
            row[first..].fill(0.0);
        }
        Self {
            parameters: parameter(vector(values, &device)),
            ..self.clone()
        }
    }

    /// Returns the same network with one more input, at place `at`, whose weights are zero.
    pub(crate) fn with_input(&self, at: usize) -> Self {
        let [inputs, width] = self.spec.layers()[0].shape;
        let mut values = host(self.parameters.val());
        values.splice(at * width..at * width, std::iter::repeat_n(0.0, width));
        self.with_inputs(inputs + 1, values)
    }

    /// Returns the network without the input at place `at`, which is held at `value`: its part goes to the biases.
    pub(crate) fn at_input(&self, at: usize, value: f32) -> Self {
        let first = self.spec.layers()[0];
        let [inputs, width] = first.shape;
        let mut values = host(self.parameters.val());
        for i in 0..width {
            values[first.bias + i] += value * values[at * width + i];
        }
        values.drain(at * width..(at + 1) * width);
        self.with_inputs(inputs - 1, values)
    }

    fn with_inputs(&self, inputs: usize, values: Vec<f32>) -> Self {
        let mut spec = (*self.spec).clone();
        spec.sizes[0] = inputs;
        let device = self.parameters.val().device().inner();
        Self {
            parameters: parameter(vector(values, &device)),
            spec: Arc::new(spec),
            engine: self.engine.clone(),
        }
    }

    fn last_layer(&self) -> LayerOffsets {
        *self.spec.layers().last().expect("a network has layers")
    }
}

/// Returns initial parameters of a shape; see [`Mlp::new`].
pub(crate) fn initial(spec: &MlpSpec, last_scale: f32, noise: &mut Noise) -> Vec<f32> {
    let mut values = vec![0.0f32; spec.num_parameters()];
    let layers = spec.layers();
    for (i, layer) in layers.iter().enumerate() {
        let last = i + 1 == layers.len();
        let scale = if last { last_scale } else { 1.0 };
        let bound = (1.0 / layer.shape[0] as f64).sqrt();
        for w in &mut values[layer.weight..layer.bias] {
            *w = ((2.0 * noise.uniform() - 1.0) * bound) as f32 * scale;
        }
        if let Some(norm) = layer.norm {
            values[norm..norm + layer.shape[1]].fill(1.0);
        }
    }
    values
}
