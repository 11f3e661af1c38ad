//! A whole multilayer perceptron, forward and backward, on plain slices.
//!
//! h_{i+1} = f(LayerNorm?(h_i W_i + b_i)), linear at the end. Rows are split into shards whose number depends on
//! the number of rows alone; each shard runs through all layers in cache, and the shards' weight gradients
//! are added in a fixed order: the bytes do not depend on the number of threads.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::math::Activation;
use crate::parallel::for_each;
use crate::pass::{self, Net, Workspace, sized};

/// Shape of a multilayer perceptron whose parameters lie in one flat vector.
///
/// Per layer: W [inputs, outputs] row-major, b `[outputs]`, then, on hidden layers with layer
/// normalisation, gain `[outputs]` and shift `[outputs]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpSpec {
    /// Width of the input, of every hidden layer, and of the output.
    pub sizes: Vec<usize>,
    /// Non-linearity of the hidden layers.
    pub activation: Activation,
    /// Normalise hidden layers before the non-linearity.
    pub layer_norm: bool,
}

/// Where one layer's parameters lie in the flat vector.
#[derive(Clone, Copy, Debug)]
pub struct LayerOffsets {
    /// Inputs and outputs of the layer.
    pub shape: [usize; 2],
    /// Start of the weights.
    pub weight: usize,
    /// Start of the bias.
    pub bias: usize,
    /// Start of gain and shift, when the layer is normalised.
    pub norm: Option<usize>,
    /// One past the layer's last parameter.
    pub end: usize,
}

impl MlpSpec {
    /// Returns where each layer lies.
    pub fn layers(&self) -> Vec<LayerOffsets> {
        let last = self.sizes.len() - 2;
        let mut start = 0;
        (0..=last)
            .map(|i| {
                let (inputs, outputs) = (self.sizes[i], self.sizes[i + 1]);
                let bias = start + inputs * outputs;
                let norm = (self.layer_norm && i < last).then_some(bias + outputs);
                let end = bias + outputs + if norm.is_some() { 2 * outputs } else { 0 };
                let layer = LayerOffsets {
                    shape: [inputs, outputs],
                    weight: start,
                    bias,
                    norm,
                    end,
                };
                start = end;
                layer
            })
            .collect()
    }

    /// Returns the length of the flat parameter vector.
    pub fn num_parameters(&self) -> usize {
        self.layers().last().map_or(0, |layer| layer.end)
    }

    /// Returns the width of the input.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// Returns the width of the output.
    pub fn outputs(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }
}

/// Activations of a forward pass; their buffers are used again once this is dropped.
#[derive(Debug)]
pub struct Kept {
    engine: Engine,
    rows_per_shard: usize,
    shards: Mutex<Vec<Workspace>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let shards = self.shards.get_mut().unwrap_or_else(|e| e.into_inner());
        let spare = self.engine.workspaces();
        shards.drain(..).for_each(|work| spare.give_back(work));
    }
}

/// Returns how many rows a shard holds: decided by the number of rows alone.
pub fn rows_per_shard(rows: usize) -> usize {
    let shards = (rows / 128).clamp(1, 16);
    rows.div_ceil(shards).max(1)
}

/// Returns the network's output [rows, outputs], and its activations when `keep`.
///
/// # Panics
/// When `input` is not [rows, inputs] or `parameters` has the wrong length.
pub fn forward(
    engine: &Engine,
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    keep: bool,
) -> (Vec<f32>, Option<Kept>) {
    let layers = spec.layers();
    assert_eq!(
        parameters.len(),
        layers.last().map_or(0, |layer| layer.end),
        "parameters of {spec:?}"
    );
    assert_eq!(input.len() % spec.inputs(), 0, "input of {spec:?}");
    let mut packed = engine.weights().take();
    packed.pack_forward(engine.arithmetic(), &layers, parameters);
    let net = Net {
        spec,
        layers: &layers,
        parameters,
        packed: &packed,
        arithmetic: engine.arithmetic(),
    };
    let rows = input.len() / spec.inputs();
    let per_shard = rows_per_shard(rows);
    let mut output = vec![0.0; rows * spec.outputs()];
    let mut shards: Vec<Workspace> = (0..rows.div_ceil(per_shard))
        .map(|_| engine.workspaces().take())
        .collect();
    let jobs: Vec<_> = input
        .chunks(per_shard * spec.inputs())
        .zip(output.chunks_mut(per_shard * spec.outputs()))
        .zip(&mut shards)
        .collect();
    for_each(jobs, |((x, y), work)| {
        pass::forward(net, x, y, work, keep);
    });
    engine.weights().give_back(packed);
    let kept = Kept {
        engine: engine.clone(),
        rows_per_shard: per_shard,
        shards: Mutex::new(shards),
    };
    (output, keep.then_some(kept))
}

/// Returns the gradients with respect to the parameters and, when asked for, the input.
///
/// # Shapes
/// `input` [rows, inputs], `output_gradient` [rows, outputs].
pub fn backward(
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    kept: &Kept,
    output_gradient: &[f32],
    wants_input: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let (layers, engine) = (spec.layers(), &kept.engine);
    let mut packed = engine.weights().take();
    packed.pack_backward(engine.arithmetic(), &layers, parameters, wants_input);
    let net = Net {
        spec,
        layers: &layers,
        parameters,
        packed: &packed,
        arithmetic: engine.arithmetic(),
    };
    let per_shard = kept.rows_per_shard;
    let mut shards = kept.shards.lock().unwrap_or_else(|e| e.into_inner());
    let mut input_gradient = vec![0.0; if wants_input { input.len() } else { 0 }];
    let mut inputs_out = input_gradient.chunks_mut(per_shard * spec.inputs());
    let jobs: Vec<_> = shards
        .iter_mut()
        .zip(input.chunks(per_shard * spec.inputs()))
        .zip(output_gradient.chunks(per_shard * spec.outputs()))
        .map(|job| (job, inputs_out.next().unwrap_or_default()))
        .collect();
    for_each(jobs, |(((work, x), dy), dx)| {
        let mut gradient = std::mem::take(&mut work.gradient);
        let own = sized(&mut gradient, parameters.len());
        pass::backward(net, x, work, dy, dx, own);
        work.gradient = gradient;
    });
    engine.weights().give_back(packed);
    let mut total = vec![0.0; parameters.len()];
    for (index, shard) in shards.iter().enumerate() {
        let own = &shard.gradient[..parameters.len()];
        if index == 0 {
            total.copy_from_slice(own);
        } else {
            total.iter_mut().zip(own).for_each(|(t, o)| *t += o);
        }
    }
    (total, wants_input.then_some(input_gradient))
}
