//! Levels of a `UNet2DModel`: residual blocks, attention, and a change of the resolution.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::{Tensor, activation};
use tiltrl_tilt::TiltError;

use super::config::{Config, Down, Up};
use crate::nets::pretrained::{Pretrained, refused};

#[derive(Module, Debug)]
pub(super) struct Residual {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

#[derive(Module, Debug)]
pub(super) struct Attention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

/// Residual blocks, each with attention or without, then a change of the resolution.
#[derive(Module, Debug)]
pub(super) struct Level {
    pub(super) residuals: Vec<Residual>,
    pub(super) attentions: Vec<Attention>,
    pub(super) resample: Option<Conv2d>,
}

impl Residual {
    pub(super) fn read(
        file: &mut Pretrained,
        name: &str,
        [from, to]: [usize; 2],
        config: &Config,
    ) -> Result<Self, TiltError> {
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        let time = 4 * config.block_out_channels[0];
        let part = |end: &str| format!("{name}.{end}");
        let shortcut = (from != to)
            .then(|| file.convolution(&part("conv_shortcut"), [from, to], [1, 1, 0]))
            .transpose()?;
        Ok(Self {
            norm1: file.group_norm(&part("norm1"), [groups, from], eps)?,
            conv1: file.convolution(&part("conv1"), [from, to], [3, 1, 1])?,
            time: file.linear(&part("time_emb_proj"), [time, to], true)?,
            norm2: file.group_norm(&part("norm2"), [groups, to], eps)?,
            conv2: file.convolution(&part("conv2"), [to, to], [3, 1, 1])?,
            shortcut,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
        let inner = self
            .conv1
            .forward(activation::silu(self.norm1.forward(x.clone())));
        let [rows, channels, _, _] = inner.dims();
        let shift = self.time.forward(activation::silu(time.clone()));
        let inner = inner + shift.reshape([rows, channels, 1, 1]);
        let inner = self
            .conv2
            .forward(activation::silu(self.norm2.forward(inner)));
        let x = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        x + inner
    }
}

impl Attention {
    pub(super) fn read(
        file: &mut Pretrained,
        name: &str,
        width: usize,
        config: &Config,
    ) -> Result<Self, TiltError> {
        let groups = [config.norm_num_groups, width];
        let heads = config
            .attention_head_dim
            .map_or(1, |dim| (width / dim.max(1)).max(1));
        let mut linear = |part: &str| file.linear(&format!("{name}.{part}"), [width, width], true);
        Ok(Self {
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            out: linear("to_out.0")?,
            norm: file.group_norm(&format!("{name}.group_norm"), groups, config.norm_eps)?,
            heads,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [rows, channels, height, width] = x.dims();
        let (places, each) = (height * width, channels / self.heads);
        let flat = self
            .norm
            .forward(x.clone())
            .reshape([rows, channels, places]);
        let flat = flat.swap_dims(1, 2);
        let split = |t: Tensor<3>| t.reshape([rows, places, self.heads, each]).swap_dims(1, 2);
        let query = split(self.query.forward(flat.clone()));
        let key = split(self.key.forward(flat.clone()));
        let value = split(self.value.forward(flat));
        let scores = query.matmul(key.swap_dims(2, 3)) / (each as f64).sqrt();
        let mixed = activation::softmax(scores, 3).matmul(value);
        let mixed = mixed.swap_dims(1, 2).reshape([rows, places, channels]);
        let out = self.out.forward(mixed).swap_dims(1, 2);
        x + out.reshape([rows, channels, height, width])
    }
}

impl Level {
    pub(super) fn forward(&self, mut x: Tensor<4>, time: &Tensor<2>, at: usize) -> Tensor<4> {
        x = self.residuals[at].forward(x, time);
        match self.attentions.get(at) {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }

    /// Reads `widths.len() − 1` residual blocks and as many attentions where there are any.
    pub(super) fn read(
        file: &mut Pretrained,
        name: &str,
        inputs: &[usize],
        to: usize,
        attention: bool,
        config: &Config,
    ) -> Result<Self, TiltError> {
        let (mut residuals, mut attentions) = (Vec::new(), Vec::new());
        for (i, &from) in inputs.iter().enumerate() {
            let place = format!("{name}.resnets.{i}");
            residuals.push(Residual::read(file, &place, [from, to], config)?);
            if attention {
                let place = format!("{name}.attentions.{i}");
                attentions.push(Attention::read(file, &place, to, config)?);
            }
        }
        Ok(Self {
            residuals,
            attentions,
            resample: None,
        })
    }
}

/// Reads the levels on the way down, and the channels of what they leave for the way up.
pub(super) fn read_down(
    file: &mut Pretrained,
    config: &Config,
) -> Result<(Vec<Level>, Vec<usize>), TiltError> {
    let channels = &config.block_out_channels;
    let mut skips = vec![channels[0]];
    let mut levels = Vec::new();
    for (i, &to) in channels.iter().enumerate() {
        let from = channels[i.saturating_sub(1)];
        let inputs: Vec<usize> = (0..config.layers_per_block)
            .map(|j| if j == 0 { from } else { to })
            .collect();
        let name = format!("down_blocks.{i}");
        let attention = config.down_block_types[i] == Down::AttnDownBlock2D;
        let mut level = Level::read(file, &name, &inputs, to, attention, config)?;
        skips.extend(std::iter::repeat_n(to, config.layers_per_block));
        if i + 1 < channels.len() {
            let shape = [3, 2, config.downsample_padding];
            let name = format!("{name}.downsamplers.0.conv");
            level.resample = Some(file.convolution(&name, [to, to], shape)?);
            skips.push(to);
        }
        levels.push(level);
    }
    Ok((levels, skips))
}

/// Reads the levels on the way up.
pub(super) fn read_up(
    file: &mut Pretrained,
    config: &Config,
    mut skips: Vec<usize>,
) -> Result<Vec<Level>, TiltError> {
    let channels = &config.block_out_channels;
    let mut from = channels[channels.len() - 1];
    let mut levels = Vec::new();
    for (i, &to) in channels.iter().rev().enumerate() {
        let mut inputs = Vec::new();
        for _ in 0..=config.layers_per_block {
            let skip = skips
                .pop()
                .ok_or_else(|| refused("levels that do not match"))?;
            inputs.push(from + skip);
            from = to;
        }
        let name = format!("up_blocks.{i}");
        let attention = config.up_block_types[i] == Up::AttnUpBlock2D;
        let mut level = Level::read(file, &name, &inputs, to, attention, config)?;
        if i + 1 < channels.len() {
            let name = format!("{name}.upsamplers.0.conv");
            level.resample = Some(file.convolution(&name, [to, to], [3, 1, 1])?);
        }
        levels.push(level);
    }
    Ok(levels)
}
