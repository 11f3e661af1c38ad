//! Sentences with labels, the words that matter of them, and the baseline that counts words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// A sentence: its distinct words, and whether it is subjective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Its words, sorted.
    pub words: Vec<String>,
    /// Whether it is subjective.
    pub subjective: bool,
}

#[derive(Deserialize)]
struct Stored {
    text: String,
    label: u8,
}

/// Reads a set from the user's folder, or from its folder `subj`: a JSON object with `text` and `label` (0, 1) per line.
///
/// # Errors
/// When the file is missing, holds no sentence, or a line is nothing of the kind; its number is named.
pub fn read(folder: &Path, name: &str) -> Result<Vec<Sentence>, Error> {
    let places: [PathBuf; 2] = [folder.join(name), folder.join("subj").join(name)];
    let path = places.iter().find(|path| path.exists()).ok_or_else(|| {
        Error::Run(format!(
            "{}: no such file, nor in the folder `subj` there\n  hint: the sets are SUBJ (Pang and Lee 2004) in the splits of Hu et al. 2024",
            places[0].display()
        ))
    })?;
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let broken = |line: usize, reason: String| {
        Error::Run(format!(
            "{}: line {line}: {reason}\n  hint: expected a JSON object with text and label (0 or 1) in each line",
            path.display()
        ))
    };
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty());
    let sentences = lines.map(|(at, line)| {
        let found: Stored =
            serde_json::from_str(line).map_err(|e| broken(at + 1, e.to_string()))?;
        if found.label > 1 {
            return Err(broken(at + 1, format!("the label is {}", found.label)));
        }
        Ok(Sentence {
            words: words(&found.text),
            subjective: found.label == 1,
        })
    });
    let sentences = sentences.collect::<Result<Vec<_>, Error>>()?;
    if sentences.is_empty() {
        return Err(broken(1, "there is no sentence".into()));
    }
    Ok(sentences)
}

/// The distinct words of a text, in lower case and sorted; what holds no letter is none.
fn words(text: &str) -> Vec<String> {
    let all = text.split_whitespace().map(str::to_lowercase);
    let all = all.filter(|word| word.chars().any(char::is_alphabetic));
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Words by the number of sentences that hold them.
pub struct Lexicon {
    /// Words that models see, the most frequent first.
    seen: HashMap<String, usize>,
    /// Words that a rationale may hold.
    pub latent: Vec<String>,
    latent_index: HashMap<String, usize>,
}

impl Lexicon {
    /// Counts sentences: the `seen` most frequent words are what models see; those of rationales are the `latent` most frequent
    /// ones after the first `skipped`, which say how a sentence is built and not what of.
    pub fn new(sentences: &[Sentence], seen: usize, [skipped, latent]: [usize; 2]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for word in sentences.iter().flat_map(|s| &s.words) {
            *counts.entry(word).or_default() += 1;
        }
        let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
        order.sort_by_key(|(word, count)| (std::cmp::Reverse(*count), *word));
        let names = order.iter().map(|(word, _)| (*word).to_string());
        let indexed = |names: Vec<String>| names.into_iter().enumerate().map(|(i, w)| (w, i));
        let latent: Vec<String> = names.clone().skip(skipped).take(latent).collect();
        Self {
            seen: indexed(names.take(seen).collect()).collect(),
            latent_index: indexed(latent.clone()).collect(),
            latent,
        }
    }

    /// Returns how many words models see.
    pub fn width(&self) -> usize {
        self.seen.len()
    }

    /// Returns what a model sees of words: as many numbers as [`Self::width`].
    pub fn bag<'a>(&self, words: impl Iterator<Item = &'a String>) -> Vec<f32> {
        let mut row = vec![0.0; self.width()];
        let found: Vec<usize> = words
            .filter_map(|word| self.seen.get(word).copied())
            .collect();
        let value = 3.0 / (found.len().max(1) as f32).sqrt();
        found.iter().for_each(|&i| row[i] = value);
        row
    }

    /// Returns the words of a sentence that a rationale may hold, as indices with their place in the sentence.
    pub fn latent_of(&self, sentence: &Sentence) -> Vec<[usize; 2]> {
        let words = sentence.words.iter().enumerate();
        let found = words.filter_map(|(at, w)| Some([*self.latent_index.get(w)?, at]));
        found.collect()
    }
}

/// Returns the share of test sentences that naive Bayes on the words labels right: counts of sentences with one added, and both
/// labels equally likely whatever their share among the labelled sentences.
pub fn naive_bayes(labelled: &[Sentence], test: &[Sentence]) -> f64 {
    let mut counts: HashMap<&str, [f64; 2]> = HashMap::new();
    let mut words = [0.0f64; 2];
    for sentence in labelled {
        let class = usize::from(sentence.subjective);
        for word in &sentence.words {
            counts.entry(word).or_default()[class] += 1.0;
            words[class] += 1.0;
        }
    }
    let vocabulary = counts.len() as f64;
    let right = test.iter().filter(|sentence| {
        let known = sentence.words.iter().filter_map(|w| counts.get(w.as_str()));
        let log = |class: usize, found: &[f64; 2]| {
            ((found[class] + 1.0) / (words[class] + vocabulary)).ln()
        };
        let score = known
            .map(|found| log(1, found) - log(0, found))
            .sum::<f64>();
        (score > 0.0) == sentence.subjective
    });
    right.count() as f64 / test.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str, subjective: bool) -> Sentence {
        Sentence {
            words: words(text),
            subjective,
        }
    }

    #[test]
    fn words_are_counted_and_naive_bayes_tells_them() {
        let labelled = [
            sentence("The film is a dull film .", true),
            sentence("the hero goes to the sea", false),
        ];
        assert_eq!(labelled[0].words, ["a", "dull", "film", "is", "the"]);
        let lexicon = Lexicon::new(&labelled, 3, [1, 4]);
        assert_eq!(lexicon.latent, ["a", "dull", "film", "goes"]);
        assert_eq!(lexicon.latent_of(&labelled[0]), [[0, 0], [1, 1], [2, 2]]);
        let bag = lexicon.bag(labelled[0].words.iter());
        assert_eq!(bag.iter().filter(|v| **v > 0.0).count(), 3);
        let test = [sentence("dull film", true), sentence("hero", false)];
        assert_eq!(naive_bayes(&labelled, &test), 1.0);
        let wrong = [sentence("dull film", false), sentence("hero", true)];
        assert_eq!(naive_bayes(&labelled, &wrong), 0.0);
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let read = |text: &str| {
            std::fs::write(folder.path().join("set.jsonl"), text).expect("writable");
            read(folder.path(), "set.jsonl")
        };
        let good = "{\"text\": \"a dull film\", \"label\": 1}\n";
        assert_eq!(read(good).expect("read").len(), 1);
        for (bad, words) in [
            (good.replace('1', "2"), "the label is 2"),
            (format!("{good}nonsense"), "line 2"),
            (String::new(), "no sentence"),
        ] {
            let error = read(&bad).expect_err("broken").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
