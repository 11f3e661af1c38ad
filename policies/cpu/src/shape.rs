//! Shape of a perceptron, where its parameters lie, and how its rows are cut.

use serde::{Deserialize, Serialize};

use crate::math::Activation;

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

/// Returns how many rows a shard holds: decided by the number of rows alone.
pub(crate) fn rows_per_shard(rows: usize) -> usize {
    let shards = (rows / 128).clamp(1, 16);
    rows.div_ceil(shards).max(1)
}
