//! Files of the tinyllamas: a header of seven integers, then f32 weights; a tokenizer in a file of its own (llama2.c, version 0).

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tiltrl_policies::nets::llama::LlamaWeights;

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
    /// Weights of the model.
    pub weights: LlamaWeights,
    /// From text to tokens and back.
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
    let weights = LlamaWeights::read_llama2c(&model.bytes)
        .map_err(|e| damaged(&model.path, &e.to_string()))?;
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
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let whole = bytes();
        std::fs::write(folder.path().join("tiny.bin"), &whole[..whole.len() - 4])
            .expect("writable");
        let error = load(folder.path(), ["tiny.bin", "tok512.bin"]);
        let error = error.err().expect("cut").to_string();
        assert!(error.contains("tiny.bin: damaged"), "{error}");
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
