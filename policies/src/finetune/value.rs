//! A network of one number with its own optimizer: log Z(s), or the log-value of a state.

use burn::tensor::{Device, Tensor};

use crate::kernels::adam::{Adam, AdamConfig};
use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::{Mlp, host, vector};
use crate::noise::Noise;

/// A perceptron that starts at zero, without weight decay.
#[derive(Clone)]
pub struct ValueNet {
    /// The network: features → one value.
    pub net: Mlp,
    /// Its optimizer.
    pub optimizer: Adam,
}

impl ValueNet {
    /// Returns a network of `inputs` features whose values are all zero.
    pub fn new(inputs: usize, hidden: usize, seed: u64, device: &Device) -> Self {
        let spec = MlpSpec {
            sizes: vec![inputs, hidden, 1],
            activation: Activation::Silu,
            layer_norm: false,
        };
        let adam = AdamConfig {
            learning_rate: 0.0,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        };
        let net = Mlp::new(spec, 0.0, &mut Noise::keyed(seed, "value-net", 0), device);
        let optimizer = Adam::new(adam, net.spec.num_parameters());
        Self { net, optimizer }
    }

    /// Returns the value of each row of features.
    pub fn values(&self, features: &Tensor<2>) -> Vec<f64> {
        host(self.net.forward(features.clone()))
            .iter()
            .map(|&v| f64::from(v))
            .collect()
    }

    /// Moves the values against Σ weights · value, the gradient of the loss with respect to each value.
    pub fn learn(&mut self, features: &Tensor<2>, weights: &[f64], learning_rate: f32) {
        let device = self.net.parameters.device().inner();
        let tracked = self.net.tracked();
        let rows = weights.len();
        let weights = vector(weights.iter().map(|&w| w as f32).collect(), &device);
        let surrogate = (tracked.forward(features.clone()).reshape([rows]) * weights).sum();
        let gradient = host(
            tracked
                .parameters
                .grad(&surrogate.backward())
                .expect("the network is tracked"),
        );
        let mut parameters = host(self.net.parameters.clone());
        self.optimizer.config.learning_rate = learning_rate;
        self.optimizer.step(&mut parameters, &gradient);
        self.net.parameters = vector(parameters, &device);
    }
}
