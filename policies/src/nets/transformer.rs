//! Small transformers over strings: causal for autoregressive models, bidirectional for masked ones (arXiv:1706.03762, with the
//! normalisation before each part). The layers are burn's; while a string is written, keys and values are kept.

use std::ops::Range;

use burn::module::Module;
use burn::nn::attention::generate_autoregressive_mask;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderAutoregressiveCache, TransformerEncoderConfig,
    TransformerEncoderInput,
};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Int, Tensor, TensorData};
use tiltrl_tilt::host::host;
use tiltrl_tilt::noise::Noise;

use super::seeded::{scaled, seeded};
use super::tokens::{CausalNet, Decoder, MaskedNet};
use crate::compute::Compute;
use crate::models::Strings;

/// Shape of a transformer.
#[derive(Clone, Debug)]
pub struct TransformerShape {
    /// Number of tokens; one more, after the last, stands for the start or the mask.
    pub vocabulary: usize,
    /// Tokens per string.
    pub length: usize,
    /// Width of a condition, added to every position; may be 0.
    pub condition_dim: usize,
    /// Width of a position.
    pub width: usize,
    /// Heads of attention; they divide the width.
    pub heads: usize,
    /// Blocks of attention and perceptron.
    pub layers: usize,
}

#[derive(Module, Debug)]
struct Body {
    tokens: Embedding,
    positions: Embedding,
    condition: Option<Linear>,
    encoder: TransformerEncoder,
    norm: LayerNorm,
    head: Linear,
    vocabulary: usize,
    length: usize,
    outputs: usize,
}

impl Body {
    fn new(
        shape: &TransformerShape,
        outputs: usize,
        last_scale: f32,
        noise: &mut Noise,
        compute: &Compute,
    ) -> Self {
        let (device, width) = (&compute.device, shape.width);
        let encoder = TransformerEncoderConfig::new(width, 4 * width, shape.heads, shape.layers)
            .with_dropout(0.0)
            .with_norm_first(true);
        let condition = (shape.condition_dim > 0)
            .then(|| LinearConfig::new(shape.condition_dim, width).init(device));
        let body = Self {
            tokens: EmbeddingConfig::new(shape.vocabulary + 1, width).init(device),
            positions: EmbeddingConfig::new(shape.length, width).init(device),
            condition,
            encoder: encoder.init(device),
            norm: LayerNormConfig::new(width).init(device),
            head: LinearConfig::new(width, outputs).init(device),
            vocabulary: shape.vocabulary,
            length: shape.length,
            outputs,
        };
        let body = seeded(body, noise);
        Self {
            head: scaled(body.head, last_scale),
            ..body
        }
    }

    /// Embeds tokens [rows, count] at the first `count` positions.
    fn embed(&self, tokens: Vec<i64>, rows: usize, condition: &Tensor<2>) -> Tensor<3> {
        let count = tokens.len() / rows;
        let device = self.tokens.weight.val().device().inner();
        let integers = |values: Vec<i64>, shape: [usize; 2]| -> Tensor<2, Int> {
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        let places = integers((0..count as i64).collect(), [1, count]);
        let mut sum =
            self.tokens.forward(integers(tokens, [rows, count])) + self.positions.forward(places);
        if let Some(condition_layer) = &self.condition {
            let added = condition_layer.forward(condition.clone());
            let width = added.dims()[1];
            sum = sum + added.reshape([rows, 1, width]);
        }
        sum
    }

    fn head(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.head.forward(self.norm.forward(hidden))
    }
}

/// Tokens as a causal network sees them: a start before them, the last one left out; the first `count` of each row.
fn shifted(strings: &Strings, start: usize, count: usize) -> Vec<i64> {
    let rows = strings.tokens.chunks_exact(strings.length);
    rows.flat_map(|row| {
        let before = row[..count - 1].iter().map(|&t| i64::from(t));
        std::iter::once(start as i64).chain(before)
    })
    .collect()
}

/// A transformer in which a position sees itself and those before it.
#[derive(Module, Debug)]
pub struct CausalTransformer {
    body: Body,
}

impl CausalTransformer {
    /// Returns a network with random weights; the last layer's are scaled by `last_scale`.
    pub fn new(
        shape: &TransformerShape,
        last_scale: f32,
        noise: &mut Noise,
        compute: &Compute,
    ) -> Self {
        Self {
            body: Body::new(shape, shape.vocabulary, last_scale, noise, compute),
        }
    }
}

impl CausalNet for CausalTransformer {
    fn vocabulary(&self) -> usize {
        self.body.vocabulary
    }

    fn length(&self) -> usize {
        self.body.length
    }

    fn logits(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<3> {
        let (rows, count) = (condition.dims()[0], positions.end);
        let tokens = shifted(strings, self.body.vocabulary, count);
        let embedded = self.body.embed(tokens, rows, condition);
        // burn's masks say what is hidden: with `tril`, what lies above the diagonal.
        let mask = generate_autoregressive_mask(rows, count, &embedded.device().inner());
        let input = TransformerEncoderInput::new(embedded).mask_attn(mask);
        let logits = self.body.head(self.body.encoder.forward(input));
        logits.slice([0..rows, positions, 0..self.body.outputs])
    }

    fn decoder<'a>(&'a self, condition: &'a Tensor<2>) -> Box<dyn Decoder + 'a> {
        Box::new(Cached {
            body: &self.body,
            condition,
            cache: self.body.encoder.new_autoregressive_cache(),
        })
    }
}

/// Decodes with keys and values kept.
struct Cached<'a> {
    body: &'a Body,
    condition: &'a Tensor<2>,
    cache: TransformerEncoderAutoregressiveCache,
}

impl Decoder for Cached<'_> {
    fn next(&mut self, strings: &Strings, position: usize) -> Vec<f32> {
        let rows = self.condition.dims()[0];
        let tokens = shifted(strings, self.body.vocabulary, position + 1);
        let embedded = self.body.embed(tokens, rows, self.condition);
        let device = embedded.device().inner();
        let mask = generate_autoregressive_mask(rows, position + 1, &device);
        let input = TransformerEncoderInput::new(embedded).mask_attn(mask);
        let encoder = &self.body.encoder;
        let hidden = encoder.forward_autoregressive_inference(input, &mut self.cache);
        let width = hidden.dims()[2];
        let last = hidden.slice([0..rows, position..position + 1, 0..width]);
        host(self.body.head(last))
    }
}

/// A transformer in which every position sees all others.
#[derive(Module, Debug)]
pub struct MaskedTransformer {
    body: Body,
}

impl MaskedTransformer {
    /// Returns a network with random weights; the last layer's are scaled by `last_scale`.
    pub fn new(
        shape: &TransformerShape,
        last_scale: f32,
        noise: &mut Noise,
        compute: &Compute,
    ) -> Self {
        Self {
            body: Body::new(shape, shape.vocabulary + 1, last_scale, noise, compute),
        }
    }
}

impl MaskedNet for MaskedTransformer {
    fn vocabulary(&self) -> usize {
        self.body.vocabulary
    }

    fn length(&self) -> usize {
        self.body.length
    }

    fn logits(&self, partial: &Strings, condition: &Tensor<2>) -> Tensor<3> {
        let tokens = partial.tokens.iter().map(|&t| i64::from(t)).collect();
        let embedded = self.body.embed(tokens, condition.dims()[0], condition);
        let input = TransformerEncoderInput::new(embedded);
        self.body.head(self.body.encoder.forward(input))
    }
}
