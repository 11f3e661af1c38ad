//! Buffers of one shard of paths, which the engine keeps between two uses.

use crate::pass::Workspace;

/// What back-propagation needs of one shard, rows step-major; buffers grow and are used again.
#[derive(Debug, Default)]
pub(crate) struct KeptShard {
    /// The first layer's pre-activations (normalised rows with layer normalisation) and values, [steps · rows, width].
    pub z: Vec<f32>,
    pub hidden: Vec<f32>,
    /// 1/std of each row, with layer normalisation.
    pub inverse: Vec<f32>,
    /// Waves of the states of a few steps.
    pub waves: Vec<f32>,
    /// The other layers.
    pub work: Workspace,
    /// ∂ log q of each row with respect to the network's outputs.
    pub slopes: Vec<f32>,
    /// Buffers of the backward pass.
    pub gradient: Vec<f32>,
    pub delta: Vec<f32>,
    pub sum: Vec<f32>,
}
