//! Files of llama2.c, version 0: a header of seven integers, then f32 weights; the output layer is the table of tokens.

use tiltrl_tilt::TiltError;

use super::weights::{LayerWeights, LlamaShape, LlamaWeights};

/// Reads numbers one after another.
struct Reader<'a> {
    left: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<Vec<f32>> {
        let (head, tail) = self.left.split_at_checked(4 * count)?;
        self.left = tail;
        let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Some(head.chunks_exact(4).map(number).collect())
    }

    /// Matrices [outputs, inputs] as [inputs, outputs].
    fn matrices(&mut self, count: usize, [outputs, inputs]: [usize; 2]) -> Option<Vec<Vec<f32>>> {
        (0..count)
            .map(|_| {
                let values = self.take(outputs * inputs)?;
                let cell = |i: usize| values[i % outputs * inputs + i / outputs];
                Some((0..values.len()).map(cell).collect())
            })
            .collect()
    }
}

impl LlamaWeights {
    /// Reads weights from the bytes of a file.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the header names sizes that fit no model, the length is another than they need, or a number is not
    /// finite.
    pub fn read_llama2c(bytes: &[u8]) -> Result<Self, TiltError> {
        let header: Vec<i32> = bytes
            .chunks_exact(4)
            .take(7)
            .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        if header.len() < 7 || header.iter().any(|&n| n <= 0) {
            let reason = format!(
                "a header of seven positive sizes, found {header:?}; weights of an output layer of its own are not read"
            );
            return Err(TiltError::Model(reason));
        }
        let size = |i: usize| header[i] as usize;
        let shape = LlamaShape {
            dim: size(0),
            hidden: size(1),
            layers: size(2),
            heads: size(3),
            kv_heads: size(4),
            vocabulary: size(5),
            length: size(6),
            epsilon: 1e-5,
            theta: 10_000.0,
        };
        shape.check()?;
        let mut reader = Reader { left: &bytes[28..] };
        let found = all(&shape, &mut reader);
        // Two tables of rotary positions end the file.
        let tables = 4 * shape.length * shape.head();
        let Some(weights) = found.filter(|_| reader.left.len() == tables) else {
            let reason = format!(
                "{} bytes do not fit the sizes of its header, {header:?}",
                bytes.len()
            );
            return Err(TiltError::Model(reason));
        };
        let finite = |values: &Vec<f32>| values.iter().all(|v| v.is_finite());
        let layers = weights.layers.iter();
        let whole = layers
            .flat_map(|l| l.attention.iter().chain(&l.hidden))
            .all(finite);
        if !whole || !finite(&weights.tokens) {
            return Err(TiltError::Model("a weight is not finite".into()));
        }
        Ok(weights)
    }
}

fn all(shape: &LlamaShape, reader: &mut Reader<'_>) -> Option<LlamaWeights> {
    let (dim, kv, hidden, layers) = (shape.dim, shape.kv_dim(), shape.hidden, shape.layers);
    let tokens = reader.take(shape.vocabulary * dim)?;
    let attention_norms = reader.take(layers * dim)?;
    let mut query = reader.matrices(layers, [dim, dim])?;
    let mut key = reader.matrices(layers, [kv, dim])?;
    let mut value = reader.matrices(layers, [kv, dim])?;
    let mut back = reader.matrices(layers, [dim, dim])?;
    let hidden_norms = reader.take(layers * dim)?;
    let mut gate = reader.matrices(layers, [hidden, dim])?;
    let mut down = reader.matrices(layers, [dim, hidden])?;
    let mut up = reader.matrices(layers, [hidden, dim])?;
    let norm = reader.take(dim)?;
    let take = std::mem::take::<Vec<f32>>;
    let layer = |i: usize| LayerWeights {
        attention_norm: attention_norms[i * dim..(i + 1) * dim].to_vec(),
        attention: [
            take(&mut query[i]),
            take(&mut key[i]),
            take(&mut value[i]),
            take(&mut back[i]),
        ],
        hidden_norm: hidden_norms[i * dim..(i + 1) * dim].to_vec(),
        hidden: [take(&mut gate[i]), take(&mut up[i]), take(&mut down[i])],
    };
    Some(LlamaWeights {
        layers: (0..layers).map(layer).collect(),
        shape: shape.clone(),
        tokens,
        norm,
        head: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the smallest sizes, every number its place in the file.
    fn bytes() -> Vec<u8> {
        let header = [4i32, 3, 1, 2, 1, 5, 6];
        let numbers = 5 * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 3 * 12 + 4 + 2 * 6;
        let mut out: Vec<u8> = header.iter().flat_map(|n| n.to_le_bytes()).collect();
        out.extend((0..numbers).flat_map(|n| (n as f32).to_le_bytes()));
        out
    }

    #[test]
    fn weights_come_from_their_places_and_damage_is_refused() {
        let good = bytes();
        let found = LlamaWeights::read_llama2c(&good).expect("reads");
        assert_eq!(found.tokens[7], 7.0);
        // The first query matrix starts at 24; [outputs, inputs] = [4, 4] there, the other way round here.
        assert_eq!(found.layers[0].attention[0][..3], [24.0, 28.0, 32.0]);
        // Keys [2, 4] at 40: output 1 of input 0 is 44.
        assert_eq!(found.layers[0].attention[1][..3], [40.0, 44.0, 41.0]);
        assert_eq!(found.norm, [112.0, 113.0, 114.0, 115.0]);
        for cut in [good.len() - 4, 20, good.len() - 1] {
            assert!(LlamaWeights::read_llama2c(&good[..cut]).is_err(), "{cut}");
        }
        let longer = [good.clone(), vec![0; 4]].concat();
        assert!(LlamaWeights::read_llama2c(&longer).is_err());
        let mut other = good.clone();
        other[0] = 8;
        assert!(LlamaWeights::read_llama2c(&other).is_err());
        let mut not_finite = good;
        not_finite[28..32].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(LlamaWeights::read_llama2c(&not_finite).is_err());
    }
}
