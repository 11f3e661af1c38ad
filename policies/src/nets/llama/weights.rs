//! Weights of a Llama as plain numbers: what files are read into, and what both programs of the model are made of.

use tiltrl_tilt::TiltError;
use tiltrl_tilt::noise::Noise;

/// Sizes of a Llama, and the two numbers that its weights were trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaShape {
    /// Width of a position.
    pub dim: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Blocks of attention and perceptron.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; they divide the heads of queries.
    pub kv_heads: usize,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Most tokens of a text.
    pub length: usize,
    /// Added under the root of a mean square; 1e-5 in the first Llamas.
    pub epsilon: f32,
    /// Base of the rotary positions' wavelengths; 10,000 in the first Llamas.
    pub theta: f64,
}

impl LlamaShape {
    /// Width of a head.
    pub(crate) fn head(&self) -> usize {
        self.dim / self.heads
    }

    /// Width of keys and of values.
    pub(crate) fn kv_dim(&self) -> usize {
        self.head() * self.kv_heads
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`TiltError::Model`] that names the sizes which do not.
    pub(crate) fn check(&self) -> Result<(), TiltError> {
        let sizes = [
            self.dim,
            self.hidden,
            self.layers,
            self.heads,
            self.kv_heads,
            self.vocabulary,
            self.length,
        ];
        let fits = sizes.iter().all(|&n| n > 0 && n < 1 << 24)
            && self.dim.is_multiple_of(self.heads)
            && self.heads.is_multiple_of(self.kv_heads)
            && self.head().is_multiple_of(2);
        let trained = self.epsilon > 0.0 && self.theta > 1.0 && self.theta.is_finite();
        if fits && trained {
            return Ok(());
        }
        Err(TiltError::Model(format!(
            "sizes that no Llama has: dim, hidden, layers, heads, kv_heads, vocabulary, length = {sizes:?}, epsilon = {}, theta = {}",
            self.epsilon, self.theta
        )))
    }
}

/// Weights of a layer; matrices are [inputs, outputs], row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerWeights {
    /// Gains of the norm before attention.
    pub attention_norm: Vec<f32>,
    /// Queries, keys, values, and the way back.
    pub attention: [Vec<f32>; 4],
    /// Gains of the norm before the hidden layer.
    pub hidden_norm: Vec<f32>,
    /// Gate and up [dim, hidden], down [hidden, dim].
    pub hidden: [Vec<f32>; 3],
}

/// Weights of a Llama.
#[derive(Clone, Debug)]
pub struct LlamaWeights {
    /// Widths and counts that the arrays must have.
    pub shape: LlamaShape,
    /// Table of tokens [vocabulary, dim].
    pub tokens: Vec<f32>,
    /// Blocks of attention and perceptron.
    pub(crate) layers: Vec<LayerWeights>,
    /// Gains of the last norm.
    pub norm: Vec<f32>,
    /// Output layer [dim, vocabulary], where it is not the table of tokens.
    pub head: Option<Vec<f32>>,
}

impl LlamaWeights {
    /// Returns random weights: for tests, and for models trained from the start.
    pub fn random(shape: LlamaShape, noise: &mut Noise) -> Self {
        let mut matrix = |rows: usize, columns: usize| -> Vec<f32> {
            let scale = (1.0 / rows as f32).sqrt();
            let values = noise.normals(rows * columns, 1);
            values.into_iter().map(|v| v * scale).collect()
        };
        let (dim, kv, hidden) = (shape.dim, shape.kv_dim(), shape.hidden);
        let layers = (0..shape.layers)
            .map(|_| LayerWeights {
                attention_norm: vec![1.0; dim],
                attention: [
                    matrix(dim, dim),
                    matrix(dim, kv),
                    matrix(dim, kv),
                    matrix(dim, dim),
                ],
                hidden_norm: vec![1.0; dim],
                hidden: [
                    matrix(dim, hidden),
                    matrix(dim, hidden),
                    matrix(hidden, dim),
                ],
            })
            .collect();
        Self {
            tokens: matrix(dim, shape.vocabulary),
            norm: vec![1.0; dim],
            head: None,
            layers,
            shape,
        }
    }
}
