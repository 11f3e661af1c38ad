//! Infills of a text by a Llama: a path writes the tokens one after another, and all paths share the text before them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData, activation};
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{Llama, Tree};
use tiltrl_tilt::host::host64;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{Batched, Explore, Scored, SequentialModel};
use tiltrl_tilt::weights;

/// Nodes that are read at once when all first tokens are.
pub(super) const NODES: usize = 128;

/// A Llama that writes `length` tokens after a text.
#[derive(Clone)]
pub struct Infill {
    net: Llama,
    prefix: Arc<Vec<u32>>,
    length: usize,
}

impl Infill {
    /// Returns the model of infills of `length` tokens after `prefix`, the start token first.
    pub fn new(net: Llama, prefix: &[u32], length: usize) -> Self {
        Self {
            net,
            prefix: Arc::new(prefix.to_vec()),
            length,
        }
    }

    /// The tree of what some steps of some infills read, and the node that each step of each infill is read from.
    fn tree(&self, z: &Strings, steps: &Range<usize>) -> (Tree, Vec<usize>) {
        let mut tree = Tree::of(&self.prefix);
        let first = self.prefix.len() - 1;
        let mut nodes = Vec::with_capacity(z.count() * steps.len());
        for row in z.tokens.chunks_exact(z.length) {
            let mut node = first;
            for step in 0..steps.end {
                if steps.contains(&step) {
                    nodes.push(node);
                }
                if step + 1 < steps.end {
                    node = tree.child(node, row[step]);
                }
            }
        }
        (tree, nodes)
    }

    /// Returns the exact probability of every infill of two tokens, in the order of [`Strings::all`].
    ///
    /// # Panics
    /// When the model writes another number of tokens.
    pub fn enumerate(&self) -> Vec<f64> {
        assert_eq!(self.length, 2, "two tokens");
        let count = self.net.shape().vocabulary;
        let first = self.prefix.len() - 1;
        let rows = |tree: &Tree| host64(activation::log_softmax(self.net.logits(tree, None), 1));
        let start = rows(&Tree::of(&self.prefix));
        let start: Vec<f64> = start[first * count..].iter().map(|l| l.exp()).collect();
        let mut out = Vec::with_capacity(count * count);
        let all: Vec<u32> = (0..count as u32).collect();
        for some in all.chunks(NODES) {
            let mut tree = Tree::of(&self.prefix);
            let nodes: Vec<usize> = some.iter().map(|&t| tree.child(first, t)).collect();
            let found = rows(&tree);
            for (&token, node) in some.iter().zip(nodes) {
                let row = &found[node * count..(node + 1) * count];
                out.extend(row.iter().map(|l| start[token as usize] * l.exp()));
            }
        }
        out
    }
}

impl SequentialModel for Infill {
    type Weights = Llama;
    type Condition = Tensor<2>;
    type Sample = Strings;
    type Path = Strings;

    fn weights(&self) -> &Llama {
        &self.net
    }

    fn with_weights(&self, net: Llama) -> Self {
        Self {
            net,
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.length
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<Strings> {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..self.length);
        Scored { path, scores }
    }

    /// There is one path to an infill.
    fn path_to(&self, _: &Tensor<2>, sample: &Strings, _: &mut Noise) -> Strings {
        sample.clone()
    }

    fn sample_of(&self, path: &Strings) -> Strings {
        path.clone()
    }

    fn step_log_probs(&self, path: &Strings, steps: Range<usize>) -> Tensor<2> {
        let (tree, nodes) = self.tree(path, &steps);
        let log_probs = activation::log_softmax(self.net.logits(&tree, None), 1);
        let [rows, count] = log_probs.dims();
        let device = log_probs.device().inner();
        let tokens = path.tokens.chunks_exact(path.length);
        let tokens = tokens.flat_map(|row| row[steps.clone()].iter());
        let cells: Vec<i64> = nodes
            .iter()
            .zip(tokens)
            .map(|(node, &token)| (node * count + token as usize) as i64)
            .collect();
        let chosen = cells.len();
        let cells = Tensor::<1, Int>::from_data(TensorData::new(cells, [chosen]), &device);
        let flat = log_probs.reshape([rows * count]);
        flat.select(0, cells).reshape([path.count(), steps.len()])
    }
}

impl Explore for Infill {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> Strings {
        let rows = condition.dims()[0];
        let net = self.with_weights(self.net.valid());
        let count = self.net.shape().vocabulary;
        let mut z = Strings {
            tokens: vec![0; rows * self.length],
            length: self.length,
        };
        for step in 0..self.length {
            let (tree, nodes) = net.tree(&z, &(step..step + 1));
            let logits = host64(net.net.logits(&tree, None));
            let mut sums: HashMap<usize, Vec<f64>> = HashMap::new();
            for (row, draw) in noise.uniform_rows(rows, 1).into_iter().enumerate() {
                let logits = &logits[nodes[row] * count..(nodes[row] + 1) * count];
                let sums = sums
                    .entry(nodes[row])
                    .or_insert_with(|| cumulative(logits, scale));
                z.tokens[row * self.length + step] = pick(sums, draw);
            }
        }
        z
    }
}

/// Cumulative weights of tokens at a temperature: infills that share a node share them.
pub(super) fn cumulative(logits: &[f64], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let add = |sum: &mut f64, l: &f64| {
        *sum += ((l - top) / temperature).exp();
        Some(*sum)
    };
    logits.iter().scan(0.0, add).collect()
}

/// Draws a token from cumulative weights.
pub(super) fn pick(sums: &[f64], draw: f64) -> u32 {
    let sought = draw * sums.last().expect("a token");
    sums.partition_point(|s| *s <= sought).min(sums.len() - 1) as u32
}

/// Returns the condition of models that have none.
pub fn none(rows: usize, net: &Llama) -> Tensor<2> {
    Tensor::zeros([rows, 1], &weights::device(net))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use tiltrl_policies::nets::llama::{LlamaShape, LlamaWeights};
    use tiltrl_tilt::conformity;

    use super::*;

    #[test]
    fn infills_keep_the_rules_of_a_model_with_all_weights_and_with_adapters() {
        let shape = LlamaShape {
            dim: 8,
            hidden: 12,
            layers: 1,
            heads: 2,
            kv_heads: 1,
            vocabulary: 7,
            length: 9,
            epsilon: 1e-5,
            theta: 10_000.0,
        };
        let mut noise = Noise::keyed(4, "llama", 0);
        let weights = LlamaWeights::random(shape, &mut noise);
        let whole = Llama::new(&weights, &Device::flex());
        let model = Infill::new(whole, &[1, 3, 2], 2);
        let settings = conformity::Settings::default();
        conformity::check(&model, &none(6, model.weights()), settings).expect("keeps them");
        let all = Strings::all(7, 2);
        let scores = host64(model.step_log_probs(&all, 0..2).sum_dim(1));
        let masses = model.enumerate();
        assert!((masses.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        for (mass, score) in masses.iter().zip(scores) {
            assert!((mass.ln() - score).abs() < 1e-4);
        }
        let adapted = model.weights().clone().with_adapters(2, &mut noise);
        let adapted = model.with_weights(adapted);
        let same = adapted.enumerate();
        assert!(same.iter().zip(&masses).all(|(a, b)| (a - b).abs() < 1e-7));
    }
}
