//! A residual network with layer norm as a denoiser: the one of IDQL (arXiv:2304.10573), without its dropout.
//!
//! Each block adds W₂ f(W₁ LN(x)), with four times the width inside. It is made of burn's layers and runs on any device.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Tensor, activation};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;

use super::denoiser::Denoiser;
use super::network::NetworkShape;
use super::perceptron::{EMBEDDING, embedding, without_one};
use super::seeded::{resized, scaled, seeded};
use crate::compute::Compute;
use crate::fast::Activation;

#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

/// A residual network over rows.
#[derive(Module, Debug)]
pub(crate) struct Residual {
    first: Linear,
    blocks: Vec<Block>,
    last: Linear,
    condition_dim: usize,
    #[module(skip)]
    activation: Activation,
}

impl Residual {
    /// Returns a network with random weights; those of the last layer are a tenth.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the hidden widths differ, or it should see waves.
    pub(super) fn new(
        shape: &NetworkShape,
        noise: &mut Noise,
        compute: &Compute,
    ) -> Result<Self, TiltError> {
        let width = shape.hidden.first().copied().unwrap_or_default();
        if width == 0 || shape.hidden.iter().any(|w| *w != width) {
            return Err(TiltError::Model(format!(
                "prior.hidden: a residual network has blocks of one width, as [256, 256, 256]; found {:?}",
                shape.hidden
            )));
        }
        if shape.waves > 0 {
            return Err(TiltError::Model(format!(
                "a residual network sees no waves of the state, found {}\n  hint: `perceptron` does",
                shape.waves
            )));
        }
        let device = &compute.device;
        let block = || Block {
            norm: LayerNormConfig::new(width).init(device),
            widen: LinearConfig::new(width, 4 * width).init(device),
            narrow: LinearConfig::new(4 * width, width).init(device),
        };
        let inputs = shape.dim + EMBEDDING + shape.condition_dim;
        let net = Self {
            first: LinearConfig::new(inputs, width).init(device),
            blocks: shape.hidden.iter().map(|_| block()).collect(),
            last: LinearConfig::new(width, shape.outputs).init(device),
            condition_dim: shape.condition_dim,
            activation: shape.activation,
        };
        let net = seeded(net, noise);
        Ok(Self {
            last: scaled(net.last, 0.1),
            ..net
        })
    }

    fn bend(&self, x: Tensor<2>) -> Tensor<2> {
        match self.activation {
            Activation::Relu => activation::relu(x),
            Activation::Silu => activation::silu(x),
            Activation::Mish => activation::mish(x),
            Activation::Gelu => activation::gelu(x),
        }
    }

    fn forward(&self, states: &Tensor<2>, times: Vec<f32>, condition: &Tensor<2>) -> Tensor<2> {
        let device = self.first.weight.val().device().inner();
        let mut columns = vec![states.clone(), matrix(times, EMBEDDING, &device)];
        if self.condition_dim > 0 {
            columns.push(condition.clone());
        }
        let mut x = self.first.forward(Tensor::cat(columns, 1));
        for block in &self.blocks {
            let inner = self.bend(block.widen.forward(block.norm.forward(x.clone())));
            x = x + block.narrow.forward(inner);
        }
        self.last.forward(self.bend(x))
    }
}

impl Denoiser for Residual {
    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let times = steps.iter().flat_map(|&k| embedding(k, num_steps));
        self.forward(states, times.collect(), condition)
    }

    fn num_outputs(&self) -> usize {
        self.last.weight.dims()[1]
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        let mut net = self.clone();
        let weight = |w: Tensor<2>| resized(w.transpose(), outputs).transpose();
        net.last.weight = net.last.weight.map(weight);
        net.last.bias = net.last.bias.map(|b| b.map(|b| resized(b, outputs)));
        Ok(net)
    }

    fn with_condition_column(&self) -> Result<Self, TiltError> {
        let mut net = self.clone();
        let inputs = net.first.weight.dims()[0];
        net.first.weight = net.first.weight.map(|w| resized(w, inputs + 1));
        net.condition_dim += 1;
        Ok(net)
    }

    fn at_condition_column(&self, value: f32) -> Result<Self, TiltError> {
        let mut net = self.clone();
        net.condition_dim = without_one(self.condition_dim)?;
        let inputs = net.first.weight.dims()[0];
        let row = net.first.weight.val().narrow(0, inputs - 1, 1) * value;
        let part = row.squeeze_dim::<1>(0);
        net.first.bias = net.first.bias.map(|b| b.map(|b| b + part));
        net.first.weight = net.first.weight.map(|w| resized(w, inputs - 1));
        Ok(net)
    }
}
