//! `LlamaForCausalLM` of transformers (arXiv:2302.13971), read into the weights of [`crate::nets::llama`].
//!
//! That library turns the two halves of a head against each other, ours pairs of neighbours: the outputs of queries and keys
//! are put in that order.

use burn::tensor::Device;
use serde::Deserialize;
use tiltrl_tilt::TiltError;

use super::{Pretrained, config, refused};
use crate::nets::llama::{LayerWeights, LlamaShape, LlamaWeights};

#[derive(Clone, Debug, Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    #[serde(default = "ten_thousand")]
    rope_theta: f64,
    hidden_act: Silu,
    #[serde(default)]
    rope_scaling: Option<serde_json::Value>,
    #[serde(default)]
    attention_bias: bool,
}

fn ten_thousand() -> f64 {
    10_000.0
}

#[derive(Clone, Debug, Deserialize)]
enum Silu {
    #[serde(rename = "silu")]
    Silu,
}

impl Config {
    fn shape(&self) -> Result<LlamaShape, TiltError> {
        let Silu::Silu = self.hidden_act;
        if self.rope_scaling.is_some() || self.attention_bias {
            return Err(refused("rope_scaling and attention_bias are not here"));
        }
        let shape = LlamaShape {
            dim: self.hidden_size,
            hidden: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            vocabulary: self.vocab_size,
            length: self.max_position_embeddings,
            epsilon: self.rms_norm_eps as f32,
            theta: self.rope_theta,
        };
        shape.check().map_err(refused)?;
        Ok(shape)
    }
}

/// How the outputs of a layer are stored.
#[derive(Clone, Copy)]
enum Order {
    Same,
    /// In heads of this width, the first of every pair before the second of any.
    Halves(usize),
}

impl Order {
    /// Where output `i` is stored.
    fn place(self, i: usize) -> usize {
        match self {
            Self::Same => i,
            Self::Halves(head) => i / head * head + i % 2 * (head / 2) + i % head / 2,
        }
    }
}

/// Takes a matrix stored as [outputs, inputs], as [inputs, outputs].
fn matrix(
    file: &mut Pretrained,
    name: &str,
    [inputs, outputs]: [usize; 2],
    order: Order,
) -> Result<Vec<f32>, TiltError> {
    let stored = file.take(&format!("{name}.weight"), &[outputs, inputs])?;
    let cell = |at: usize| stored[order.place(at % outputs) * inputs + at / outputs];
    Ok((0..stored.len()).map(cell).collect())
}

fn layer(file: &mut Pretrained, shape: &LlamaShape, at: usize) -> Result<LayerWeights, TiltError> {
    let (dim, kv, hidden) = (shape.dim, shape.kv_dim(), shape.hidden);
    let halves = Order::Halves(shape.head());
    let name = |end: &str| format!("model.layers.{at}.{end}");
    let mut take = |end: &str, sizes, order| matrix(file, &name(end), sizes, order);
    let attention = [
        take("self_attn.q_proj", [dim, dim], halves)?,
        take("self_attn.k_proj", [dim, kv], halves)?,
        take("self_attn.v_proj", [dim, kv], Order::Same)?,
        take("self_attn.o_proj", [dim, dim], Order::Same)?,
    ];
    let hidden = [
        take("mlp.gate_proj", [dim, hidden], Order::Same)?,
        take("mlp.up_proj", [dim, hidden], Order::Same)?,
        take("mlp.down_proj", [hidden, dim], Order::Same)?,
    ];
    Ok(LayerWeights {
        attention_norm: file.take(&name("input_layernorm.weight"), &[dim])?,
        attention,
        hidden_norm: file.take(&name("post_attention_layernorm.weight"), &[dim])?,
        hidden,
    })
}

impl LlamaWeights {
    /// Reads weights from the text of `config.json` and the bytes of its safetensors file.
    ///
    /// # Errors
    /// [`TiltError::Model`] when config and file do not fit together, or ask for a part that is not here.
    pub fn read(text: &str, bytes: &[u8]) -> Result<Self, TiltError> {
        let shape = config::<Config>(text)?.shape()?;
        // No layer is made here: the numbers stay on the host.
        let mut file = Pretrained::read(bytes, &Device::flex())?;
        file.drop_ending("rotary_emb.inv_freq");
        let layers = (0..shape.layers).map(|at| layer(&mut file, &shape, at));
        let layers = layers.collect::<Result<_, _>>()?;
        let (dim, vocabulary) = (shape.dim, shape.vocabulary);
        let has_head = file.has("lm_head.weight");
        let head = has_head.then(|| matrix(&mut file, "lm_head", [dim, vocabulary], Order::Same));
        let weights = Self {
            tokens: file.take("model.embed_tokens.weight", &[vocabulary, dim])?,
            layers,
            norm: file.take("model.norm.weight", &[dim])?,
            head: head.transpose()?,
            shape,
        };
        file.finish()?;
        Ok(weights)
    }
}
