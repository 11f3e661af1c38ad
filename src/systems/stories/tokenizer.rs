//! The tokenizer of the tinyllamas: pairs of tokens are merged as long as that makes a token, the best score first.

use std::collections::HashMap;

/// Starts a text.
pub const START: u32 = 1;
/// The three tokens before those of single bytes: unknown, start, end.
const BYTES: u32 = 3;

/// Pieces of text with their scores.
pub struct Tokenizer {
    pieces: Vec<(Vec<u8>, f32)>,
    ids: HashMap<Vec<u8>, u32>,
}

impl Tokenizer {
    /// Reads `count` tokens: a length, then per token a score, its length and its bytes. None where the bytes are no such file.
    pub fn parse(bytes: &[u8], count: usize) -> Option<Self> {
        let mut left = bytes;
        let mut word = |n: usize| -> Option<Vec<u8>> {
            let (head, tail) = left.split_at_checked(n)?;
            left = tail;
            Some(head.to_vec())
        };
        word(4)?;
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            let score = f32::from_le_bytes(word(4)?.try_into().ok()?);
            let length = i32::from_le_bytes(word(4)?.try_into().ok()?);
            pieces.push((word(usize::try_from(length).ok()?)?, score));
        }
        if !left.is_empty() {
            return None;
        }
        let ids = pieces
            .iter()
            .zip(0..)
            .map(|((piece, _), id)| (piece.clone(), id));
        Some(Self {
            ids: ids.collect(),
            pieces,
        })
    }

    /// Returns the tokens of a text, which begins with a space of its own; no start token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for letter in " ".chars().chain(text.chars()) {
            let bytes = letter.to_string().into_bytes();
            match self.ids.get(&bytes) {
                Some(&id) => tokens.push(id),
                None => tokens.extend(bytes.iter().map(|&b| u32::from(b) + BYTES)),
            }
        }
        loop {
            let mut best: Option<(usize, u32)> = None;
            for (at, pair) in tokens.windows(2).enumerate() {
                let [a, b] = [pair[0], pair[1]].map(|t| self.pieces[t as usize].0.as_slice());
                let Some(&id) = self.ids.get([a, b].concat().as_slice()) else {
                    continue;
                };
                let score = |id: u32| self.pieces[id as usize].1;
                if best.is_none_or(|(_, other)| score(id) > score(other)) {
                    best = Some((at, id));
                }
            }
            let Some((at, id)) = best else { return tokens };
            tokens[at] = id;
            tokens.remove(at + 1);
        }
    }

    /// Returns a token's text; that of a byte is the byte.
    pub fn piece(&self, token: u32) -> Vec<u8> {
        let piece = &self.pieces[token as usize].0;
        let text = std::str::from_utf8(piece).unwrap_or("");
        let hex = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => vec![byte],
            None => piece.clone(),
        }
    }

    /// Returns the text of tokens; the space at its start goes, the start token is not shown.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let shown = tokens.iter().filter(|t| **t != START);
        let bytes: Vec<u8> = shown.flat_map(|&t| self.piece(t)).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix(' ').unwrap_or(&text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_pair_is_merged_first() {
        let mut pieces: Vec<(&str, f32)> = vec![("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)];
        let bytes: Vec<String> = (0..256).map(|b| format!("<0x{b:02X}>")).collect();
        pieces.extend(bytes.iter().map(|b| (b.as_str(), 0.0)));
        pieces.extend([(" ", -9.0), ("a", -9.0), ("b", -9.0)]);
        pieces.extend([("ab", -2.0), (" a", -1.0), ("aa", -3.0)]);
        let mut file = 9i32.to_le_bytes().to_vec();
        for (piece, score) in &pieces {
            file.extend(score.to_le_bytes());
            file.extend((piece.len() as i32).to_le_bytes());
            file.extend(piece.bytes());
        }
        let tokenizer = Tokenizer::parse(&file, pieces.len()).expect("reads");
        let id = |piece: &str| pieces.iter().position(|(p, _)| *p == piece).expect("one") as u32;
        // " a" scores better than "ab", and takes the a from it.
        assert_eq!(tokenizer.encode("ab"), [id(" a"), id("b")]);
        assert_eq!(tokenizer.encode("bab"), [id(" "), id("b"), id("ab")]);
        // A letter without a token is its bytes.
        assert_eq!(tokenizer.encode("é"), [id(" "), 0xC3 + 3, 0xA9 + 3]);
        assert_eq!(tokenizer.decode(&tokenizer.encode("abéa")), "abéa");
        assert!(Tokenizer::parse(&file[..file.len() - 1], pieces.len()).is_none());
        assert!(Tokenizer::parse(&file, pieces.len() - 1).is_none());
    }
}
