//! One perceptron over one block of rows, forward and backward, in buffers that outlive the call.

use crate::arithmetic::Arithmetic;
use crate::product::{Operand, Packed, Right, matmul};
use crate::rows;
use crate::shape::{LayerOffsets, MlpSpec};

/// A network's weights, packed for both directions.
#[derive(Debug, Default)]
pub(crate) struct PackedWeights {
    forward: Vec<Packed>,
    backward: Vec<Packed>,
}

impl PackedWeights {
    /// Packs the weights for [`forward`].
    pub(crate) fn pack_forward(
        &mut self,
        arithmetic: Arithmetic,
        layers: &[LayerOffsets],
        parameters: &[f32],
    ) {
        self.forward
            .resize_with(layers.len(), || Packed::on(arithmetic));
        for (layer, packed) in layers.iter().zip(&mut self.forward) {
            if layer.shape[1] == 1 {
                continue;
            }
            let weight = &parameters[layer.weight..layer.bias];
            packed.pack(layer.shape, Operand::plain(weight));
        }
    }

    /// Packs the weights for [`backward`]: all layers but the first, whose are needed only for the input's gradient.
    pub(crate) fn pack_backward(
        &mut self,
        arithmetic: Arithmetic,
        layers: &[LayerOffsets],
        parameters: &[f32],
        wants_input: bool,
    ) {
        self.backward
            .resize_with(layers.len(), || Packed::on(arithmetic));
        let skipped = usize::from(!wants_input);
        for (layer, packed) in layers.iter().zip(&mut self.backward).skip(skipped) {
            let [inputs, outputs] = layer.shape;
            let weight = &parameters[layer.weight..layer.bias];
            packed.pack([outputs, inputs], Operand::transposed(weight));
        }
    }
}

/// A shape, where its layers lie, its parameters, and its packed weights.
#[derive(Clone, Copy)]
pub(crate) struct Net<'a> {
    /// Widths, activation and normalisation.
    pub spec: &'a MlpSpec,
    /// [`MlpSpec::layers`] of the shape.
    pub layers: &'a [LayerOffsets],
    /// All weights and biases, layer after layer.
    pub parameters: &'a [f32],
    /// The weights among them, packed; those that are not are read where they lie.
    pub packed: &'a PackedWeights,
    /// Arithmetic of the products.
    pub arithmetic: Arithmetic,
}

impl<'a> Net<'a> {
    /// A layer's weights as the right operand of [`forward`]: one column is a vector and is read where it lies, as are weights
    /// that were not packed.
    fn weight(&self, i: usize) -> Right<'a> {
        let layer = &self.layers[i];
        match self.packed.forward.get(i) {
            Some(packed) if layer.shape[1] > 1 => Right::Packed(packed),
            _ => Right::Plain(&self.parameters[layer.weight..layer.bias], layer.shape),
        }
    }

    fn bias(&self, layer: &LayerOffsets) -> &'a [f32] {
        &self.parameters[layer.bias..layer.bias + layer.shape[1]]
    }

    /// Gain and shift, or nothing.
    fn norm(&self, layer: &LayerOffsets) -> &'a [f32] {
        layer
            .norm
            .map_or(&[], |start| &self.parameters[start..layer.end])
    }
}

/// Buffers of one block of rows; they grow and are never cleared.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    z: Vec<Vec<f32>>,
    hidden: Vec<Vec<f32>>,
    inverse: Vec<Vec<f32>>,
    delta: [Vec<f32>; 2],
    /// A shard's gradient, for callers that add several.
    pub gradient: Vec<f32>,
}

/// Returns the first `length` values of a buffer, growing it when it is shorter.
pub(crate) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

/// Computes `output` [rows, outputs] from `input` [rows, inputs]; with `keep`, `work` holds what [`backward`] needs.
pub(crate) fn forward(
    net: Net<'_>,
    input: &[f32],
    output: &mut [f32],
    work: &mut Workspace,
    keep: bool,
) {
    forward_at(net, input, output, work, keep.then_some(0));
}

/// As [`forward`]; what [`backward`] needs is kept from row `keep` on, so that several passes fill one workspace.
pub(crate) fn forward_at(
    net: Net<'_>,
    input: &[f32],
    output: &mut [f32],
    work: &mut Workspace,
    keep: Option<usize>,
) {
    let rows = input.len() / net.spec.inputs();
    let last = net.layers.len() - 1;
    for buffers in [&mut work.z, &mut work.hidden, &mut work.inverse] {
        if buffers.len() < last {
            buffers.resize_with(last, Vec::new);
        }
    }
    let (at, keep) = (keep.unwrap_or(0), keep.is_some());
    for (i, layer) in net.layers[..last].iter().enumerate() {
        let part = at * layer.shape[1]..(at + rows) * layer.shape[1];
        let before = at * layer.shape[0]..(at + rows) * layer.shape[0];
        let (done, todo) = work.z.split_at_mut(i);
        // Without `keep`, values stay where their products were.
        let source = match i {
            0 => input,
            _ if keep => &work.hidden[i - 1][before],
            _ => &done[i - 1][before],
        };
        let z = &mut sized(&mut todo[0], part.end)[part.clone()];
        let left = Operand::plain(source);
        matmul(rows, left, net.weight(i), z, false);
        let (hidden, inverse): (&mut [f32], &mut [f32]) = if keep {
            let inverse = &mut sized(&mut work.inverse[i], at + rows)[at..];
            (&mut sized(&mut work.hidden[i], part.end)[part], inverse)
        } else {
            Default::default()
        };
        let activation = net.spec.activation;
        let (bias, norm) = (net.bias(layer), net.norm(layer));
        rows::forward(activation, bias, norm, z, hidden, inverse);
    }
    let layer = &net.layers[last];
    let before = at * layer.shape[0]..(at + rows) * layer.shape[0];
    let source: &[f32] = match last {
        0 => input,
        _ if keep => &work.hidden[last - 1][before],
        _ => &work.z[last - 1][before],
    };
    for row in output.chunks_exact_mut(layer.shape[1]) {
        row.copy_from_slice(net.bias(layer));
    }
    let left = Operand::plain(source);
    matmul(rows, left, net.weight(last), output, true);
}

/// Overwrites `gradient` with the gradient of the parameters and, unless it is empty, `input_gradient` [rows, inputs].
///
/// `work` holds a forward pass with `keep` on the same input; `output_gradient` is [rows, outputs].
pub(crate) fn backward(
    net: Net<'_>,
    input: &[f32],
    work: &mut Workspace,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    gradient: &mut [f32],
) {
    let kept = KeptRows {
        work,
        first: 0,
        accumulate: false,
    };
    backward_at(net, input, kept, output_gradient, input_gradient, gradient);
}

/// Rows of a workspace that [`backward_at`] goes back through.
pub(crate) struct KeptRows<'a> {
    /// Where [`forward_at`] kept them.
    pub work: &'a mut Workspace,
    /// The first of them; as many follow as the input has.
    pub first: usize,
    /// Whether the gradient is added to what is there.
    pub accumulate: bool,
}

/// As [`backward`] on what was kept from a row on; `gradient` may be empty when it is not wanted.
pub(crate) fn backward_at(
    net: Net<'_>,
    input: &[f32],
    kept: KeptRows<'_>,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    gradient: &mut [f32],
) {
    let rows = input.len() / net.spec.inputs();
    let last = net.layers.len() - 1;
    let [current, next] = &mut kept.work.delta;
    let (mut current, mut next) = (current, next);
    let mut unwanted = Vec::new();
    for (i, layer) in net.layers.iter().enumerate().rev() {
        let [inputs, outputs] = layer.shape;
        let (weight_gradient, own) = if gradient.is_empty() {
            unwanted.resize(layer.end - layer.bias, 0.0);
            (&mut [][..], &mut unwanted[..layer.end - layer.bias])
        } else {
            gradient[layer.weight..layer.end].split_at_mut(layer.bias - layer.weight)
        };
        if !kept.accumulate {
            own.fill(0.0);
        }
        let (bias, norm) = own.split_at_mut(outputs);
        let delta: &[f32] = if i == last {
            add_rows(bias, output_gradient);
            output_gradient
        } else {
            let z = &kept.work.z[i][kept.first * outputs..];
            let inverse = &kept.work.inverse[i][kept.first..];
            let delta = sized(current, rows * outputs);
            let own = [bias, norm];
            rows::backward(net.spec.activation, net.norm(layer), z, inverse, delta, own);
            delta
        };
        if !weight_gradient.is_empty() {
            let source: &[f32] = match i {
                0 => input,
                _ => &kept.work.hidden[i - 1][kept.first * inputs..][..rows * inputs],
            };
            let left = Operand::transposed(source);
            let right = Right::plain(net.arithmetic, delta, [rows, outputs]);
            matmul(inputs, left, right, weight_gradient, kept.accumulate);
        }
        let before: &mut [f32] = if i > 0 {
            sized(next, rows * inputs)
        } else {
            input_gradient
        };
        if !before.is_empty() {
            let weight = &net.packed.backward[i];
            matmul(rows, Operand::plain(delta), weight, before, false);
        }
        std::mem::swap(&mut current, &mut next);
    }
}

/// Adds rows, one after the other.
pub(crate) fn add_rows(sums: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
