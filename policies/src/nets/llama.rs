//! Llama (arXiv:2302.13971) as a burn module: RMS norms, rotary positions, grouped keys and values, SwiGLU; with low-rank adapters
//! (arXiv:2106.09685) or all weights to train. [`HostLlama`] runs the same weights without tensors, with keys and values kept.
//!
//! What is put in is a tree of tokens: continuations of one text share it, and each sees its own ancestors alone.

mod file;
mod host;
mod tree;
mod weights;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tiltrl_tilt::host::{matrix, vector};
use tiltrl_tilt::noise::Noise;

pub use self::{
    host::{HostLlama, Position},
    tree::Tree,
    weights::{LlamaShape, LlamaWeights},
};
pub(crate) use weights::LayerWeights;

/// Added to the score of a token that is not seen.
const HIDDEN: f32 = -1e9;

/// A matrix with an optional low-rank adapter.
#[derive(Module, Debug)]
struct Adapted {
    weight: Param<Tensor<2>>,
    down: Option<Param<Tensor<2>>>,
    up: Option<Param<Tensor<2>>>,
}

impl Adapted {
    fn new(values: Vec<f32>, columns: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(matrix(values, columns, device)),
            down: None,
            up: None,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let out = x.clone().matmul(self.weight.val());
        match (&self.down, &self.up) {
            (Some(down), Some(up)) => out + x.matmul(down.val()).matmul(up.val()),
            _ => out,
        }
    }

    /// The same matrix, frozen, with an adapter that adds nothing yet.
    fn adapted(self, rank: usize, noise: &mut Noise) -> Self {
        let [inputs, outputs] = self.weight.dims();
        let device = self.weight.val().device().inner();
        let scale = (1.0 / inputs as f32).sqrt();
        let values = noise.normals(inputs * rank, 1).into_iter();
        let down = matrix(values.map(|v| v * scale).collect(), rank, &device);
        Self {
            weight: self.weight.set_require_grad(false),
            down: Some(Param::from_tensor(down)),
            up: Some(Param::from_tensor(Tensor::zeros([rank, outputs], &device))),
        }
    }
}

#[derive(Module, Debug)]
struct Block {
    attention_norm: Param<Tensor<1>>,
    query: Adapted,
    key: Adapted,
    value: Adapted,
    back: Adapted,
    hidden_norm: Param<Tensor<1>>,
    gate: Adapted,
    up: Adapted,
    down: Adapted,
}

/// A Llama on burn's tensors, with low-rank adapters where they were asked for.
#[derive(Module, Debug)]
pub struct Llama {
    tokens: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Param<Tensor<1>>,
    /// The output layer, where it is not the table of tokens.
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    shape: std::sync::Arc<LlamaShape>,
}

fn normed(x: Tensor<2>, gains: &Param<Tensor<1>>, epsilon: f32) -> Tensor<2> {
    let square = (x.clone() * x.clone()).mean_dim(1) + epsilon;
    x / square.sqrt() * gains.val().unsqueeze()
}

impl Llama {
    /// Returns the module of these weights, all of which learn.
    pub fn new(weights: &LlamaWeights, device: &Device) -> Self {
        let shape = &weights.shape;
        let gains = |values: &[f32]| Param::from_tensor(vector(values.to_vec(), device));
        let block = |layer: &LayerWeights| {
            let of = |values: &Vec<f32>, columns| Adapted::new(values.clone(), columns, device);
            let [query, key, value, back] = &layer.attention;
            let [gate, up, down] = &layer.hidden;
            Block {
                attention_norm: gains(&layer.attention_norm),
                query: of(query, shape.dim),
                key: of(key, shape.kv_dim()),
                value: of(value, shape.kv_dim()),
                back: of(back, shape.dim),
                hidden_norm: gains(&layer.hidden_norm),
                gate: of(gate, shape.hidden),
                up: of(up, shape.hidden),
                down: of(down, shape.dim),
            }
        };
        Self {
            tokens: Param::from_tensor(matrix(weights.tokens.clone(), shape.dim, device)),
            blocks: weights.layers.iter().map(block).collect(),
            norm: gains(&weights.norm),
            head: (weights.head.as_ref())
                .map(|head| Param::from_tensor(matrix(head.clone(), shape.vocabulary, device))),
            shape: std::sync::Arc::new(shape.clone()),
        }
    }

    /// Returns the same model with frozen weights and adapters of this rank at every matrix of every layer.
    pub fn with_adapters(self, rank: usize, noise: &mut Noise) -> Self {
        let blocks = self.blocks.into_iter().map(|b| Block {
            attention_norm: b.attention_norm.set_require_grad(false),
            query: b.query.adapted(rank, noise),
            key: b.key.adapted(rank, noise),
            value: b.value.adapted(rank, noise),
            back: b.back.adapted(rank, noise),
            hidden_norm: b.hidden_norm.set_require_grad(false),
            gate: b.gate.adapted(rank, noise),
            up: b.up.adapted(rank, noise),
            down: b.down.adapted(rank, noise),
        });
        Self {
            tokens: self.tokens.set_require_grad(false),
            blocks: blocks.collect(),
            norm: self.norm.set_require_grad(false),
            head: self.head.map(|head| head.set_require_grad(false)),
            shape: self.shape,
        }
    }

    /// Returns the sizes.
    pub fn shape(&self) -> &LlamaShape {
        &self.shape
    }

    /// Returns the logits of the token after each node of a tree, [nodes, vocabulary]; a vector may be added to the embedding of each
    /// node, [nodes, dim].
    ///
    /// # Panics
    /// When a token is not in the vocabulary, or a text is longer than the longest.
    pub fn logits(&self, tree: &Tree, added: Option<Tensor<2>>) -> Tensor<2> {
        let (shape, epsilon) = (&self.shape, self.shape.epsilon);
        let known = tree.tokens.iter().all(|&t| (t as usize) < shape.vocabulary);
        assert!(known, "tokens below {}", shape.vocabulary);
        let fits = tree.positions.iter().all(|&p| p < shape.length);
        assert!(fits, "texts of at most {} tokens", shape.length);
        let device = self.tokens.val().device().inner();
        let nodes = tree.tokens.len();
        let indices: Vec<i64> = tree.tokens.iter().map(|&t| i64::from(t)).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [nodes]), &device);
        let seen: Vec<f32> = tree
            .seen()
            .iter()
            .map(|s| if *s { 0.0 } else { HIDDEN })
            .collect();
        let mask = matrix(seen, nodes, &device).reshape([1, nodes, nodes]);
        let turn = Turn::new(&tree.positions, shape, &device);
        let mut x = self.tokens.val().select(0, indices);
        if let Some(added) = added {
            x = x + added;
        }
        for block in &self.blocks {
            let y = normed(x.clone(), &block.attention_norm, epsilon);
            x = x + block.attend(y, &mask, &turn, shape);
            let y = normed(x.clone(), &block.hidden_norm, epsilon);
            let gate = activation::silu(block.gate.forward(y.clone()));
            x = x + block.down.forward(gate * block.up.forward(y));
        }
        let x = normed(x, &self.norm, epsilon);
        match &self.head {
            Some(head) => x.matmul(head.val()),
            None => x.matmul(self.tokens.val().transpose()),
        }
    }
}

/// Rotary positions: cos and sin of each node's angles, and the quarter turn of pairs of neighbours.
struct Turn {
    cos: Tensor<3>,
    sin: Tensor<3>,
    quarter: Tensor<3>,
}

impl Turn {
    fn new(positions: &[usize], shape: &LlamaShape, device: &Device) -> Self {
        let head = shape.head();
        let angle = |position: usize, i: usize| {
            let frequency = shape.theta.powf(-((i / 2 * 2) as f64) / head as f64);
            position as f64 * frequency
        };
        let table = |f: fn(f64) -> f64| {
            let row = |&p: &usize| (0..head).map(move |i| f(angle(p, i)) as f32);
            let values = positions.iter().flat_map(row).collect();
            matrix(values, head, device).reshape([1, positions.len(), head])
        };
        // (a, b) → (−b, a)
        let mut quarter = vec![0.0f32; head * head];
        for i in (0..head).step_by(2) {
            quarter[(i + 1) * head + i] = -1.0;
            quarter[i * head + i + 1] = 1.0;
        }
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            quarter: matrix(quarter, head, device).reshape([1, head, head]),
        }
    }

    /// Turns [heads, nodes, head].
    fn of(&self, x: Tensor<3>) -> Tensor<3> {
        let heads = x.dims()[0];
        let head = x.dims()[2];
        let quarter = self.quarter.clone().expand([heads, head, head]);
        x.clone() * self.cos.clone() + x.matmul(quarter) * self.sin.clone()
    }
}

impl Block {
    fn attend(&self, x: Tensor<2>, mask: &Tensor<3>, turn: &Turn, shape: &LlamaShape) -> Tensor<2> {
        let nodes = x.dims()[0];
        let (heads, kv, head) = (shape.heads, shape.kv_heads, shape.head());
        let split = |x: Tensor<2>, heads: usize| x.reshape([nodes, heads, head]).swap_dims(0, 1);
        let shared = |x: Tensor<3>| {
            let expanded = x.reshape([kv, 1, nodes, head]);
            let expanded = expanded.expand([kv, heads / kv, nodes, head]);
            expanded.reshape([heads, nodes, head])
        };
        let query = turn.of(split(self.query.forward(x.clone()), heads));
        let key = shared(turn.of(split(self.key.forward(x.clone()), kv)));
        let value = shared(split(self.value.forward(x), kv));
        let scores = query.matmul(key.swap_dims(1, 2)) * (1.0 / (head as f32).sqrt());
        let weights = activation::softmax(scores + mask.clone(), 2);
        let found = weights.matmul(value).swap_dims(0, 1);
        self.back.forward(found.reshape([nodes, shape.dim]))
    }
}
