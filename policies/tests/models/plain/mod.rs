//! A perceptron without its fast form: tensors draw and score the paths of a model over it. What the engine is compared with.

use burn::module::Module;
use burn::tensor::Tensor;
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_policies::nets::{Denoiser, Network, Perceptron, Query};
use tiltrl_policies::tilt::TiltError;
use tiltrl_policies::tilt::sequential::SequentialModel;

#[derive(Module, Debug)]
struct Plain {
    net: Perceptron,
}

impl Denoiser for Plain {
    fn outputs(&self, query: &Query<'_>) -> Tensor<2> {
        self.net.outputs(query)
    }

    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        self.net.outputs_at(states, steps, num_steps, condition)
    }

    fn num_outputs(&self) -> usize {
        self.net.num_outputs()
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        let net = self.net.with_outputs(outputs)?;
        Ok(Self { net })
    }

    fn with_condition_column(&self) -> Result<Self, TiltError> {
        let net = self.net.with_condition_column()?;
        Ok(Self { net })
    }

    fn at_condition_column(&self, value: f32) -> Result<Self, TiltError> {
        let net = self.net.at_condition_column(value)?;
        Ok(Self { net })
    }
}

/// The same model of a perceptron, by tensors.
pub fn by_tensors(model: &GaussianDiffusion) -> GaussianDiffusion {
    let net = model.weights().get::<Perceptron>().expect("a perceptron");
    let plain = model.with_weights(Network::of(Plain { net }));
    assert!(!plain.is_compiled());
    plain
}
