//! `UNet2DModel` of diffusers: the network of DDPM (arXiv:2006.11239) with residual blocks and self-attention, at any size.

mod config;
mod level;

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, activation};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::matrix;

use self::config::{Config, check};
use self::level::{Attention, Level, read_down, read_up};
use super::{Pretrained, config as read_config};
use crate::nets::Denoiser;

/// A `UNet2DModel`. Images are [rows, channels · height · width].
#[derive(Module, Debug)]
pub struct UNet2D {
    first: Conv2d,
    time_in: Linear,
    time_out: Linear,
    down: Vec<Level>,
    middle: Level,
    up: Vec<Level>,
    norm: GroupNorm,
    last: Conv2d,
    size: [usize; 3],
    outputs: usize,
    frequencies: usize,
    cosine_first: bool,
    /// freq_shift in thousandths.
    shift: usize,
    padding: usize,
    centred: bool,
    train_steps: usize,
}

impl UNet2D {
    /// Reads a network from the text of `config.json` and the bytes of its safetensors file. `train_steps` is the number of noise
    /// levels it was trained on (1,000 for DDPM): a step of a chain of T is asked for at its share of them.
    ///
    /// # Errors
    /// [`TiltError::Model`] when config and file do not fit together, or ask for a part that is not here.
    pub fn read(
        text: &str,
        bytes: &[u8],
        train_steps: usize,
        device: &Device,
    ) -> Result<Self, TiltError> {
        let config: Config = read_config(text)?;
        check(&config)?;
        let mut file = Pretrained::read(bytes, device)?;
        // Names of older files.
        for (old, new) in [
            (".query.", ".to_q."),
            (".key.", ".to_k."),
            (".value.", ".to_v."),
            (".proj_attn.", ".to_out.0."),
        ] {
            file.rename(old, new);
        }
        let channels = config.block_out_channels.clone();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let (down, skips) = read_down(&mut file, &config)?;
        let mut middle = Level::read(&mut file, "mid_block", &[last, last], last, false, &config)?;
        if config.add_attention {
            let attention = Attention::read(&mut file, "mid_block.attentions.0", last, &config)?;
            middle.attentions.push(attention);
        }
        let net = Self {
            first: file.convolution("conv_in", [config.in_channels, first], [3, 1, 1])?,
            time_in: file.linear("time_embedding.linear_1", [first, 4 * first], true)?,
            time_out: file.linear("time_embedding.linear_2", [4 * first, 4 * first], true)?,
            down,
            middle,
            up: read_up(&mut file, &config, skips)?,
            norm: file.group_norm(
                "conv_norm_out",
                [config.norm_num_groups, first],
                config.norm_eps,
            )?,
            last: file.convolution("conv_out", [first, config.out_channels], [3, 1, 1])?,
            size: [config.in_channels, config.sample_size, config.sample_size],
            outputs: config.out_channels * config.sample_size * config.sample_size,
            frequencies: first / 2,
            cosine_first: config.flip_sin_to_cos,
            shift: (config.freq_shift * 1000.0).round() as usize,
            padding: config.downsample_padding,
            centred: config.center_input_sample,
            train_steps,
        };
        file.finish()?;
        Ok(net)
    }

    /// Sinusoids of noise levels [rows, 2 · frequencies].
    fn times(&self, levels: &[f64], device: &Device) -> Tensor<2> {
        let half = self.frequencies;
        let below = half as f64 - self.shift as f64 / 1000.0;
        let rate = |i: usize| (-(10_000f64.ln()) * i as f64 / below).exp();
        let mut out = Vec::with_capacity(levels.len() * 2 * half);
        for level in levels {
            let sines = (0..half).map(|i| (level * rate(i)).sin() as f32);
            let cosines = (0..half).map(|i| (level * rate(i)).cos() as f32);
            if self.cosine_first {
                out.extend(cosines.chain(sines));
            } else {
                out.extend(sines.chain(cosines));
            }
        }
        matrix(out, 2 * half, device)
    }

    /// Returns the output [rows, channels · height · width] for images [rows, …] at noise levels from 0, one per row.
    fn forward(&self, images: &Tensor<2>, levels: &[f64]) -> Tensor<2> {
        let rows = levels.len();
        let [channels, height, width] = self.size;
        let device = self.first.weight.val().device().inner();
        let time = self.time_in.forward(self.times(levels, &device));
        let time = self.time_out.forward(activation::silu(time));
        let mut x = images.clone().reshape([rows, channels, height, width]);
        if self.centred {
            x = x * 2.0 - 1.0;
        }
        x = self.first.forward(x);
        let mut skips = vec![x.clone()];
        for level in &self.down {
            for at in 0..level.residuals.len() {
                x = level.forward(x, &time, at);
                skips.push(x.clone());
            }
            if let Some(smaller) = &level.resample {
                x = smaller.forward(self.padded(x));
                skips.push(x.clone());
            }
        }
        x = self.middle.forward(x, &time, 0);
        x = self.middle.residuals[1].forward(x, &time);
        for level in &self.up {
            for at in 0..level.residuals.len() {
                let skip = skips.pop().expect("read with as many as are asked for");
                x = level.forward(Tensor::cat(vec![x, skip], 1), &time, at);
            }
            if let Some(larger) = &level.resample {
                let [_, _, height, width] = x.dims();
                let options = InterpolateOptions {
                    output_size: Some([2 * height, 2 * width]),
                    ..InterpolateOptions::new(InterpolateMode::Nearest)
                };
                x = larger.forward(interpolate(x, options));
            }
        }
        let out = self.last.forward(activation::silu(self.norm.forward(x)));
        out.reshape([rows, self.outputs])
    }

    /// Without padding of its own, a smaller level sees one more line of zeros below and to the right.
    fn padded(&self, x: Tensor<4>) -> Tensor<4> {
        if self.padding > 0 {
            return x;
        }
        let [rows, channels, height, width] = x.dims();
        let device = x.device();
        let right = Tensor::zeros([rows, channels, height, 1], &device);
        let x = Tensor::cat(vec![x, right], 3);
        let below = Tensor::zeros([rows, channels, 1, width + 1], &device);
        Tensor::cat(vec![x, below], 2)
    }

    /// The noise level of step k of T.
    fn level(&self, step: usize, num_steps: usize) -> f64 {
        let share = (num_steps - step) as f64 / num_steps as f64;
        (share * self.train_steps as f64).round() - 1.0
    }
}

impl Denoiser for UNet2D {
    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        _: &Tensor<2>,
    ) -> Tensor<2> {
        let levels: Vec<f64> = steps.iter().map(|&k| self.level(k, num_steps)).collect();
        self.forward(states, &levels)
    }

    fn num_outputs(&self) -> usize {
        self.outputs
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        if outputs == self.outputs {
            return Ok(self.clone());
        }
        Err(TiltError::Model(format!(
            "a pretrained U-Net has {} outputs, not {outputs}\n  hint: tilt it with fixed variances",
            self.outputs
        )))
    }
}
