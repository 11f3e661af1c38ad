//! Questions as "6 - 0 - 4 - 8 = ?", their running values, and the sets of the paper.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tiltrl_tilt::noise::Noise;

use crate::error::Error;

/// Most operands of a question.
pub const OPERANDS: usize = 5;
/// Width of a question as a condition: five operands in one-hot digits, four signs (0: absent).
pub const WIDTH: usize = 10 * OPERANDS + OPERANDS - 1;
/// Least running value; the greatest is 9 · 5.
pub const LEAST: i32 = -36;
/// Running values in all.
pub const VALUES: usize = 82;

/// One-digit operands, joined by + and −.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The digits in the order of reading, 0 to 9.
    pub operands: Vec<i32>,
    /// Whether the operation before each further operand is a minus.
    pub minus: Vec<bool>,
}

impl Question {
    /// Draws a question: digits and signs are uniform, as in the sets of the paper.
    pub fn random(operands: usize, noise: &mut Noise) -> Self {
        let digits = noise.indices(operands, 10);
        let signs = noise.indices(operands - 1, 2);
        Self {
            operands: digits.iter().map(|&d| d as i32).collect(),
            minus: signs.iter().map(|&s| s == 1).collect(),
        }
    }

    /// Reads "Question: 6 - 0 - 4 = ? Answer:"; none where it is nothing of the kind.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.split(':').nth(1)?.split('=').next()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let digit = |word: &&str| word.parse::<i32>().ok().filter(|d| (0..10).contains(d));
        let operands: Option<Vec<i32>> = words.iter().step_by(2).map(digit).collect();
        let sign = |word: &&str| match *word {
            "-" => Some(true),
            "+" => Some(false),
            _ => None,
        };
        let minus: Option<Vec<bool>> = words.iter().skip(1).step_by(2).map(sign).collect();
        let question = Self {
            operands: operands?,
            minus: minus?,
        };
        let count = question.operands.len();
        let fits = (2..=OPERANDS).contains(&count) && question.minus.len() + 1 == count;
        fits.then_some(question)
    }

    /// Returns how many values a rationale has.
    pub fn steps(&self) -> usize {
        self.minus.len()
    }

    /// Returns the right result of a step from any running value.
    pub fn result(&self, step: usize, before: i32) -> i32 {
        let sign = if self.minus[step] { -1 } else { 1 };
        before + sign * self.operands[step + 1]
    }

    /// Returns the right running values.
    pub fn values(&self) -> Vec<i32> {
        let mut value = self.operands[0];
        let steps = 0..self.steps();
        steps
            .map(|step| {
                value = self.result(step, value);
                value
            })
            .collect()
    }

    /// Returns the answer.
    pub fn answer(&self) -> i32 {
        *self.values().last().expect("a question has steps")
    }

    /// Returns the question as a condition of [`WIDTH`] numbers.
    pub fn encoded(&self) -> Vec<f32> {
        let mut out = vec![0.0; WIDTH];
        for (i, &digit) in self.operands.iter().enumerate() {
            out[10 * i + digit as usize] = 1.0;
        }
        for (i, &minus) in self.minus.iter().enumerate() {
            out[10 * OPERANDS + i] = if minus { -1.0 } else { 1.0 };
        }
        out
    }

    /// Reads a condition back.
    pub fn decoded(row: &[f32]) -> Self {
        let signs = row[10 * OPERANDS..].iter().filter(|s| **s != 0.0);
        let minus: Vec<bool> = signs.map(|s| *s < 0.0).collect();
        let digits = row.chunks_exact(10).take(minus.len() + 1);
        let digit = |hot: &[f32]| hot.iter().position(|h| *h > 0.5).unwrap_or(0) as i32;
        Self {
            operands: digits.map(digit).collect(),
            minus,
        }
    }

    /// Returns the least and greatest value that a rationale may claim after `step`.
    pub fn range(step: usize) -> [i32; 2] {
        let steps = step as i32 + 1;
        [-9 * steps, 9 * (steps + 1)]
    }
}

/// Returns the token of a running value.
pub fn token(value: i32) -> usize {
    (value - LEAST) as usize
}

#[derive(Deserialize)]
struct Stored {
    str_query: String,
    num_sol: i32,
}

/// Reads a set of the paper from the user's folder, or from its folder `arithmetic`.
///
/// # Errors
/// When the file is missing, is no such set, or holds a question whose answer is not the one it states.
pub fn read(folder: &Path, name: &str) -> Result<Vec<Question>, Error> {
    let places: [PathBuf; 2] = [folder.join(name), folder.join("arithmetic").join(name)];
    let path = places.iter().find(|path| path.exists()).ok_or_else(|| {
        Error::Run(format!(
            "{}: no such file, nor in the folder `arithmetic` there\n  hint: the sets are those of Hu et al. 2024; without --data, questions of the same law are drawn",
            places[0].display()
        ))
    })?;
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let broken = |reason: String| {
        Error::Run(format!(
            "{}: {reason}\n  hint: expected a JSON list of objects with str_query and num_sol",
            path.display()
        ))
    };
    let stored: Vec<Stored> = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
    let question = |(i, stored): (usize, Stored)| {
        let found = Question::parse(&stored.str_query);
        let found = found.filter(|question| question.answer() == stored.num_sol);
        found.ok_or_else(|| {
            broken(format!(
                "entry {i}: `{}` is not {}",
                stored.str_query, stored.num_sol
            ))
        })
    };
    stored.into_iter().enumerate().map(question).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_encoded_and_answered() {
        let found = Question::parse("Question: 6 - 0 - 4 - 8 = ? Answer:").expect("a question");
        assert_eq!((found.values(), found.answer()), (vec![6, 2, -6], -6));
        assert_eq!(Question::decoded(&found.encoded()), found);
        for text in [
            "",
            "Question: 6 * 2 = ?",
            "Question: 16 + 2 = ?",
            "Question: 6 + = ?",
        ] {
            assert_eq!(Question::parse(text), None, "{text}");
        }
        let mut noise = Noise::keyed(1, "questions", 0);
        for operands in 3..=OPERANDS {
            let question = Question::random(operands, &mut noise);
            assert_eq!(Question::decoded(&question.encoded()), question);
            for (step, value) in question.values().into_iter().enumerate() {
                let [low, high] = Question::range(step);
                assert!((low..=high).contains(&value) && token(value) < VALUES);
            }
        }
    }

    #[test]
    fn a_set_with_a_wrong_answer_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let write = |text: &str| {
            std::fs::write(folder.path().join("set.json"), text).expect("writable");
            read(folder.path(), "set.json")
        };
        let good = r#"[{"str_query": "Question: 9 + 4 - 8 = ? Answer:", "num_sol": 5}]"#;
        assert_eq!(write(good).expect("read").len(), 1);
        let error = write(&good.replace("5}", "6}")).expect_err("wrong");
        assert!(error.to_string().contains("entry 0"), "{error}");
        assert!(read(folder.path(), "other.json").is_err());
    }
}
