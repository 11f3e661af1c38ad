//! The model of rationales given a sentence, exact sums over all of them, and how words say a label.

use burn::tensor::Tensor;
use tiltrl_policies::models::{Autoregressive, Strings};
use tiltrl_policies::nets::{CausalNet, CausalPerceptron, StringShape};
use tiltrl_tilt::host::{host, host64, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;
use tiltrl_tilt::weights;

use super::data::{Lexicon, Sentence};
use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Descent, Recipe, descend};

/// A model of rationales: up to so many words, given the words of a sentence and its label.
pub type Rationales = Autoregressive<CausalPerceptron>;

/// Columns of a condition after the bag of words: one for each label, none set where the label is not given.
pub const LABELS: usize = 2;
/// Sentences whose rationales are summed over at once.
const AT_ONCE: usize = 16;

/// Returns conditions [sentences, words seen + 2]; without labels where `labels` is none.
pub fn conditions(
    lexicon: &Lexicon,
    sentences: &[&Sentence],
    labels: Option<&[bool]>,
    request: &Request,
) -> Tensor<2> {
    let mut rows = Vec::new();
    for (at, sentence) in sentences.iter().enumerate() {
        rows.extend(lexicon.bag(sentence.words.iter()));
        let mut of_label = [0.0; LABELS];
        if let Some(labels) = labels {
            of_label[usize::from(labels[at])] = 1.0;
        }
        rows.extend(of_label);
    }
    matrix(rows, lexicon.width() + LABELS, &request.compute.device)
}

/// Returns the label of each row of conditions.
pub fn labels(condition: &Tensor<2>) -> Vec<bool> {
    let width = condition.dims()[1];
    let rows = host(condition.clone());
    rows.chunks_exact(width)
        .map(|row| row[width - 1] > 0.5)
        .collect()
}

/// A network that does not see the label until it learns to.
fn net(lexicon: &Lexicon, request: &Request) -> CausalPerceptron {
    let mut noise = Noise::keyed(request.seed, "prior-weights", 0);
    let settings = &request.settings;
    let (vocabulary, length) = (lexicon.latent.len() + 1, settings.count("words"));
    let hidden = settings.count("hidden");
    let shape = StringShape {
        vocabulary,
        length,
        condition_dim: lexicon.width() + LABELS,
        hidden: vec![hidden],
    };
    let net = CausalPerceptron::new(&shape, 1.0, &mut noise, &request.compute);
    let mut values = host(weights::tensors(&net).remove(0));
    // The first layer comes first, a row per input; the labels are the last inputs.
    let inputs = (vocabulary + 1) * length + shape.condition_dim;
    values[(inputs - LABELS) * hidden..inputs * hidden].fill(0.0);
    let values = tiltrl_tilt::host::vector(values, &request.compute.device);
    weights::with_tensors(net, vec![values])
}

/// Trains the prior without labels: words are taken out of a sentence, and it is to name them.
///
/// # Errors
/// Those of training.
pub fn prior(
    lexicon: &Lexicon,
    unlabelled: &[Sentence],
    request: &Request,
) -> Result<Rationales, Error> {
    let settings = &request.settings;
    let (batch, length) = (settings.count("prior_batch"), settings.count("words"));
    let end = lexicon.latent.len() as u32;
    let loss = |model: &Rationales, noise: &mut Noise| {
        let (mut tokens, mut rows) = (Vec::new(), Vec::new());
        for at in noise.indices(batch, unlabelled.len()) {
            let sentence = &unlabelled[at];
            let mut found = lexicon.latent_of(sentence);
            let mut taken = Vec::new();
            for _ in 0..length.min(found.len()) {
                taken.push(found.swap_remove(noise.indices(1, found.len())[0]));
            }
            tokens.extend(taken.iter().map(|[word, _]| *word as u32));
            tokens.extend(std::iter::repeat_n(end, length - taken.len()));
            let left = sentence.words.iter().enumerate();
            let left = left.filter(|(i, _)| taken.iter().all(|[_, at]| at != i));
            rows.extend(lexicon.bag(left.map(|(_, word)| word)));
            rows.extend([0.0; LABELS]);
        }
        let width = lexicon.width() + LABELS;
        let condition = matrix(rows, width, &request.compute.device);
        let path = model.path_to(&condition, &Strings { tokens, length }, noise);
        let scores = model.step_log_probs(&path, 0..length);
        let surrogate = scores.sum() * (-1.0 / batch as f32);
        Descent {
            loss: host64(surrogate.clone())[0],
            surrogate,
        }
    };
    let recipe = Recipe::new(settings.count("prior_updates"), 2e-3);
    let start = Rationales::new(net(lexicon, request), lexicon.width() + LABELS);
    let unmeasured = |_: &Rationales| f64::NAN;
    Ok(descend("prior", start, &recipe, &loss, &unmeasured, request)?.model)
}

/// Returns the exact log-probabilities of every rationale under a model, for each condition: first word major, the end last; with
/// two words there are (words + 1)² of them, those that go on after the end at −∞.
///
/// # Panics
/// When rationales have other than one or two words.
pub fn enumerate(model: &Rationales, condition: &Tensor<2>, choices: usize) -> Vec<Vec<f64>> {
    let length = model.num_steps();
    assert!((1..=2).contains(&length), "one or two words");
    let end = choices - 1;
    let rows = condition.dims()[0];
    let mut out = Vec::with_capacity(rows);
    for start in (0..rows).step_by(AT_ONCE) {
        let some = condition.clone().slice(start..(start + AT_ONCE).min(rows));
        let count = some.dims()[0];
        let first = log_probs(model, &some, (0, choices));
        if length == 1 {
            out.extend(first);
            continue;
        }
        let repeated = tiltrl_tilt::sequential::Batched::repeated(&some, choices);
        let second = log_probs(model, &repeated, (1, choices));
        for row in 0..count {
            let mut all = Vec::with_capacity(choices * choices);
            for (z, log) in first[row].iter().enumerate() {
                if z == end {
                    let after = (0..choices).map(|next| match next {
                        n if n == end => *log,
                        _ => f64::NEG_INFINITY,
                    });
                    all.extend(after);
                } else {
                    let after = second[row * choices + z].iter();
                    all.extend(after.map(|next| log + next));
                }
            }
            out.push(all);
        }
    }
    out
}

/// log p(token at a position | condition), a row per condition; at position 1 row i follows token i mod choices.
fn log_probs(
    model: &Rationales,
    condition: &Tensor<2>,
    (position, choices): (usize, usize),
) -> Vec<Vec<f64>> {
    let rows = condition.dims()[0];
    let length = model.num_steps();
    let tokens = (0..rows).flat_map(|row| {
        let before = if position == 1 { row % choices } else { 0 };
        let mut all = vec![0; length];
        all[0] = before as u32;
        all
    });
    let strings = Strings {
        tokens: tokens.collect(),
        length,
    };
    let net = model.weights();
    let found = net.contexts(&strings, position..position + 1, condition);
    let logits = host(found.logits);
    let one = |at: &usize| {
        let row = &logits[at * choices..(at + 1) * choices];
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|l| f64::from(l - top).exp()).sum();
        let log = f64::from(top) + sum.ln();
        row.iter().map(|l| f64::from(*l) - log).collect()
    };
    found.which.iter().map(one).collect()
}

/// log p(y | z): a logistic sum over the words of a rationale.
#[derive(Clone, Debug, PartialEq)]
pub struct Teller {
    /// A weight per word, and that of no word.
    pub weights: Vec<f64>,
}

/// Words that were given as the reason of a label.
#[derive(Clone, Debug)]
pub struct Rationale {
    /// The words, by their index.
    pub words: Vec<usize>,
    /// The label: whether the sentence is subjective.
    pub subjective: bool,
    /// How much it counts.
    pub weight: f64,
}

impl Teller {
    /// Returns the teller that knows nothing.
    pub fn new(words: usize) -> Self {
        Self {
            weights: vec![0.0; words + 1],
        }
    }

    /// Returns the log-odds of "subjective" for the words of a rationale; tokens past the words are ends.
    pub fn log_odds(&self, z: &[usize]) -> f64 {
        let last = self.weights.len() - 1;
        let words = z.iter().filter(|&&token| token < last);
        self.weights[last] + words.map(|&token| self.weights[token]).sum::<f64>()
    }

    /// Returns log p(y | z).
    pub fn log_prob(&self, z: &[usize], subjective: bool) -> f64 {
        let odds = self.log_odds(z);
        log_sigmoid(if subjective { odds } else { -odds })
    }

    /// Returns log p(y | z) of every rationale in the order of [`enumerate`].
    pub fn all(&self, length: usize, subjective: bool) -> Vec<f64> {
        let choices = self.weights.len();
        if length == 1 {
            return (0..choices)
                .map(|z| self.log_prob(&[z], subjective))
                .collect();
        }
        let pairs = (0..choices).flat_map(|a| (0..choices).map(move |b| [a, b]));
        pairs.map(|z| self.log_prob(&z, subjective)).collect()
    }

    /// Returns the teller whose constant weight makes both labels equally likely; `shares` are those of every rationale in the order
    /// of [`enumerate`], under sentences of any label.
    ///
    /// One word says little of a label, so that p(y|x) varies little between sentences: with the constant of a few labelled sentences,
    /// of which one label is more frequent by chance, that label would be told of every sentence.
    pub fn settled(mut self, length: usize, shares: &[f64]) -> Self {
        let last = self.weights.len() - 1;
        let [mut low, mut high] = [-30.0, 30.0];
        for _ in 0..60 {
            self.weights[last] = 0.5 * (low + high);
            let odds = self.all(length, true).into_iter().map(f64::exp);
            let subjective: f64 = odds.zip(shares).map(|(p, share)| p * share).sum();
            if subjective > 0.5 {
                high = self.weights[last];
            } else {
                low = self.weights[last];
            }
        }
        self
    }

    /// Returns the teller that fits weighted rationales best: Σ weight · log p(y | z) − ½ `penalty` · |weights of words|².
    pub fn fitted(&self, seen: &[Rationale], penalty: f64) -> Self {
        let mut found = self.clone();
        let last = found.weights.len() - 1;
        // Curvature of a word is at most a quarter of the weight of its rationales, times the words that share them.
        let mut curvature = vec![penalty; last + 1];
        curvature[last] = 1e-6;
        for Rationale { words, weight, .. } in seen {
            let words: Vec<usize> = words.iter().copied().filter(|&t| t < last).collect();
            let shared = 0.25 * weight * (words.len() + 1) as f64;
            words
                .iter()
                .chain([&last])
                .for_each(|&w| curvature[w] += shared);
        }
        for _ in 0..300 {
            let mut slope: Vec<f64> = found.weights.iter().map(|w| -penalty * w).collect();
            slope[last] = 0.0;
            for seen in seen {
                let p = 1.0 / (1.0 + (-found.log_odds(&seen.words)).exp());
                let error = seen.weight * (f64::from(u8::from(seen.subjective)) - p);
                let words = seen.words.iter().copied().filter(|&t| t < last);
                words.chain([last]).for_each(|w| slope[w] += error);
            }
            let steps = slope.iter().zip(&curvature);
            let weights = found.weights.iter_mut();
            weights.zip(steps).for_each(|(w, (s, c))| *w += s / c);
        }
        found
    }
}

fn log_sigmoid(x: f64) -> f64 {
    -(-x.abs()).exp().ln_1p() + x.min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fit against the optimum of two words seen alone, which is known: the slope of the penalised likelihood is zero.
    #[test]
    fn the_teller_is_where_the_slope_is_zero() {
        let seen = [
            (vec![0], true, 3.0),
            (vec![0], false, 1.0),
            (vec![1, 0], false, 2.0),
            (vec![2], true, 1.0),
        ]
        .map(|(words, subjective, weight)| Rationale {
            words,
            subjective,
            weight,
        });
        let found = Teller::new(2).fitted(&seen, 0.5);
        let p = |z: &[usize]| found.log_prob(z, true).exp();
        let first = 3.0 * (1.0 - p(&[0])) - p(&[0]) - 2.0 * p(&[1, 0]) - 0.5 * found.weights[0];
        let second = -2.0 * p(&[1, 0]) - 0.5 * found.weights[1];
        assert!(
            first.abs() < 1e-3 && second.abs() < 1e-3,
            "{first} {second}"
        );
        assert!(found.weights[1] < -0.3 && p(&[2]) > 0.5);
        let sum = found.log_prob(&[0], true).exp() + found.log_prob(&[0], false).exp();
        assert!((sum - 1.0).abs() < 1e-12);
        assert_eq!(found.all(2, true)[3 + 1], found.log_prob(&[1, 1], true));
    }

    #[test]
    fn a_settled_teller_finds_both_labels_equally_likely() {
        let teller = Teller {
            weights: vec![2.0, -0.5, -3.0],
        };
        let shares = [0.5, 0.2, 0.3];
        let found = teller.clone().settled(1, &shares);
        let mean = |teller: &Teller| -> f64 {
            let odds = teller.all(1, true).into_iter().zip(shares);
            odds.map(|(log, share)| share * log.exp()).sum()
        };
        assert!((mean(&found) - 0.5).abs() < 1e-9 && mean(&teller) < 0.3);
        assert_eq!(found.weights[..2], teller.weights[..2]);
    }
}
