//! Files of the tinyllamas: a header of seven integers, then f32 weights; a tokenizer in a file of its own (llama2.c, version 0).

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tiltrl_policies::nets::llama::{LayerWeights, LlamaShape, LlamaWeights};

use super::tokenizer::Tokenizer;
use crate::error::Error;

/// SHA-256 of files that are known by name.
const KNOWN: [(&str, &str); 2] = [
    (
        "stories260K.bin",
        "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696",
    ),
    (
        "tok512.bin",
        "037cb335abb25d1fa9e8ecae30ed2a3a8ace9302862ebcdc05d51a6bbb10c312",
    ),
];

/// A file's bytes, and whether its digest is known.
struct Bytes {
    path: PathBuf,
    bytes: Vec<u8>,
    known: bool,
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::Run(format!(
        "{}: damaged, or not of this format: {reason}\n  hint: bring karpathy/tinyllamas' file again; stories260K.bin has SHA-256 {}",
        path.display(),
        KNOWN[0].1
    ))
}

fn read(folder: &Path, name: &str) -> Result<Bytes, Error> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).map_err(|e| {
        Error::Run(format!(
            "{}: {e}\n  hint: `tiltrl tilt stories --data FOLDER` wants stories260K.bin and tok512.bin of karpathy/tinyllamas (MIT) there",
            path.display()
        ))
    })?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    if let Some((_, wanted)) = known
        && *wanted != digest
    {
        return Err(damaged(
            &path,
            &format!("its SHA-256 is {digest}, expected {wanted}"),
        ));
    }
    Ok(Bytes {
        path,
        bytes,
        known: known.is_some(),
    })
}

/// Weights and tokenizer of a folder, and what is to be said of them.
pub struct Stories {
    /// The weights.
    pub weights: LlamaWeights,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Whether the digests were checked.
    pub note: String,
}

/// Reads a model and its tokenizer.
///
/// # Errors
/// When a file is missing, has another digest than the known one, or is damaged.
pub fn load(folder: &Path, [model, tokens]: [&str; 2]) -> Result<Stories, Error> {
    let model = read(folder, model)?;
    let weights = weights(&model.path, &model.bytes)?;
    let tokens = read(folder, tokens)?;
    let count = weights.shape.vocabulary;
    let tokenizer = Tokenizer::parse(&tokens.bytes, count)
        .ok_or_else(|| damaged(&tokens.path, &format!("expected {count} tokens")))?;
    let checked = if model.known && tokens.known {
        "digests checked"
    } else {
        "their digests are not known here and were NOT checked; lengths were"
    };
    let parameters = (model.bytes.len() - 28) / 4;
    let note = format!(
        "model: {} ({parameters} numbers), tokenizer {}; {checked}",
        model.path.display(),
        tokens.path.display()
    );
    Ok(Stories {
        weights,
        tokenizer,
        note,
    })
}

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

/// Reads the weights of a file's bytes.
///
/// # Errors
/// When the header names sizes that fit no model, the length is another than they need, or a number is not finite.
pub fn weights(path: &Path, bytes: &[u8]) -> Result<LlamaWeights, Error> {
    let header: Vec<i32> = bytes
        .chunks_exact(4)
        .take(7)
        .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    if header.len() < 7 || header.iter().any(|&n| n <= 0) {
        let reason = format!(
            "a header of seven positive sizes, found {header:?}; weights of an output layer of its own are not read"
        );
        return Err(damaged(path, &reason));
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
    shape.check().map_err(|e| damaged(path, &e.to_string()))?;
    let mut reader = Reader { left: &bytes[28..] };
    let found = all(&shape, &mut reader);
    // Two tables of rotary positions end the file.
    let tables = 4 * shape.length * shape.head();
    let Some(weights) = found.filter(|_| reader.left.len() == tables) else {
        let reason = format!(
            "{} bytes do not fit the sizes of its header, {header:?}",
            bytes.len()
        );
        return Err(damaged(path, &reason));
    };
    let finite = |values: &Vec<f32>| values.iter().all(|v| v.is_finite());
    let layers = weights.layers.iter();
    let whole = layers
        .flat_map(|l| l.attention.iter().chain(&l.hidden))
        .all(finite);
    if !whole || !finite(&weights.tokens) {
        return Err(damaged(path, "a weight is not finite"));
    }
    Ok(weights)
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
        let (good, path) = (bytes(), Path::new("tiny.bin"));
        let found = weights(path, &good).expect("reads");
        assert_eq!(found.tokens[7], 7.0);
        // The first query matrix starts at 24; [outputs, inputs] = [4, 4] there, the other way round here.
        assert_eq!(found.layers[0].attention[0][..3], [24.0, 28.0, 32.0]);
        // Keys [2, 4] at 40: output 1 of input 0 is 44.
        assert_eq!(found.layers[0].attention[1][..3], [40.0, 44.0, 41.0]);
        assert_eq!(found.norm, [112.0, 113.0, 114.0, 115.0]);
        for cut in [good.len() - 4, 20, good.len() - 1] {
            let error = weights(path, &good[..cut]).expect_err("cut");
            assert!(error.to_string().contains("tiny.bin: damaged"), "{error}");
        }
        let longer = [good.clone(), vec![0; 4]].concat();
        assert!(weights(path, &longer).is_err());
        let mut other = good.clone();
        other[0] = 8;
        assert!(weights(path, &other).is_err());
        let mut not_finite = good;
        not_finite[28..32].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(weights(path, &not_finite).is_err());
    }

    #[test]
    fn a_known_name_with_another_digest_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("stories260K.bin"), bytes()).expect("writable");
        let names = ["stories260K.bin", "tok512.bin"];
        let error = load(folder.path(), names).err().expect("another digest");
        assert!(error.to_string().contains("SHA-256"), "{error}");
        let missing = load(&folder.path().join("none"), names)
            .err()
            .expect("missing");
        assert!(missing.to_string().contains("--data"), "{missing}");
    }
}
