//! The prior p(x), or p(x | condition): a diffusion over rows of images, trained by denoising.

use burn::tensor::Tensor;
use tiltrl_policies::Compute;
use tiltrl_policies::fast::Activation;
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::nets::{Denoiser, Network, NetworkShape, Perceptron, UNet, UNetShape};
use tiltrl_tilt::host::{host, host64};
use tiltrl_tilt::noise::Noise;

use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Descent, Recipe, descend};

/// How a prior is made.
#[derive(Clone, Debug)]
pub struct PriorSettings {
    /// Steps T from noise to image.
    pub steps: usize,
    /// Hidden widths of the perceptron.
    pub hidden: Vec<usize>,
    /// Updates of the weights.
    pub updates: usize,
    /// Images per update.
    pub batch: usize,
    /// Step size of Adam at the start.
    pub learning_rate: f64,
    /// Smallest standard deviation of a step: steps with less noise make log q − log p as large as they please.
    pub least_sigma: f64,
}

impl Default for PriorSettings {
    fn default() -> Self {
        Self {
            steps: 20,
            hidden: vec![256, 256, 256],
            updates: 6000,
            batch: 256,
            learning_rate: 1e-3,
            least_sigma: 0.05,
        }
    }
}

fn schedule(settings: &PriorSettings) -> Result<Schedule, Error> {
    let (kind, steps) = (ScheduleKind::Cosine, settings.steps);
    Ok(Schedule::new(kind, steps, Prediction::Velocity)?)
}

/// Returns an untrained diffusion over a perceptron; `widths` are those of a row and of a condition.
///
/// # Errors
/// When the schedule keeps memory of the noise.
pub fn perceptron(
    settings: &PriorSettings,
    widths: [usize; 2],
    seed: u64,
    compute: &Compute,
) -> Result<GaussianDiffusion, Error> {
    let [dim, condition_dim] = widths;
    let shape = NetworkShape {
        dim,
        condition_dim,
        outputs: dim,
        hidden: settings.hidden.clone(),
        activation: Activation::Silu,
        waves: 0,
    };
    let mut noise = Noise::keyed(seed, "image-prior-init", 0);
    let net = Network::of(Perceptron::new(&shape, 0.1, &mut noise, compute));
    Ok(GaussianDiffusion::new(
        net,
        schedule(settings)?,
        widths,
        StepShape::default(),
    )?)
}

/// Returns an untrained diffusion over a U-Net on images of this height and width.
///
/// # Errors
/// As for [`perceptron`], and when height or width is odd.
pub fn unet(
    settings: &PriorSettings,
    [height, width]: [usize; 2],
    channels: usize,
    seed: u64,
    compute: &Compute,
) -> Result<GaussianDiffusion<UNet>, Error> {
    let shape = UNetShape {
        image: [1, height, width],
        condition_dim: 0,
        channels,
    };
    let mut noise = Noise::keyed(seed, "image-prior-init", 0);
    let net = UNet::new(&shape, &mut noise, compute)?;
    let widths = [height * width, 0];
    Ok(GaussianDiffusion::new(
        net,
        schedule(settings)?,
        widths,
        StepShape::default(),
    )?)
}

/// Returns conditions for so many rows where nothing is asked for.
pub fn unconditional(rows: usize, compute: &Compute) -> Tensor<2> {
    Tensor::zeros([rows, 1], &compute.device)
}

/// Rows to learn from [count · dim] and their conditions.
pub type Draw<'a> = dyn Fn(&mut Noise, usize) -> (Vec<f32>, Tensor<2>) + 'a;

/// Trains a prior, or goes on from its checkpoint; `draw` gives a batch.
///
/// # Errors
/// As [`descend`].
pub fn train<N: Denoiser>(
    start: GaussianDiffusion<N>,
    settings: &PriorSettings,
    draw: &Draw<'_>,
    request: &Request,
) -> Result<GaussianDiffusion<N>, Error> {
    let recipe = Recipe {
        max_gradient_norm: 1.0,
        ..Recipe::new(settings.updates, settings.learning_rate)
    };
    let loss = |tracked: &GaussianDiffusion<N>, noise: &mut Noise| {
        let (rows, condition) = draw(noise, settings.batch);
        let surrogate = tracked.denoising_loss(&rows, &condition, noise);
        Descent {
            loss: host64(surrogate.clone())[0],
            surrogate,
        }
    };
    let unmeasured = |_: &GaussianDiffusion<N>| f64::NAN;
    let trained = descend("prior", start, &recipe, &loss, &unmeasured, request)?;
    Ok(fitted(&trained.model, settings, draw, request.seed))
}

/// Returns the model with step variances that fit its network, none below the least.
fn fitted<N: Denoiser>(
    model: &GaussianDiffusion<N>,
    settings: &PriorSettings,
    draw: &Draw<'_>,
    seed: u64,
) -> GaussianDiffusion<N> {
    let mut noise = Noise::keyed(seed, "image-prior-variance", 0);
    let (rows, condition) = draw(&mut noise, 1024);
    let model = model.with_fitted_variance(&rows, &condition, &mut noise);
    let mut schedule = model.schedule().clone();
    let floor = settings.least_sigma;
    schedule.sigma.iter_mut().for_each(|s| *s = s.max(floor));
    model.with_schedule(schedule)
}

/// Rows of one call of the models: more would not fit the caches.
const CHUNK: usize = 2048;

/// Returns `count` samples [count · dim], in the order of `conditions`, which gives the condition of rows (first, number).
pub fn sample<N: Denoiser>(
    model: &GaussianDiffusion<N>,
    count: usize,
    conditions: &dyn Fn(usize, usize) -> Tensor<2>,
    seed: u64,
    purpose: &str,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(count * model.dim());
    for (chunk, first) in (0..count).step_by(CHUNK).enumerate() {
        let rows = CHUNK.min(count - first);
        let mut noise = Noise::keyed(seed, purpose, chunk as u64);
        out.extend(host(model.sample(&conditions(first, rows), &mut noise)));
    }
    out
}

/// Draws rows [count · dim] of a training part, whatever their class.
pub fn draw_rows(rows: &[f32], dim: usize, noise: &mut Noise, count: usize) -> Vec<f32> {
    let chosen = noise.indices(count, rows.len() / dim);
    let picked = chosen
        .iter()
        .flat_map(|&i| rows[i * dim..(i + 1) * dim].iter());
    picked.copied().collect()
}
