//! The same Llama without tensors: one token of many texts at a time, keys and values kept. For enumeration and plain writing.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::weights::{LlamaShape, LlamaWeights};

/// Weights as arrays.
pub struct HostLlama {
    shape: LlamaShape,
    /// From the last layer to logits, [dim, vocabulary].
    head: Array2<f32>,
    tokens: Array2<f32>,
    layers: Vec<Layer>,
    norm: Array1<f32>,
}

struct Layer {
    attention_norm: Array1<f32>,
    attention: [Array2<f32>; 4],
    hidden_norm: Array1<f32>,
    hidden: [Array2<f32>; 3],
}

/// Keys and values of one position of some texts: [texts, kv_dim] per layer. One row is seen by all texts.
#[derive(Clone, Debug)]
pub struct Position {
    keys: Vec<Array2<f32>>,
    values: Vec<Array2<f32>>,
}

impl Position {
    /// Returns the rows of these texts; a position of one row stays as it is.
    pub fn pick(&self, rows: &[usize]) -> Self {
        if self.keys[0].nrows() == 1 {
            return self.clone();
        }
        let picked = |all: &[Array2<f32>]| all.iter().map(|a| a.select(Axis(0), rows)).collect();
        Self {
            keys: picked(&self.keys),
            values: picked(&self.values),
        }
    }
}

fn array(values: &[f32], columns: usize) -> Array2<f32> {
    let shape = [values.len() / columns, columns];
    Array2::from_shape_vec(shape, values.to_vec()).expect("a whole number of rows")
}

fn normed(x: &Array2<f32>, gains: &Array1<f32>, epsilon: f32) -> Array2<f32> {
    let mut out = x.clone();
    for mut row in out.rows_mut() {
        let square = row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32;
        let scale = 1.0 / (square + epsilon).sqrt();
        row.iter_mut()
            .zip(gains)
            .for_each(|(v, gain)| *v *= scale * gain);
    }
    out
}

fn turn(x: &mut Array2<f32>, shape: &LlamaShape, position: usize) {
    let head = shape.head();
    let angles: Vec<(f32, f32)> = (0..head / 2)
        .map(|i| {
            let frequency = shape.theta.powf(-((2 * i) as f64) / head as f64);
            let angle = position as f64 * frequency;
            (angle.cos() as f32, angle.sin() as f32)
        })
        .collect();
    for mut row in x.rows_mut() {
        let row = row.as_slice_mut().expect("made row-major");
        for (pair, i) in row.chunks_exact_mut(2).zip(0..) {
            let (cos, sin) = angles[i % (head / 2)];
            let [a, b] = [pair[0], pair[1]];
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}

impl HostLlama {
    /// Returns the model of these weights.
    pub fn new(weights: &LlamaWeights) -> Self {
        let shape = weights.shape.clone();
        let (dim, kv, hidden) = (shape.dim, shape.kv_dim(), shape.hidden);
        let gains = |values: &[f32]| Array1::from_vec(values.to_vec());
        let tokens = array(&weights.tokens, dim);
        let layers = weights.layers.iter().map(|layer| {
            let [query, key, value, back] = &layer.attention;
            let [gate, up, down] = &layer.hidden;
            Layer {
                attention_norm: gains(&layer.attention_norm),
                attention: [
                    array(query, dim),
                    array(key, kv),
                    array(value, kv),
                    array(back, dim),
                ],
                hidden_norm: gains(&layer.hidden_norm),
                hidden: [array(gate, hidden), array(up, hidden), array(down, dim)],
            }
        });
        Self {
            layers: layers.collect(),
            head: match &weights.head {
                Some(head) => array(head, shape.vocabulary),
                None => tokens.t().as_standard_layout().into_owned(),
            },
            tokens,
            norm: gains(&weights.norm),
            shape,
        }
    }

    /// Returns the sizes.
    pub fn shape(&self) -> &LlamaShape {
        &self.shape
    }

    /// Reads one token of each text at `past.len()`; returns log p of the next token [texts, vocabulary] and what is to be kept.
    ///
    /// A position of `past` holds one row, which every text sees, or one row per text.
    pub fn step(&self, tokens: &[u32], past: &[&Position]) -> (Array2<f32>, Position) {
        let picked: Vec<usize> = tokens.iter().map(|&t| t as usize).collect();
        let epsilon = self.shape.epsilon;
        let mut x = self.tokens.select(Axis(0), &picked);
        let mut kept = Position {
            keys: Vec::new(),
            values: Vec::new(),
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let y = normed(&x, &layer.attention_norm, epsilon);
            let [query, key, value, back] = &layer.attention;
            let mut query = y.dot(query);
            let mut key = y.dot(key);
            turn(&mut query, &self.shape, past.len());
            turn(&mut key, &self.shape, past.len());
            kept.keys.push(key);
            kept.values.push(y.dot(value));
            let found = self.attend(&query, index, past, &kept);
            x += &found.dot(back);
            let y = normed(&x, &layer.hidden_norm, epsilon);
            let [gate, up, down] = &layer.hidden;
            let mut gate = y.dot(gate);
            gate.mapv_inplace(|v| v / (1.0 + (-v).exp()));
            gate *= &y.dot(up);
            x += &gate.dot(down);
        }
        let mut logits = normed(&x, &self.norm, epsilon).dot(&self.head);
        for mut row in logits.rows_mut() {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = row.iter().map(|l| f64::from((l - top).exp())).sum();
            let shift = top + sum.ln() as f32;
            row.mapv_inplace(|l| l - shift);
        }
        (logits, kept)
    }

    fn attend(
        &self,
        query: &Array2<f32>,
        layer: usize,
        past: &[&Position],
        own: &Position,
    ) -> Array2<f32> {
        let (heads, head) = (self.shape.heads, self.shape.head());
        let group = heads / self.shape.kv_heads;
        let mut out = Array2::<f32>::zeros(query.dim());
        let all: Vec<(ArrayView2<'_, f32>, ArrayView2<'_, f32>)> = past
            .iter()
            .copied()
            .chain(std::iter::once(own))
            .map(|p| (p.keys[layer].view(), p.values[layer].view()))
            .collect();
        let scale = 1.0 / (head as f32).sqrt();
        let mut weights = vec![0.0f32; all.len()];
        let cells = |all: &ArrayView2<'_, f32>, text: usize, at: usize| -> usize {
            let row = if all.nrows() == 1 { 0 } else { text };
            row * all.ncols() + at
        };
        let slices: Vec<(&[f32], &[f32])> = all
            .iter()
            .map(|(k, v)| {
                let whole = "made row-major";
                (k.to_slice().expect(whole), v.to_slice().expect(whole))
            })
            .collect();
        for text in 0..query.nrows() {
            for h in 0..heads {
                let q = query.row(text);
                let q = &q.to_slice().expect("made row-major")[h * head..(h + 1) * head];
                let mut top = f32::NEG_INFINITY;
                for (i, (keys, _)) in all.iter().enumerate() {
                    let at = cells(keys, text, h / group * head);
                    let key = &slices[i].0[at..at + head];
                    let dot: f32 = q.iter().zip(key).map(|(a, b)| a * b).sum();
                    weights[i] = dot * scale;
                    top = top.max(weights[i]);
                }
                let mut sum = 0.0;
                for w in &mut weights {
                    *w = (*w - top).exp();
                    sum += *w;
                }
                for (i, (_, values)) in all.iter().enumerate() {
                    let at = cells(values, text, h / group * head);
                    let share = weights[i] / sum;
                    let value = &slices[i].1[at..at + head];
                    for (j, v) in value.iter().enumerate() {
                        out[[text, h * head + j]] += share * v;
                    }
                }
            }
        }
        out
    }

    /// Reads a text and returns log p of the token after it, and all positions.
    ///
    /// # Panics
    /// When the text is empty.
    pub fn read(&self, text: &[u32]) -> (Vec<f32>, Vec<Position>) {
        let mut kept: Vec<Position> = Vec::new();
        let mut last = Vec::new();
        for &token in text {
            let past: Vec<&Position> = kept.iter().collect();
            let (logits, position) = self.step(&[token], &past);
            last = logits.row(0).to_vec();
            kept.push(position);
        }
        assert!(!last.is_empty(), "a text starts with a token");
        (last, kept)
    }

    /// Writes the likeliest tokens after a text until it has `length` tokens or the next would be one of `ends`.
    pub fn greedy(&self, text: &[u32], length: usize, ends: &[u32]) -> Vec<u32> {
        let (mut next, mut kept) = self.read(text);
        let mut out = text.to_vec();
        while out.len() < length.min(self.shape.length) {
            let first =
                (0..next.len()).fold(0, |best, i| if next[i] > next[best] { i } else { best });
            if ends.contains(&(first as u32)) {
                break;
            }
            out.push(first as u32);
            let past: Vec<&Position> = kept.iter().collect();
            let (logits, position) = self.step(&[first as u32], &past);
            next = logits.row(0).to_vec();
            kept.push(position);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, activation};
    use tiltrl_tilt::host::host64;
    use tiltrl_tilt::noise::Noise;

    use super::super::{Llama, Tree};
    use super::*;

    fn small() -> LlamaWeights {
        let shape = LlamaShape {
            dim: 16,
            hidden: 24,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            vocabulary: 11,
            length: 20,
            epsilon: 1e-5,
            theta: 10_000.0,
        };
        shape.check().expect("fits");
        LlamaWeights::random(shape, &mut Noise::keyed(1, "llama", 0))
    }

    /// Two programs of the same model: a tree of two texts by tensors, and each text token by token with keys and values kept.
    #[test]
    fn tensors_and_host_agree_and_branches_do_not_see_each_other() {
        let weights = small();
        let (host, device) = (HostLlama::new(&weights), Device::flex());
        let llama = Llama::new(&weights, &device);
        let mut tree = Tree::of(&[1, 5, 3]);
        let a = tree.child(2, 7);
        let b = tree.child(2, 4);
        assert_eq!((tree.child(2, 7), tree.child(a, 2)), (a, 5));
        let adapted = llama
            .clone()
            .with_adapters(2, &mut Noise::keyed(2, "lora", 0));
        for module in [&llama, &adapted] {
            let logits = host64(activation::log_softmax(module.logits(&tree, None), 1));
            for (node, text) in [
                (2, vec![1, 5, 3]),
                (b, vec![1, 5, 3, 4]),
                (5, vec![1, 5, 3, 7, 2]),
            ] {
                let expected = host.read(&text).0;
                for (found, wanted) in logits[node * 11..(node + 1) * 11].iter().zip(expected) {
                    assert!((found - f64::from(wanted)).abs() < 1e-5, "{found} {wanted}");
                }
            }
        }
        let names = tiltrl_tilt::weights::tracked_names(&burn::module::Module::train(adapted));
        assert_eq!(names.len(), 2 * 7 * 2, "adapters alone learn: {names:?}");
    }

    /// Many texts at once are those texts one by one, and so after some of them are dropped.
    #[test]
    fn texts_side_by_side_are_texts_alone() {
        let host = HostLlama::new(&small());
        let (_, prefix) = host.read(&[1, 5]);
        let past: Vec<&Position> = prefix.iter().collect();
        let (_, third) = host.step(&[3, 4, 9], &past);
        let third = third.pick(&[2, 0]);
        let past: Vec<&Position> = prefix.iter().chain([&third]).collect();
        let (found, _) = host.step(&[6, 6], &past);
        for (row, first) in [9u32, 3].into_iter().enumerate() {
            let alone = host.read(&[1, 5, first, 6]).0;
            let pairs = found.row(row).to_vec().into_iter().zip(alone);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
        }
        let text = host.greedy(&[1], 6, &[]);
        assert_eq!((text.len(), text[0]), (6, 1));
    }
}
