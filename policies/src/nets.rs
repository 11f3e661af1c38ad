//! Networks as values: a shape and one flat parameter tensor.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::kernels::fused::mlp_forward;
use crate::kernels::mlp::MlpSpec;
use crate::noise::Noise;

/// Makes a [rows, columns] tensor out of row-major host values.
pub fn matrix(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Makes a `[length]` tensor out of host values.
pub fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// Returns a tensor's values on the host, row-major.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let tensor = if tensor.device().is_autodiff() {
        tensor.inner()
    } else {
        tensor
    };
    tensor
        .into_data()
        .try_into_vec()
        .expect("networks compute in f32")
}

/// A multilayer perceptron with its parameters.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// Shape.
    pub spec: Arc<MlpSpec>,
    /// Flat parameters `[num_parameters]`; tracked while training.
    pub parameters: Tensor<1>,
}

impl Mlp {
    /// Returns a network with weights U(±√(1/inputs)), zero biases, unit gains, and a last layer
    /// scaled by `last_scale` (0 makes the network start at zero).
    pub fn new(spec: MlpSpec, last_scale: f32, noise: &mut Noise, device: &Device) -> Self {
        let mut values = vec![0.0f32; spec.num_parameters()];
        let layers = spec.layers();
        for (i, layer) in layers.iter().enumerate() {
            let scale = if i + 1 == layers.len() {
                last_scale
            } else {
                1.0
            };
            let bound = (1.0 / layer.shape[0] as f64).sqrt();
            for w in &mut values[layer.weight..layer.bias] {
                *w = ((2.0 * noise.uniform() - 1.0) * bound) as f32 * scale;
            }
            if let Some(norm) = layer.norm {
                values[norm..norm + layer.shape[1]].fill(1.0);
            }
        }
        Self {
            spec: Arc::new(spec),
            parameters: vector(values, device),
        }
    }

    /// Returns the output [rows, outputs] for `input` [rows, inputs].
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        mlp_forward(&self.spec, &self.parameters, input)
    }

    /// Returns the same network whose parameters record gradients.
    pub fn tracked(&self) -> Self {
        Self {
            spec: self.spec.clone(),
            parameters: self.parameters.clone().autodiff().require_grad(),
        }
    }
}
