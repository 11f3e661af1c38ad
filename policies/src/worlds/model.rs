//! Diffusion models around an exact denoiser.

use std::sync::Arc;

use burn::tensor::Device;

use crate::gaussian::{ExactDenoiser, GaussianDiffusion, Kernel};
use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::Mlp;
use crate::noise::Noise;
use crate::schedule::Schedule;

/// Returns the model of an exact denoiser beside a perceptron that starts at zero.
///
/// `[dim, condition_dim]` are the widths of samples and conditions; `schedule` must predict what `exact` returns.
pub fn exact_model(
    [dim, condition_dim]: [usize; 2],
    schedule: Schedule,
    exact: Arc<ExactDenoiser>,
    hidden: &[usize],
    kernel: Kernel,
    (seed, device): (u64, &Device),
) -> GaussianDiffusion {
    let inputs = GaussianDiffusion::net_inputs(dim, condition_dim) + kernel.extra_inputs(dim);
    let spec = MlpSpec {
        sizes: [vec![inputs], hidden.to_vec(), vec![kernel.outputs(dim)]].concat(),
        activation: Activation::Silu,
        layer_norm: false,
    };
    let net = Mlp::new(spec, 0.0, &mut Noise::keyed(seed, "world", 0), device);
    GaussianDiffusion {
        net,
        schedule: Arc::new(schedule),
        dim,
        condition_dim,
        exact: Some(exact),
        kernel,
    }
}
