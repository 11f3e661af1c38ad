//! A small U-Net as a denoiser of images (arXiv:1505.04597 with the time embedding of arXiv:2006.11239): two resolutions, one
//! residual block each way.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, activation};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;

use super::denoiser::Denoiser;
use super::perceptron::{EMBEDDING, embedding};
use super::seeded::{resized, seeded};
use crate::compute::Compute;

/// Shape of a [`UNet`].
#[derive(Clone, Debug)]
pub struct UNetShape {
    /// Channels, height and width of an image; height and width even. A state is their product, row-major.
    pub image: [usize; 3],
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
    /// Channels at full resolution, a multiple of 4.
    pub channels: usize,
}

/// A convolution of 3 × 3 that keeps the size.
fn convolution(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(device)
}

#[derive(Module, Debug)]
struct Residual {
    norm_in: GroupNorm,
    convolution_in: Conv2d,
    time: Linear,
    norm_out: GroupNorm,
    convolution_out: Conv2d,
    skip: Option<Conv2d>,
}

impl Residual {
    fn new([from, to]: [usize; 2], time: usize, device: &Device) -> Self {
        let norm = |channels| GroupNormConfig::new(4, channels).init(device);
        let skip = (from != to).then(|| Conv2dConfig::new([from, to], [1, 1]).init(device));
        Self {
            norm_in: norm(from),
            convolution_in: convolution(from, to, 1, device),
            time: LinearConfig::new(time, to).init(device),
            norm_out: norm(to),
            convolution_out: convolution(to, to, 1, device),
            skip,
        }
    }

    fn forward(&self, x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
        let inner = activation::silu(self.norm_in.forward(x.clone()));
        let inner = self.convolution_in.forward(inner);
        let [rows, channels, _, _] = inner.dims();
        let shift = self.time.forward(time.clone());
        let inner = inner + shift.reshape([rows, channels, 1, 1]);
        let inner = activation::silu(self.norm_out.forward(inner));
        let inner = self.convolution_out.forward(inner);
        match &self.skip {
            Some(skip) => skip.forward(x) + inner,
            None => x + inner,
        }
    }
}

/// A U-Net over images.
#[derive(Module, Debug)]
pub struct UNet {
    time_in: Linear,
    time_out: Linear,
    first: Conv2d,
    down: Residual,
    smaller: Conv2d,
    middle: Residual,
    larger: Conv2d,
    up: Residual,
    norm: GroupNorm,
    last: Conv2d,
    channels_in: usize,
    height: usize,
    width: usize,
    condition_dim: usize,
}

impl UNet {
    /// Returns a network with random weights and a last layer of zeros.
    ///
    /// # Errors
    /// [`TiltError::Model`] when height or width is odd, or the channels are no multiple of 4.
    pub fn new(shape: &UNetShape, noise: &mut Noise, compute: &Compute) -> Result<Self, TiltError> {
        let [channels_in, height, width] = shape.image;
        let (channels, device) = (shape.channels, &compute.device);
        if height % 2 + width % 2 + channels % 4 > 0 {
            return Err(TiltError::Model(format!(
                "a U-Net needs an even height and width and a multiple of 4 channels, found {height} × {width} and {channels}"
            )));
        }
        let time = 4 * channels;
        let net = Self {
            time_in: LinearConfig::new(EMBEDDING + shape.condition_dim, time).init(device),
            time_out: LinearConfig::new(time, time).init(device),
            first: convolution(channels_in, channels, 1, device),
            down: Residual::new([channels, channels], time, device),
            smaller: convolution(channels, 2 * channels, 2, device),
            middle: Residual::new([2 * channels, 2 * channels], time, device),
            larger: convolution(2 * channels, channels, 1, device),
            up: Residual::new([2 * channels, channels], time, device),
            norm: GroupNormConfig::new(4, channels).init(device),
            last: convolution(channels, channels_in, 1, device),
            channels_in,
            height,
            width,
            condition_dim: shape.condition_dim,
        };
        let mut net = seeded(net, noise);
        net.last.weight = net.last.weight.map(|w| w * 0.0);
        Ok(net)
    }

    fn dim(&self) -> usize {
        self.channels_in * self.height * self.width
    }

    fn forward(&self, states: &Tensor<2>, times: Vec<f32>, condition: &Tensor<2>) -> Tensor<2> {
        let rows = states.dims()[0];
        let device = self.first.weight.val().device().inner();
        let mut columns = vec![matrix(times, EMBEDDING, &device)];
        if self.condition_dim > 0 {
            columns.push(condition.clone());
        }
        let time = activation::silu(self.time_in.forward(Tensor::cat(columns, 1)));
        let time = activation::silu(self.time_out.forward(time));
        let image = states
            .clone()
            .reshape([rows, self.channels_in, self.height, self.width]);
        let fine = self.down.forward(self.first.forward(image), &time);
        let coarse = self.smaller.forward(fine.clone());
        let coarse = self.middle.forward(coarse, &time);
        let options = InterpolateOptions {
            output_size: Some([self.height, self.width]),
            ..InterpolateOptions::new(InterpolateMode::Nearest)
        };
        let raised = interpolate(coarse, options);
        let both = Tensor::cat(vec![self.larger.forward(raised), fine], 1);
        let out = activation::silu(self.norm.forward(self.up.forward(both, &time)));
        self.last.forward(out).reshape([rows, self.num_outputs()])
    }
}

impl Denoiser for UNet {
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
        self.last.weight.dims()[0] * self.height * self.width
    }

    /// Whole images of outputs only: one for the mean, a second for log σ.
    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        if outputs == 0 || !outputs.is_multiple_of(self.dim()) {
            return Err(TiltError::Model(format!(
                "a U-Net over {} values has whole images of outputs, found {outputs}\n  hint: learned variances fit, a guidance term does not",
                self.dim()
            )));
        }
        let wanted = outputs / (self.height * self.width);
        let mut net = self.clone();
        net.last.weight = net.last.weight.map(|w| resized(w, wanted));
        net.last.bias = net.last.bias.map(|b| b.map(|b| resized(b, wanted)));
        Ok(net)
    }
}
