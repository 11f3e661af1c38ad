//! A network of one number with its own optimizer: log Z(s), or the log-value of a state.

use burn::tensor::{Device, Tensor, activation};

use crate::checkpoint::Checkpoint;
use crate::error::TiltError;
use crate::host::{host, host64, vector};
use crate::noise::Noise;
use crate::optimizer::{Adam, AdamConfig, Optimizer};

/// A perceptron with one hidden layer that starts at zero, without weight decay.
pub(super) struct ValueNet {
    inputs: usize,
    hidden: usize,
    /// Hidden weights [inputs, hidden] and bias, output weights and bias, flat.
    parameters: Vec<Tensor<1>>,
    optimizer: Adam,
}

impl ValueNet {
    /// Returns a network of `inputs` features whose values are all zero.
    pub(crate) fn new(inputs: usize, hidden: usize, seed: u64, device: &Device) -> Self {
        let mut noise = Noise::keyed(seed, "value-net", 0);
        let bound = (1.0 / inputs as f64).sqrt();
        let weights = noise.uniform_rows(1, inputs * hidden);
        let weights = weights.iter().map(|u| ((2.0 * u - 1.0) * bound) as f32);
        let zeros = |length: usize| Tensor::zeros([length], device);
        Self {
            inputs,
            hidden,
            parameters: vec![
                vector(weights.collect(), device),
                zeros(hidden),
                zeros(hidden),
                zeros(1),
            ],
            optimizer: Adam::new(AdamConfig::plain(0.0)),
        }
    }

    /// The value of each row of features, `[rows]`.
    fn forward(&self, parameters: &[Tensor<1>], features: &Tensor<2>) -> Tensor<1> {
        let rows = features.dims()[0];
        let part = |i: usize, shape: [usize; 2]| parameters[i].clone().reshape(shape);
        let products = features.clone().matmul(part(0, [self.inputs, self.hidden]));
        let hidden = activation::silu(products + part(1, [1, self.hidden]));
        let values = hidden.matmul(part(2, [self.hidden, 1])) + part(3, [1, 1]);
        values.reshape([rows])
    }

    /// Returns the value of each row of features.
    pub(crate) fn values(&self, features: &Tensor<2>) -> Vec<f64> {
        host64(self.forward(&self.parameters, features))
    }

    /// Moves the values against Σ weights · value, the gradient of the loss with respect to each value.
    pub(crate) fn learn(&mut self, features: &Tensor<2>, weights: &[f64], learning_rate: f32) {
        let track = |p: &Tensor<1>| p.clone().autodiff().require_grad();
        let tracked: Vec<Tensor<1>> = self.parameters.iter().map(track).collect();
        let weights = weights.iter().map(|&w| w as f32).collect();
        let weights = vector(weights, &features.device().inner());
        let gradients = (self.forward(&tracked, features) * weights)
            .sum()
            .backward();
        let gradient = tracked.iter().map(|p| p.grad(&gradients)).collect();
        self.optimizer.set_learning_rate(learning_rate);
        let parameters = std::mem::take(&mut self.parameters);
        self.parameters = self.optimizer.step(parameters, gradient).parameters;
    }

    pub fn put(&self, checkpoint: &mut Checkpoint) {
        for (i, parameter) in self.parameters.iter().enumerate() {
            let name = format!("value.{i}");
            checkpoint.tensors.insert(name, host(parameter.clone()));
        }
        self.optimizer.put(checkpoint, "_value");
    }

    pub fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &std::path::Path,
    ) -> Result<(), TiltError> {
        let device = self.parameters[0].device();
        let lengths: Vec<usize> = self.parameters.iter().map(|p| p.dims()[0]).collect();
        for (i, (parameter, &length)) in self.parameters.iter_mut().zip(&lengths).enumerate() {
            let values = checkpoint.tensor(path, &format!("value.{i}"), length)?;
            *parameter = vector(values, &device);
        }
        if checkpoint.update > 0 {
            self.optimizer.get(checkpoint, path, "_value", &lengths)?;
        }
        Ok(())
    }
}
