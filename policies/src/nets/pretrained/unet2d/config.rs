//! What the `config.json` of a `UNet2DModel` says.

use serde::Deserialize;
use tiltrl_tilt::TiltError;

use crate::nets::pretrained::refused;

/// What `config.json` says; kinds of blocks that are not here are refused.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    pub(super) sample_size: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) block_out_channels: Vec<usize>,
    pub(super) layers_per_block: usize,
    pub(super) down_block_types: Vec<Down>,
    pub(super) up_block_types: Vec<Up>,
    pub(super) norm_num_groups: usize,
    pub(super) norm_eps: f64,
    pub(super) attention_head_dim: Option<usize>,
    pub(super) flip_sin_to_cos: bool,
    pub(super) freq_shift: f64,
    pub(super) downsample_padding: usize,
    pub(super) mid_block_scale_factor: f64,
    #[serde(default)]
    pub(super) center_input_sample: bool,
    #[serde(default = "yes")]
    pub(super) add_attention: bool,
    pub(super) act_fn: String,
    pub(super) time_embedding_type: Option<String>,
    pub(super) resnet_time_scale_shift: Option<String>,
    pub(super) class_embed_type: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) enum Down {
    DownBlock2D,
    AttnDownBlock2D,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) enum Up {
    UpBlock2D,
    AttnUpBlock2D,
}

/// Checks what code here relies on.
pub(super) fn check(config: &Config) -> Result<(), TiltError> {
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
    if !config.block_out_channels[0].is_multiple_of(2) {
        return Err(refused("block_out_channels: the first must be even"));
    }
    Ok(())
}
