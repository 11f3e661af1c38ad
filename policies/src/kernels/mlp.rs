//! A whole multilayer perceptron, forward and backward, on plain slices.
//!
//! h_{i+1} = f(LayerNorm?(h_i W_i + b_i)), linear at the end. Rows are split into shards whose number depends on
//! the number of rows alone; each shard runs through all layers in cache, and the shards' weight gradients
//! are added in a fixed order: the bytes do not depend on the number of threads.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::math::{Activation, activate, activate_backward};
use super::matmul::{Layout, matmul};
use super::norm::{normalize, normalize_backward};

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

/// What the backward pass needs from one shard.
#[derive(Debug, Default)]
struct Shard {
    pre: Vec<Vec<f32>>,
    hidden: Vec<Vec<f32>>,
    normalized: Vec<Vec<f32>>,
    inverse_std: Vec<Vec<f32>>,
}

/// Activations of a forward pass.
#[derive(Debug)]
pub struct Kept {
    rows_per_shard: usize,
    shards: Vec<Shard>,
}

fn rows_per_shard(rows: usize) -> usize {
    let shards = (rows / 128).clamp(1, 16);
    rows.div_ceil(shards).max(1)
}

/// Returns the network's output [rows, outputs], and its activations when `keep`.
///
/// # Panics
/// When `input` is not [rows, inputs] or `parameters` has the wrong length.
pub fn forward(
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    keep: bool,
) -> (Vec<f32>, Option<Kept>) {
    assert_eq!(
        parameters.len(),
        spec.num_parameters(),
        "parameters of {spec:?}"
    );
    assert_eq!(input.len() % spec.inputs(), 0, "input of {spec:?}");
    let rows = input.len() / spec.inputs();
    let per_shard = rows_per_shard(rows);
    let mut output = vec![0.0; rows * spec.outputs()];
    let jobs: Vec<(&[f32], &mut [f32])> = input
        .chunks(per_shard * spec.inputs())
        .zip(output.chunks_mut(per_shard * spec.outputs()))
        .collect();
    let run = |(x, y): (&[f32], &mut [f32])| forward_shard(spec, parameters, x, y, keep);
    let shards: Vec<Shard> = if jobs.len() > 1 {
        jobs.into_par_iter().map(run).collect()
    } else {
        jobs.into_iter().map(run).collect()
    };
    (
        output,
        keep.then_some(Kept {
            rows_per_shard: per_shard,
            shards,
        }),
    )
}

fn filled(bias: &[f32], rows: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(bias.len() * rows);
    for _ in 0..rows {
        values.extend_from_slice(bias);
    }
    values
}

fn forward_shard(
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    output: &mut [f32],
    keep: bool,
) -> Shard {
    let rows = input.len() / spec.inputs();
    let mut shard = Shard::default();
    let mut current: Vec<f32> = Vec::new();
    let layers = spec.layers();
    for (i, layer) in layers.iter().enumerate() {
        let [inputs, outputs] = layer.shape;
        let weight = &parameters[layer.weight..layer.bias];
        let bias = &parameters[layer.bias..layer.bias + outputs];
        let source: &[f32] = if i == 0 { input } else { &current };
        if i + 1 == layers.len() {
            for row in output.chunks_exact_mut(outputs) {
                row.copy_from_slice(bias);
            }
            matmul(
                [rows, inputs, outputs],
                (source, Layout::Plain),
                (weight, Layout::Plain),
                output,
                true,
            );
        } else {
            let mut pre = filled(bias, rows);
            matmul(
                [rows, inputs, outputs],
                (source, Layout::Plain),
                (weight, Layout::Plain),
                &mut pre,
                true,
            );
            if let Some(norm) = layer.norm {
                let (normalized, inverse) = normalize(&mut pre, &parameters[norm..layer.end], keep);
                shard.normalized.push(normalized);
                shard.inverse_std.push(inverse);
            }
            let mut next = vec![0.0; pre.len()];
            activate(spec.activation, &pre, &mut next);
            if keep {
                shard.pre.push(pre);
                if i > 0 {
                    shard.hidden.push(std::mem::take(&mut current));
                }
            }
            current = next;
        }
    }
    if keep && layers.len() > 1 {
        shard.hidden.push(current);
    }
    shard
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
    let per_shard = kept.rows_per_shard;
    let mut input_gradient = vec![0.0; if wants_input { input.len() } else { 0 }];
    let mut inputs_out: Vec<&mut [f32]> = if wants_input {
        input_gradient
            .chunks_mut(per_shard * spec.inputs())
            .collect()
    } else {
        kept.shards
            .iter()
            .map(|_| <&mut [f32]>::default())
            .collect()
    };
    let run = |((index, shard), dx): ((usize, &Shard), &mut &mut [f32])| {
        let slice = |values: &'_ [f32], width: usize| {
            let start = index * per_shard * width;
            start..values.len().min(start + per_shard * width)
        };
        let x = &input[slice(input, spec.inputs())];
        let dy = &output_gradient[slice(output_gradient, spec.outputs())];
        backward_shard(spec, parameters, (x, shard), dy, dx)
    };
    let jobs = kept.shards.iter().enumerate();
    let partial: Vec<Vec<f32>> = if kept.shards.len() > 1 {
        kept.shards
            .par_iter()
            .enumerate()
            .zip(inputs_out.par_iter_mut())
            .map(run)
            .collect()
    } else {
        jobs.zip(inputs_out.iter_mut()).map(run).collect()
    };
    let mut partial = partial.into_iter();
    let mut total = partial
        .next()
        .unwrap_or_else(|| vec![0.0; spec.num_parameters()]);
    for other in partial {
        for (t, o) in total.iter_mut().zip(&other) {
            *t += o;
        }
    }
    (total, wants_input.then_some(input_gradient))
}

fn backward_shard(
    spec: &MlpSpec,
    parameters: &[f32],
    (input, shard): (&[f32], &Shard),
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Vec<f32> {
    let rows = input.len() / spec.inputs();
    let mut gradient = vec![0.0; spec.num_parameters()];
    let mut delta = output_gradient.to_vec();
    for (i, layer) in spec.layers().iter().enumerate().rev() {
        let [inputs, outputs] = layer.shape;
        if i + 2 < spec.sizes.len() {
            activate_backward(spec.activation, &shard.pre[i], &mut delta);
            if let Some(norm) = layer.norm {
                let gain = &parameters[norm..norm + outputs];
                let own = &mut gradient[norm..layer.end];
                normalize_backward(
                    &mut delta,
                    &shard.normalized[i],
                    &shard.inverse_std[i],
                    gain,
                    own,
                );
            }
        }
        let source: &[f32] = if i == 0 { input } else { &shard.hidden[i - 1] };
        let shape = [inputs, rows, outputs];
        let weight_gradient = &mut gradient[layer.weight..layer.bias];
        matmul(
            shape,
            (source, Layout::Transposed),
            (&delta, Layout::Plain),
            weight_gradient,
            false,
        );
        let bias_gradient = &mut gradient[layer.bias..layer.bias + outputs];
        for row in delta.chunks_exact(outputs) {
            for (b, d) in bias_gradient.iter_mut().zip(row) {
                *b += d;
            }
        }
        let weight = &parameters[layer.weight..layer.bias];
        let shape = [rows, outputs, inputs];
        if i > 0 {
            let mut next = vec![0.0; rows * inputs];
            matmul(
                shape,
                (&delta, Layout::Plain),
                (weight, Layout::Transposed),
                &mut next,
                false,
            );
            delta = next;
        } else if !input_gradient.is_empty() {
            matmul(
                shape,
                (&delta, Layout::Plain),
                (weight, Layout::Transposed),
                input_gradient,
                false,
            );
        }
    }
    gradient
}
