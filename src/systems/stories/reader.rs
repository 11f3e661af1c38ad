//! One policy for many gaps: a Llama that is told what follows the gap, by a vector added to the tokens from the gap on.
//!
//! The vector is a small perceptron of the first tokens after the gap. Its last layer is zero at the start, so that the policy begins
//! as the Llama that knows nothing of them: the prior.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{Llama, Tree};
use tiltrl_tilt::host::{host, host64, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{Batched, Explore, Scored, SequentialModel};
use tiltrl_tilt::weights;

use super::infill::{NODES, cumulative, pick};

/// Tokens of a gap.
pub const GAP: usize = 2;
/// Width of the perceptron's hidden layer.
const HIDDEN: usize = 128;

/// A Llama with the perceptron that reads what follows.
#[derive(Module, Debug)]
pub struct Reader {
    llama: Llama,
    inner: Param<Tensor<2>>,
    outer: Param<Tensor<2>>,
}

impl Reader {
    /// Returns the network over `features` numbers of what follows; they change nothing yet.
    pub fn new(llama: Llama, features: usize, noise: &mut Noise, device: &Device) -> Self {
        let scale = (1.0 / features as f32).sqrt();
        let values = noise.normals(features * HIDDEN, 1).into_iter();
        let inner = matrix(values.map(|v| v * scale).collect(), HIDDEN, device);
        let outer = Tensor::zeros([HIDDEN, llama.shape().dim], device);
        Self {
            llama,
            inner: Param::from_tensor(inner),
            outer: Param::from_tensor(outer),
        }
    }

    /// log p of the token after each node, [nodes, vocabulary].
    fn log_probs(&self, forest: &Forest) -> Tensor<2> {
        let device = weights::device(self);
        let nodes = forest.tree.tokens.len();
        let width = forest.features.len() / nodes;
        let told = matrix(forest.features.clone(), width, &device);
        let added = activation::silu(told.matmul(self.inner.val())).matmul(self.outer.val());
        activation::log_softmax(self.llama.logits(&forest.tree, Some(added)), 1)
    }
}

/// What the policy sees of a pair.
pub struct Seen {
    /// The text before the gap, the start token first; two tokens or more.
    pub prefix: Vec<u32>,
    /// Numbers of what follows.
    pub features: Vec<f32>,
}

/// Infills with the pairs that they belong to.
#[derive(Clone)]
pub struct Fills {
    z: Strings,
    pairs: Vec<usize>,
}

/// The texts that are read at once, one branch per pair.
struct Forest {
    tree: Tree,
    /// Numbers of what follows [nodes · features]; zeros before a gap.
    features: Vec<f32>,
    /// The node that each step of each infill is read from.
    nodes: Vec<usize>,
}

impl Forest {
    fn own(&mut self, node: usize, features: Option<&[f32]>, width: usize) {
        if node * width == self.features.len() {
            match features {
                Some(features) => self.features.extend_from_slice(features),
                None => self.features.resize((node + 1) * width, 0.0),
            }
        }
    }
}

/// The policy of all pairs.
#[derive(Clone)]
pub struct Amortised {
    net: Reader,
    pairs: Arc<Vec<Seen>>,
}

/// Returns the pairs that rows of a condition name.
pub fn indices(condition: &Tensor<2>) -> Vec<usize> {
    host(condition.clone())
        .iter()
        .map(|&i| i as usize)
        .collect()
}

impl Amortised {
    /// Returns the policy over these pairs.
    pub fn new(net: Reader, pairs: Arc<Vec<Seen>>) -> Self {
        Self { net, pairs }
    }

    /// Returns the condition of rows that belong to these pairs.
    pub fn condition(&self, pairs: &[usize]) -> Tensor<2> {
        let values = pairs.iter().map(|&i| i as f32).collect();
        matrix(values, 1, &weights::device(&self.net))
    }

    /// What some steps of infills read; pairs share nothing but the start token, for each is told something else.
    fn forest(&self, pairs: &[usize], z: &Strings, steps: &Range<usize>) -> Forest {
        let width = self.pairs[0].features.len();
        let mut forest = Forest {
            tree: Tree::of(&self.pairs[0].prefix[..1]),
            features: vec![0.0; width],
            nodes: Vec::with_capacity(pairs.len() * steps.len()),
        };
        let mut gaps: HashMap<usize, usize> = HashMap::new();
        for (row, &pair) in z.tokens.chunks_exact(GAP).zip(pairs) {
            let Seen { prefix, features } = &self.pairs[pair];
            let mut node = *gaps.entry(pair).or_insert_with(|| {
                let mut node = 0;
                for (at, &token) in prefix.iter().enumerate().skip(1) {
                    node = forest.tree.branch(node, token);
                    let last = at + 1 == prefix.len();
                    forest.own(node, last.then_some(features.as_slice()), width);
                }
                node
            });
            for step in 0..steps.end {
                if steps.contains(&step) {
                    forest.nodes.push(node);
                }
                if step + 1 < steps.end {
                    node = forest.tree.child(node, row[step]);
                    forest.own(node, Some(features), width);
                }
            }
        }
        forest
    }

    /// Returns the probability of every infill of a pair, first token major.
    pub fn enumerate(&self, pair: usize) -> Vec<f64> {
        let count = self.net.llama.shape().vocabulary;
        let rows = |tokens: &[u32], steps: Range<usize>| {
            let z = Strings {
                tokens: tokens.iter().flat_map(|&t| [t, 0]).collect(),
                length: GAP,
            };
            let forest = self.forest(&vec![pair; tokens.len()], &z, &steps);
            let found = host64(self.net.log_probs(&forest));
            let row = |&node: &usize| found[node * count..(node + 1) * count].to_vec();
            forest.nodes.iter().map(row).collect::<Vec<_>>()
        };
        let start: Vec<f64> = rows(&[0], 0..1)[0].iter().map(|l| l.exp()).collect();
        let all: Vec<u32> = (0..count as u32).collect();
        let mut out = Vec::with_capacity(count * count);
        for some in all.chunks(NODES) {
            for (&token, row) in some.iter().zip(rows(some, 1..2)) {
                out.extend(row.iter().map(|l| start[token as usize] * l.exp()));
            }
        }
        out
    }
}

impl SequentialModel for Amortised {
    type Weights = Reader;
    type Condition = Tensor<2>;
    type Sample = Strings;
    type Path = Fills;

    fn weights(&self) -> &Reader {
        &self.net
    }

    fn with_weights(&self, net: Reader) -> Self {
        Self {
            net,
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        GAP
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<Fills> {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..GAP);
        Scored { path, scores }
    }

    /// There is one path to an infill.
    fn path_to(&self, condition: &Tensor<2>, sample: &Strings, _: &mut Noise) -> Fills {
        Fills {
            z: sample.clone(),
            pairs: indices(condition),
        }
    }

    fn sample_of(&self, path: &Fills) -> Strings {
        path.z.clone()
    }

    fn step_log_probs(&self, path: &Fills, steps: Range<usize>) -> Tensor<2> {
        let forest = self.forest(&path.pairs, &path.z, &steps);
        let log_probs = self.net.log_probs(&forest);
        let [rows, count] = log_probs.dims();
        let device = log_probs.device().inner();
        let tokens = path.z.tokens.chunks_exact(GAP);
        let tokens = tokens.flat_map(|row| row[steps.clone()].iter());
        let cells = forest.nodes.iter().zip(tokens);
        let cells: Vec<i64> = cells
            .map(|(node, &token)| (node * count + token as usize) as i64)
            .collect();
        let chosen = cells.len();
        let cells = Tensor::<1, Int>::from_data(TensorData::new(cells, [chosen]), &device);
        let flat = log_probs.reshape([rows * count]).select(0, cells);
        flat.reshape([path.z.count(), steps.len()])
    }
}

impl Explore for Amortised {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> Fills {
        let model = self.with_weights(self.net.valid());
        let pairs = indices(condition);
        let count = self.net.llama.shape().vocabulary;
        let mut z = Strings {
            tokens: vec![0; pairs.len() * GAP],
            length: GAP,
        };
        for step in 0..GAP {
            let forest = model.forest(&pairs, &z, &(step..step + 1));
            let logits = host64(model.net.log_probs(&forest));
            let mut sums: HashMap<usize, Vec<f64>> = HashMap::new();
            for (row, draw) in noise.uniform_rows(pairs.len(), 1).into_iter().enumerate() {
                let node = forest.nodes[row];
                let logits = &logits[node * count..(node + 1) * count];
                let sums = sums
                    .entry(node)
                    .or_insert_with(|| cumulative(logits, scale));
                z.tokens[row * GAP + step] = pick(sums, draw);
            }
        }
        Fills { z, pairs }
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_policies::nets::llama::{LlamaShape, LlamaWeights};
    use tiltrl_tilt::conformity;

    use super::*;
    use crate::systems::stories::infill::Infill;

    fn small() -> (LlamaWeights, Amortised) {
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
        let mut noise = Noise::keyed(4, "reader", 0);
        let weights = LlamaWeights::random(shape, &mut noise);
        let llama = Llama::new(&weights, &Device::flex());
        // The second text goes on where the first one's gap begins: they must not share that node.
        let seen = |prefix: &[u32], features: &[f32]| Seen {
            prefix: prefix.to_vec(),
            features: features.to_vec(),
        };
        let pairs = vec![
            seen(&[1, 3, 2], &[1.0, -1.0]),
            seen(&[1, 3, 2, 5], &[0.5, 2.0]),
            seen(&[1, 3, 2], &[-2.0, 0.3]),
        ];
        let net = Reader::new(llama, 2, &mut noise, &Device::flex());
        (weights, Amortised::new(net, Arc::new(pairs)))
    }

    /// At the start every pair is filled as the Llama fills it that is told nothing.
    #[test]
    fn the_policy_starts_as_the_prior_of_each_pair() {
        let (weights, model) = small();
        for (pair, seen) in model.pairs.iter().enumerate() {
            let llama = Llama::new(&weights, &Device::flex());
            let alone = Infill::new(llama, &seen.prefix, GAP).enumerate();
            let found = model.enumerate(pair);
            assert!(found.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    /// Told something, the pairs differ, and drawing, scoring and enumeration agree.
    #[test]
    fn a_policy_that_is_told_something_keeps_the_rules() {
        let (_, model) = small();
        let moved = weights::tensors(model.weights()).into_iter();
        let moved = moved.enumerate().map(|(i, t)| {
            let shift = (0..t.dims()[0]).map(|k| 0.3 * ((i * 31 + k) as f32).sin());
            t + tiltrl_tilt::host::vector(shift.collect(), &Device::flex())
        });
        let moved = weights::with_tensors(model.weights().clone(), moved.collect());
        let model = model.with_weights(moved);
        let condition = model.condition(&[0, 1, 2, 0, 1, 2]);
        conformity::check(&model, &condition, conformity::Settings::default())
            .expect("keeps the rules");
        let all = Strings::all(7, GAP);
        let masses = [0, 1, 2].map(|pair| model.enumerate(pair));
        let apart = masses[0].iter().zip(&masses[2]);
        assert!(apart.map(|(a, b)| (a - b).abs()).sum::<f64>() > 0.05);
        for (pair, masses) in masses.iter().enumerate() {
            assert!((masses.iter().sum::<f64>() - 1.0).abs() < 1e-5);
            let fills = Fills {
                z: all.clone(),
                pairs: vec![pair; all.count()],
            };
            let scores = host64(model.step_log_probs(&fills, 0..GAP).sum_dim(1));
            for (mass, score) in masses.iter().zip(scores) {
                assert!((mass.ln() - score).abs() < 1e-4);
            }
        }
    }
}
