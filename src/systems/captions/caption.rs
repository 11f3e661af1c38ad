//! Captions of digits: "a thick slanted seven". Words, what they say, and how a network sees them.

use crate::error::{Error, nearest};

/// Names of the classes.
const DIGITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
/// Words of a code: thin, thick, upright, slanted, then the digits.
pub const WIDTH: usize = 14;

/// What a caption states; a part that it does not state is left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caption {
    /// Whether strokes are thick; the opposite is thin.
    pub thick: Option<bool>,
    /// Whether it leans to the right; the opposite is upright.
    pub slanted: Option<bool>,
    /// The digit shown, 0 to 9.
    pub digit: Option<u8>,
}

impl Caption {
    /// Reads a caption.
    ///
    /// # Errors
    /// [`Error::Usage`] for a word that is none of the vocabulary, or says again or against what was said.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        for word in text.split_whitespace() {
            let twice = || {
                Error::Usage(format!(
                    "caption \"{text}\": \"{word}\" says again, or against it, what was said"
                ))
            };
            let digit = DIGITS.iter().position(|d| *d == word);
            let taken = match (word, digit) {
                ("a" | "an" | "digit", _) => false,
                ("thin" | "thick", _) => found.thick.replace(word == "thick").is_some(),
                ("upright" | "slanted", _) => found.slanted.replace(word == "slanted").is_some(),
                (_, Some(digit)) => found.digit.replace(digit as u8).is_some(),
                _ => return Err(unknown(text, word)),
            };
            if taken {
                return Err(twice());
            }
        }
        Ok(found)
    }

    /// Returns the caption as text.
    pub fn text(&self) -> String {
        let mut words = vec!["a"];
        words.extend(self.thick.map(|t| if t { "thick" } else { "thin" }));
        words.extend(self.slanted.map(|s| if s { "slanted" } else { "upright" }));
        words.push(self.digit.map_or("digit", |d| DIGITS[usize::from(d)]));
        words.join(" ")
    }

    /// Returns the bag of its words: 1 for each that is there. The first layer of a network that sees it is an embedding of the words,
    /// summed.
    pub fn code(&self) -> [f32; WIDTH] {
        let mut code = [0.0; WIDTH];
        let pairs = [(self.thick, 0), (self.slanted, 2)];
        for (stated, first) in pairs {
            if let Some(stated) = stated {
                code[first + usize::from(stated)] = 1.0;
            }
        }
        if let Some(digit) = self.digit {
            code[4 + usize::from(digit)] = 1.0;
        }
        code
    }
}

fn unknown(text: &str, word: &str) -> Error {
    let words = || {
        ["thin", "thick", "upright", "slanted"]
            .into_iter()
            .chain(DIGITS)
    };
    let near = nearest(word, words()).map_or(String::new(), |w| format!("; did you mean {w}?"));
    Error::Usage(format!(
        "caption \"{text}\": the word \"{word}\" is not known{near}\n  hint: it knows a, {}",
        words().collect::<Vec<_>>().join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_read_written_and_coded() {
        let caption = Caption::parse("a thick slanted seven").expect("known words");
        assert_eq!(caption.text(), "a thick slanted seven");
        let ones: Vec<usize> = (0..WIDTH).filter(|&i| caption.code()[i] > 0.0).collect();
        assert_eq!(ones, [1, 3, 11]);
        let open = Caption::parse("a thin").expect("known words");
        assert_eq!(
            (open.digit, open.slanted, open.code()[0]),
            (None, None, 1.0)
        );
    }

    #[test]
    fn unknown_and_contradicting_words_are_refused() {
        for (text, words) in [
            ("a thik seven", "did you mean thick"),
            ("a thin thick one", "against"),
            ("two three", "against"),
            ("a blue moon", "not known"),
        ] {
            let error = Caption::parse(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
