//! Diffusion models around an exact denoiser.

use std::sync::Arc;

use tiltrl_tilt::noise::Noise;

use super::problem::Settings;
use crate::fast::{Activation, HostField};
use crate::models::{GaussianDiffusion, Schedule};
use crate::nets::{Network, NetworkShape, Perceptron};

/// Returns the model of an exact denoiser beside a perceptron that starts at zero.
///
/// `[dim, condition_dim]` are the widths of samples and conditions; `schedule` must predict what `exact` returns.
pub(super) fn exact_model(
    [dim, condition_dim]: [usize; 2],
    schedule: Schedule,
    exact: Arc<HostField>,
    settings: &Settings,
) -> GaussianDiffusion {
    let shape = NetworkShape {
        dim,
        condition_dim,
        outputs: settings.step.outputs(dim),
        hidden: settings.hidden.clone(),
        activation: Activation::Silu,
        waves: settings.waves,
    };
    let mut noise = Noise::keyed(settings.seed, "world", 0);
    let net = Perceptron::new(&shape, 0.0, &mut noise, &settings.compute);
    let net = Network::of(net);
    GaussianDiffusion::new(net, schedule, [dim, condition_dim], settings.step.clone())
        .expect("the network has the outputs of its step")
        .with_exact(exact)
}
