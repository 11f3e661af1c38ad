//! A policy's numbers as a card's kernel wants them.

use tiltrl_envs::gpu::policy::{Bend, PolicyLayer, PolicyStep, PolicyTables};
use tiltrl_policies::agent::Normalizer;
use tiltrl_policies::fast::Activation;

use super::numbers::{Layer, PolicyNumbers};

impl PolicyNumbers {
    /// Returns the numbers for the kernel that denoises on a card.
    ///
    /// # Errors
    /// When the policy has something that the kernel does not do; the text says what.
    pub fn tables(&self) -> Result<PolicyTables, String> {
        let layers = &self.network.layers;
        if layers.iter().any(|layer| layer.norm.is_some()) {
            return Err("its layers are normalised".into());
        }
        if self.selection.is_some() {
            return Err("it chooses among samples by value".into());
        }
        let layer = |layer: &Layer| PolicyLayer {
            shape: layer.shape,
            weight: layer.weight.clone(),
            bias: layer.bias.clone(),
        };
        let step = |k: usize| PolicyStep {
            state: self.state[k],
            output: self.output[k],
            sigma: self.sigma[k],
            embedding: self.embedding[k].clone(),
        };
        let pair = |n: &Normalizer| [n.mean.clone(), n.std.clone()];
        let tables = PolicyTables {
            observation: pair(&self.coordinates.observation),
            action: pair(&self.coordinates.action),
            steps: (0..self.sigma.len()).map(step).collect(),
            log_sigma_limit: self.log_sigma_limit,
            bend: match self.network.activation {
                Activation::Relu => Bend::Relu,
                Activation::Silu => Bend::Silu,
                Activation::Mish => Bend::Mish,
                Activation::Gelu => Bend::Gelu,
            },
            layers: layers.iter().map(layer).collect(),
        };
        match tables.kernel() {
            Ok(_) => Ok(tables),
            Err(error) => Err(error.to_string().lines().next().unwrap_or_default().into()),
        }
    }
}
