//! `GPT2LMHeadModel` of transformers (Radford et al. 2019): a causal transformer with learned positions, at any size.

use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use serde::Deserialize;
use tiltrl_tilt::TiltError;

use super::{Pretrained, config, refused};

#[derive(Clone, Debug, Deserialize)]
struct Config {
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    layer_norm_epsilon: f64,
    activation_function: Activation,
    #[serde(default = "yes")]
    scale_attn_weights: bool,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Activation {
    /// GELU, approximated by tanh.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    Tanh,
    /// GELU by the distribution function of the standard normal.
    #[serde(rename = "gelu")]
    Exact,
    #[serde(rename = "relu")]
    Relu,
}

#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    together: Linear,
    out: Linear,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

/// A GPT-2 on burn's tensors, as transformers' `GPT2LMHeadModel` has it.
#[derive(Module, Debug)]
pub struct Gpt2 {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// The head, where it is not the embedding itself.
    head: Option<Linear>,
    heads: usize,
    activation: usize,
    length: usize,
}

fn activated(x: Tensor<3>, activation: usize) -> Tensor<3> {
    match activation {
        0 => {
            let cube = x.clone() * x.clone() * x.clone();
            let inner = (x.clone() + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
            x * (inner.tanh() + 1.0) * 0.5
        }
        1 => activation::gelu(x),
        _ => activation::relu(x),
    }
}

/// Adds −∞ in effect to what lies ahead.
fn causal(scores: Tensor<4>) -> Tensor<4> {
    let [_, _, count, _] = scores.dims();
    let mut mask = vec![0.0f32; count * count];
    for i in 0..count {
        mask[i * count + i + 1..(i + 1) * count].fill(-1e9);
    }
    let device = scores.device().inner();
    scores + Tensor::<4>::from_data(TensorData::new(mask, [1, 1, count, count]), &device)
}

/// Returns tokens [rows · count] as a tensor of whole numbers.
fn whole(tokens: &[usize], [rows, count]: [usize; 2], device: &Device) -> Tensor<2, Int> {
    let values: Vec<i64> = tokens.iter().map(|&t| t as i64).collect();
    Tensor::from_data(TensorData::new(values, [rows, count]), device)
}

impl Gpt2 {
    /// Reads a network from the text of `config.json` and the bytes of its safetensors file.
    ///
    /// # Errors
    /// [`TiltError::Model`] when config and file do not fit together, or ask for a part that is not here.
    pub fn read(text: &str, bytes: &[u8], device: &Device) -> Result<Self, TiltError> {
        let config: Config = config(text)?;
        let (width, eps) = (config.n_embd, config.layer_norm_epsilon);
        if config.scale_attn_by_inverse_layer_idx || !config.scale_attn_weights {
            return Err(refused(
                "attention scaled in another way than by √(width of a head)",
            ));
        }
        if config.n_head == 0 || width % config.n_head > 0 {
            return Err(refused(format!(
                "a width of {width} in {} heads",
                config.n_head
            )));
        }
        let mut file = Pretrained::read(bytes, device)?;
        file.rename("transformer.", "");
        for buffer in [".attn.bias", ".attn.masked_bias"] {
            file.drop_ending(buffer);
        }
        let inner = config.n_inner.unwrap_or(4 * width);
        let mut blocks = Vec::new();
        for i in 0..config.n_layer {
            let part = |end: &str| format!("h.{i}.{end}");
            blocks.push(Block {
                norm1: file.layer_norm(&part("ln_1"), width, eps)?,
                together: file.linear_by_columns(&part("attn.c_attn"), [width, 3 * width])?,
                out: file.linear_by_columns(&part("attn.c_proj"), [width, width])?,
                norm2: file.layer_norm(&part("ln_2"), width, eps)?,
                widen: file.linear_by_columns(&part("mlp.c_fc"), [width, inner])?,
                narrow: file.linear_by_columns(&part("mlp.c_proj"), [inner, width])?,
            });
        }
        let head = file.has("lm_head.weight");
        let net = Self {
            tokens: file.embedding("wte", [config.vocab_size, width])?,
            positions: file.embedding("wpe", [config.n_positions, width])?,
            blocks,
            norm: file.layer_norm("ln_f", width, eps)?,
            head: head
                .then(|| file.linear("lm_head", [width, config.vocab_size], false))
                .transpose()?,
            heads: config.n_head,
            activation: config.activation_function as usize,
            length: config.n_positions,
        };
        file.finish()?;
        Ok(net)
    }

    /// Returns the logits of what follows each token, [rows, count, vocabulary], for tokens [rows · count].
    ///
    /// # Errors
    /// [`TiltError::Model`] when there are more tokens than positions, or one is not in the vocabulary.
    pub fn logits(&self, tokens: &[usize], rows: usize) -> Result<Tensor<3>, TiltError> {
        let count = tokens.len() / rows.max(1);
        let table = self.tokens.weight.val();
        let [vocabulary, width] = table.dims();
        if count > self.length || tokens.iter().any(|&t| t >= vocabulary) {
            return Err(TiltError::Model(format!(
                "this GPT-2 reads up to {} tokens below {vocabulary}",
                self.length
            )));
        }
        let device = table.device().inner();
        let places: Vec<usize> = (0..count).collect();
        let mut x = self.tokens.forward(whole(tokens, [rows, count], &device))
            + self.positions.forward(whole(&places, [1, count], &device));
        for block in &self.blocks {
            x = x.clone() + self.attention(block, block.norm1.forward(x));
            let inner = block.widen.forward(block.norm2.forward(x.clone()));
            x = x + block.narrow.forward(activated(inner, self.activation));
        }
        let x = self.norm.forward(x);
        Ok(match &self.head {
            Some(head) => head.forward(x),
            None => {
                let flat = x.reshape([rows * count, width]).matmul(table.transpose());
                flat.reshape([rows, count, vocabulary])
            }
        })
    }

    fn attention(&self, block: &Block, x: Tensor<3>) -> Tensor<3> {
        let [rows, count, width] = x.dims();
        let each = width / self.heads;
        let all = block.together.forward(x);
        let part = |i: usize| {
            let part = all
                .clone()
                .slice([0..rows, 0..count, i * width..(i + 1) * width]);
            part.reshape([rows, count, self.heads, each])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (each as f64).sqrt();
        let mixed = activation::softmax(causal(scores), 3).matmul(part(2));
        block
            .out
            .forward(mixed.swap_dims(1, 2).reshape([rows, count, width]))
    }
}
