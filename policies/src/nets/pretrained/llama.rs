//! `LlamaForCausalLM` of transformers (arXiv:2302.13971): rotary positions, root-mean-square norms, gated layers, shared keys.

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::Deserialize;
use tiltrl_tilt::TiltError;

use super::gpt2::{causal, whole};
use super::{Pretrained, config, refused};

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

#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl Norm {
    fn read(
        file: &mut Pretrained,
        name: &str,
        width: usize,
        epsilon: f64,
    ) -> Result<Self, TiltError> {
        let weight = file.parameter(&format!("{name}.weight"), [width])?;
        Ok(Self { weight, epsilon })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let scale = ((x.clone() * x.clone()).mean_dim(2) + self.epsilon).sqrt();
        x / scale * self.weight.val().reshape([1, 1, width])
    }
}

#[derive(Module, Debug)]
struct Block {
    norm1: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: Norm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// A Llama.
#[derive(Module, Debug)]
pub struct Llama {
    tokens: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    /// The head, where it is not the embedding itself.
    head: Option<Linear>,
    heads: usize,
    shared: usize,
    length: usize,
    theta: f64,
}

impl Llama {
    /// Reads a network from the text of `config.json` and the bytes of its safetensors file.
    ///
    /// # Errors
    /// [`TiltError::Model`] when config and file do not fit together, or ask for a part that is not here.
    pub fn read(text: &str, bytes: &[u8], device: &Device) -> Result<Self, TiltError> {
        let config: Config = config(text)?;
        let Silu::Silu = config.hidden_act;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        let shared = config.num_key_value_heads.unwrap_or(heads);
        if config.rope_scaling.is_some() || config.attention_bias {
            return Err(refused("rope_scaling and attention_bias are not here"));
        }
        if heads == 0 || shared == 0 || width % (2 * heads) > 0 || heads % shared > 0 {
            return Err(refused(format!(
                "a width of {width} in {heads} heads, {shared} of keys"
            )));
        }
        let (keys, eps) = (width / heads * shared, config.rms_norm_eps);
        let mut file = Pretrained::read(bytes, device)?;
        file.drop_ending("rotary_emb.inv_freq");
        let inner = config.intermediate_size;
        let mut blocks = Vec::new();
        for i in 0..config.num_hidden_layers {
            let part = |end: &str| format!("model.layers.{i}.{end}");
            let norm1 = Norm::read(&mut file, &part("input_layernorm"), width, eps)?;
            let norm2 = Norm::read(&mut file, &part("post_attention_layernorm"), width, eps)?;
            let mut linear = |name: &str, shape: [usize; 2]| file.linear(&part(name), shape, false);
            blocks.push(Block {
                norm1,
                query: linear("self_attn.q_proj", [width, width])?,
                key: linear("self_attn.k_proj", [width, keys])?,
                value: linear("self_attn.v_proj", [width, keys])?,
                out: linear("self_attn.o_proj", [width, width])?,
                norm2,
                gate: linear("mlp.gate_proj", [width, inner])?,
                up: linear("mlp.up_proj", [width, inner])?,
                down: linear("mlp.down_proj", [inner, width])?,
            });
        }
        let head = file.has("lm_head.weight");
        let net = Self {
            tokens: file.embedding("model.embed_tokens", [config.vocab_size, width])?,
            blocks,
            norm: Norm::read(&mut file, "model.norm", width, eps)?,
            head: head
                .then(|| file.linear("lm_head", [width, config.vocab_size], false))
                .transpose()?,
            heads,
            shared,
            length: config.max_position_embeddings,
            theta: config.rope_theta,
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
                "this Llama reads up to {} tokens below {vocabulary}",
                self.length
            )));
        }
        let device = table.device().inner();
        let turns = self.turns(count, width / self.heads, &device);
        let mut x = self.tokens.forward(whole(tokens, [rows, count], &device));
        for block in &self.blocks {
            x = x.clone() + self.attention(block, block.norm1.forward(x), &turns);
            let seen = block.norm2.forward(x.clone());
            let gated = activation::silu(block.gate.forward(seen.clone())) * block.up.forward(seen);
            x = x + block.down.forward(gated);
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

    /// Cosines and sines [1, 1, count, each] of the turns of positions; both halves of a head turn alike.
    fn turns(&self, count: usize, each: usize, device: &Device) -> [Tensor<4>; 2] {
        let half = each / 2;
        let angle = |at: usize| {
            let (place, i) = (at / each, at % each % half);
            place as f64 * self.theta.powf(-(2.0 * i as f64) / each as f64)
        };
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = (0..count * each).map(|at| of(angle(at)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, count, each]), device)
        };
        [table(f64::cos), table(f64::sin)]
    }

    fn attention(&self, block: &Block, x: Tensor<3>, turns: &[Tensor<4>; 2]) -> Tensor<3> {
        let [rows, count, width] = x.dims();
        let each = width / self.heads;
        let split =
            |t: Tensor<3>, heads: usize| t.reshape([rows, count, heads, each]).swap_dims(1, 2);
        let turned = |t: Tensor<4>| {
            let [_, heads, _, _] = t.dims();
            let part =
                |from: usize, to: usize| t.clone().slice([0..rows, 0..heads, 0..count, from..to]);
            let crossed = Tensor::cat(vec![-part(each / 2, each), part(0, each / 2)], 3);
            t.clone() * turns[0].clone() + crossed * turns[1].clone()
        };
        let query = turned(split(block.query.forward(x.clone()), self.heads));
        let key = self.spread(turned(split(block.key.forward(x.clone()), self.shared)));
        let value = self.spread(split(block.value.forward(x), self.shared));
        let scores = query.matmul(key.swap_dims(2, 3)) / (each as f64).sqrt();
        let mixed = activation::softmax(causal(scores), 3).matmul(value);
        block
            .out
            .forward(mixed.swap_dims(1, 2).reshape([rows, count, width]))
    }

    /// Each head of keys for as many heads of queries as share it.
    fn spread(&self, t: Tensor<4>) -> Tensor<4> {
        let [rows, shared, count, each] = t.dims();
        let times = self.heads / shared;
        let wide = t.reshape([rows, shared, 1, count * each]);
        let wide = wide.expand([rows, shared, times, count * each]);
        wide.reshape([rows, self.heads, count, each])
    }
}
