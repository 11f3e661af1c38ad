//! `UNet2DModel` of diffusers: the network of DDPM (arXiv:2006.11239) with residual blocks and self-attention, at any size.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, activation};
use serde::Deserialize;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::matrix;

use super::{Pretrained, config, refused};
use crate::nets::{Denoiser, Query};

/// What `config.json` says; kinds of blocks that are not here are refused.
#[derive(Clone, Debug, Deserialize)]
struct Config {
    sample_size: usize,
    in_channels: usize,
    out_channels: usize,
    block_out_channels: Vec<usize>,
    layers_per_block: usize,
    down_block_types: Vec<Down>,
    up_block_types: Vec<Up>,
    norm_num_groups: usize,
    norm_eps: f64,
    attention_head_dim: Option<usize>,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    downsample_padding: usize,
    mid_block_scale_factor: f64,
    #[serde(default)]
    center_input_sample: bool,
    #[serde(default = "yes")]
    add_attention: bool,
    act_fn: String,
    time_embedding_type: Option<String>,
    resnet_time_scale_shift: Option<String>,
    class_embed_type: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
enum Down {
    DownBlock2D,
    AttnDownBlock2D,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
enum Up {
    UpBlock2D,
    AttnUpBlock2D,
}

#[derive(Module, Debug)]
struct Residual {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

#[derive(Module, Debug)]
struct Attention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

/// Residual blocks, each with attention or without, then a change of the resolution.
#[derive(Module, Debug)]
struct Level {
    residuals: Vec<Residual>,
    attentions: Vec<Attention>,
    resample: Option<Conv2d>,
}

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

impl Residual {
    fn read(
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

    fn forward(&self, x: Tensor<4>, time: &Tensor<2>) -> Tensor<4> {
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
    fn read(
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

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
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
    fn forward(&self, mut x: Tensor<4>, time: &Tensor<2>, at: usize) -> Tensor<4> {
        x = self.residuals[at].forward(x, time);
        match self.attentions.get(at) {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }

    /// Reads `widths.len() − 1` residual blocks and as many attentions where there are any.
    fn read(
        file: &mut Pretrained,
        name: &str,
        (inputs, to, attention): (&[usize], usize, bool),
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

/// Checks what code here relies on.
fn check(config: &Config) -> Result<(), TiltError> {
    let levels = config.block_out_channels.len();
    if levels == 0
        || config.down_block_types.len() != levels
        || config.up_block_types.len() != levels
    {
        return Err(refused(
            "block_out_channels, down_block_types and up_block_types must name as many levels each",
        ));
    }
    if config.mid_block_scale_factor != 1.0 || config.downsample_padding > 1 {
        return Err(refused(
            "a mid_block_scale_factor other than 1, or a downsample_padding above 1",
        ));
    }
    let only = |key: &str, found: Option<&str>, known: &[&str]| match found {
        Some(word) if !known.contains(&word) => Err(refused(format!(
            "config.json: {key} {word:?}, expected {known:?}"
        ))),
        _ => Ok(()),
    };
    let scale_shift = config.resnet_time_scale_shift.as_deref();
    only("act_fn", Some(&config.act_fn), &["silu", "swish"])?;
    only(
        "time_embedding_type",
        config.time_embedding_type.as_deref(),
        &["positional"],
    )?;
    only("resnet_time_scale_shift", scale_shift, &["default"])?;
    only("class_embed_type", config.class_embed_type.as_deref(), &[])?;
    let groups = config.norm_num_groups.max(1);
    let odd = config.block_out_channels.iter().find(|&&c| c % groups > 0);
    if let Some(channels) = odd {
        return Err(refused(format!("{channels} channels in {groups} groups")));
    }
    if config.block_out_channels[0] % 2 > 0 {
        return Err(refused("block_out_channels: the first must be even"));
    }
    Ok(())
}

fn read_down(
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
        let mut level = Level::read(file, &name, (&inputs, to, attention), config)?;
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

fn read_up(
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
        let mut level = Level::read(file, &name, (&inputs, to, attention), config)?;
        if i + 1 < channels.len() {
            let name = format!("{name}.upsamplers.0.conv");
            level.resample = Some(file.convolution(&name, [to, to], [3, 1, 1])?);
        }
        levels.push(level);
    }
    Ok(levels)
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
        let config: Config = config(text)?;
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
        let mut middle = Level::read(
            &mut file,
            "mid_block",
            (&[last, last], last, false),
            &config,
        )?;
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
    pub fn forward(&self, images: &Tensor<2>, levels: &[f64]) -> Tensor<2> {
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
    fn outputs(&self, query: &Query<'_>) -> Tensor<2> {
        let paths = query.states.dims()[0] / query.steps.len().max(1);
        let of_row = query.steps.clone();
        let rows: Vec<usize> = of_row.flat_map(|k| std::iter::repeat_n(k, paths)).collect();
        self.outputs_at(query.states, &rows, query.num_steps, query.condition)
    }

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
