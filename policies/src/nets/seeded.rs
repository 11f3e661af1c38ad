//! Initial weights of burn's layers from our own random numbers: the same on every backend, and a value, not a global.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use tiltrl_tilt::noise::Noise;

struct Seeder<'a> {
    containers: Vec<String>,
    names: Vec<String>,
    noise: &'a mut Noise,
}

impl ModuleMapper for Seeder<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.names.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.pop();
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.names.last().map_or("", String::as_str);
        let embedding = self.containers.iter().any(|c| c.contains("Embedding"));
        param.map(|old| {
            let (shape, device) = (old.dims(), old.device());
            let count = shape.iter().product();
            let values = if D == 1 {
                vec![f32::from(u8::from(name == "gamma")); count]
            } else {
                // [inputs, outputs] of a linear layer, [outputs, inputs, height, width] of a convolution.
                let inputs: usize = if D == 2 {
                    shape[0]
                } else {
                    shape[1..].iter().product()
                };
                let bound = if embedding {
                    0.5
                } else {
                    (1.0 / inputs as f64).sqrt()
                };
                let draws = self.noise.uniform_rows(1, count);
                draws
                    .iter()
                    .map(|u| ((2.0 * u - 1.0) * bound) as f32)
                    .collect()
            };
            Tensor::from_data(TensorData::new(values, shape), &device)
        })
    }
}

/// Returns a module with weights U(±√(1/inputs)), embeddings U(±½), zero biases and unit gains, drawn from `noise`.
pub(crate) fn seeded<W: Module>(module: W, noise: &mut Noise) -> W {
    module.map(&mut Seeder {
        containers: Vec::new(),
        names: Vec::new(),
        noise,
    })
}

/// Returns a layer whose weights are scaled.
pub(crate) fn scaled(layer: Linear, scale: f32) -> Linear {
    Linear {
        weight: layer.weight.map(|w| w * scale),
        ..layer
    }
}

/// Returns the first `count` rows; those that do not exist are zero.
pub(crate) fn resized<const D: usize>(tensor: Tensor<D>, count: usize) -> Tensor<D> {
    let mut shape = tensor.dims();
    let rows = shape[0];
    if count <= rows {
        return tensor.narrow(0, 0, count);
    }
    shape[0] = count - rows;
    let device = tensor.device();
    Tensor::cat(vec![tensor, Tensor::zeros(shape, &device)], 0)
}
