//! Expectation maximisation with an E-step that is exact, or amortised by the fine-tuner and held to the exact one.

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{Batched, SequentialModel};

use super::data::{Lexicon, Sentence};
use super::models::{Rationale, Rationales, Teller, conditions, enumerate, labels};
use crate::error::Error;
use crate::systems::exact::{Exact, draw};
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, Recipe, Target, Tuned, balance};

/// Rationales that an M-step sees, shared out among the labelled sentences.
const SEEN: usize = 32_000;
/// Rows that are sampled at once.
const ROWS: usize = 2048;

/// What all methods share: the prior, the sentences without labels, and those with.
pub struct Work<'a> {
    /// Settings and seed of the run.
    pub request: &'a Request,
    /// The words that a rationale may be.
    pub lexicon: &'a Lexicon,
    /// The prior of rationales, given a sentence and its label.
    pub prior: &'a Rationales,
    /// Sentences whose labels are not looked at.
    pub unlabelled: &'a [Sentence],
    /// Sentences with labels.
    pub labelled: &'a [Sentence],
    /// Share of each rationale among the sentences without labels, in the order of [`enumerate`].
    pub shares: &'a [f64],
}

/// Where an E-step's rationales come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The exact posterior under a teller.
    Exact(&'a Teller),
    /// A model that is given sentence and label.
    Model(&'a Rationales),
}

/// What expectation maximisation came to.
pub struct Found {
    /// The teller at the end.
    pub teller: Teller,
    /// The teller that the last E-step was of.
    pub before: Teller,
    /// The last E-step's model, where it is amortised.
    pub tuned: Option<Tuned<Rationales>>,
    /// Seconds of all E-steps' training.
    pub seconds: f64,
}

/// How near a model comes to the exact posteriors: means over pairs of a sentence and a label.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    /// The exact log Z.
    pub log_z: f64,
    /// KL from the model to the exact posterior, nats.
    pub kl: f64,
    /// Total variation to the exact posterior.
    pub distance: f64,
    /// ESS/N of weights p/q, 1 / Σ p²/q over all rationales.
    pub ess: f64,
    /// Mean log r.
    pub log_reward: f64,
    /// exp of the entropy.
    pub diversity: f64,
}

impl Work<'_> {
    fn choices(&self) -> usize {
        self.lexicon.latent.len() + 1
    }

    fn length(&self) -> usize {
        self.prior.num_steps()
    }

    /// Conditions of sentences with their own labels.
    fn pairs(&self, sentences: &[&Sentence]) -> Tensor<2> {
        let labels: Vec<bool> = sentences.iter().map(|s| s.subjective).collect();
        conditions(self.lexicon, sentences, Some(&labels), self.request)
    }

    /// The words of a rationale by its index in the order of [`enumerate`].
    fn spelled(&self, index: usize) -> Vec<usize> {
        match self.length() {
            1 => vec![index],
            _ => vec![index / self.choices(), index % self.choices()],
        }
    }

    /// Exact posteriors of sentences with their labels.
    fn posteriors(&self, sentences: &[&Sentence], teller: &Teller) -> Vec<Exact> {
        let condition = self.pairs(sentences);
        let priors = enumerate(self.prior, &condition, self.choices());
        let rewards = [false, true].map(|y| teller.all(self.length(), y));
        let exact = |(log_prior, sentence): (Vec<f64>, &&Sentence)| {
            let prior = log_prior.iter().map(|l| l.exp()).collect();
            Exact::new(prior, rewards[usize::from(sentence.subjective)].clone())
        };
        priors.into_iter().zip(sentences).map(exact).collect()
    }

    /// Rationales of every labelled sentence.
    fn expectation(&self, source: Source<'_>, noise: &mut Noise) -> Vec<Rationale> {
        let each = (SEEN / self.labelled.len()).clamp(2, 256);
        let weight = 1.0 / each as f64;
        let mut seen = Vec::new();
        let all: Vec<&Sentence> = self.labelled.iter().collect();
        for some in all.chunks((ROWS / each).max(1)) {
            let found: Vec<Vec<usize>> = match source {
                Source::Exact(teller) => {
                    let exact = self.posteriors(some, teller);
                    let drawn = exact.iter().flat_map(|e| draw(&e.posterior, each, noise));
                    drawn.map(|index| self.spelled(index)).collect()
                }
                Source::Model(model) => {
                    let condition = self.pairs(some).repeated(each);
                    let z = model.sample_of(&model.sample_path(&condition, noise).path);
                    words_of(&z)
                }
            };
            let labels = some
                .iter()
                .flat_map(|s| std::iter::repeat_n(s.subjective, each));
            let rationale = |(words, subjective)| Rationale {
                words,
                subjective,
                weight,
            };
            seen.extend(found.into_iter().zip(labels).map(rationale));
        }
        seen
    }

    fn maximisation(&self, seen: &[Rationale], start: &Teller) -> Teller {
        let fitted = start.fitted(seen, self.request.settings.number("penalty"));
        fitted.settled(self.length(), self.shares)
    }

    /// Returns the teller that learned from rationales of the prior: what every method starts from.
    pub fn told_by_prior(&self) -> Teller {
        let mut noise = Noise::keyed(self.request.seed, "from-prior", 0);
        let seen = self.expectation(Source::Model(self.prior), &mut noise);
        self.maximisation(&seen, &Teller::new(self.choices() - 1))
    }

    /// Runs expectation maximisation with exact E-steps.
    pub fn exact(&self) -> Found {
        let mut noise = Noise::keyed(self.request.seed, "exact-steps", 0);
        let mut teller = self.told_by_prior();
        let mut before = teller.clone();
        for _ in 0..self.request.settings.count("rounds") {
            before = teller.clone();
            let seen = self.expectation(Source::Exact(&teller), &mut noise);
            teller = self.maximisation(&seen, &teller);
        }
        Found {
            teller,
            before,
            tuned: None,
            seconds: 0.0,
        }
    }

    /// Runs expectation maximisation with E-steps by the fine-tuner.
    ///
    /// # Errors
    /// Those of training.
    pub fn amortised(&self) -> Result<Found, Error> {
        let mut noise = Noise::keyed(self.request.seed, "amortised-steps", 0);
        let mut found = Found {
            teller: self.told_by_prior(),
            before: Teller::new(self.choices() - 1),
            tuned: None,
            seconds: 0.0,
        };
        for round in 1..=self.request.settings.count("rounds") {
            found.before = found.teller.clone();
            let tuned = self.tilt(&found.before, round)?;
            let seen = self.expectation(Source::Model(&tuned.model), &mut noise);
            found.teller = self.maximisation(&seen, &found.before);
            found.seconds += tuned.seconds;
            found.tuned = Some(tuned);
        }
        Ok(found)
    }

    /// The E-step of a teller: one model for every sentence and label, with or without a label of its own.
    fn tilt(&self, teller: &Teller, round: usize) -> Result<Tuned<Rationales>, Error> {
        let settings = &self.request.settings;
        let count = settings.count("sentences");
        let draw = |noise: &mut Noise| {
            let own = noise.indices(count - count / 2, self.labelled.len());
            let others = noise.indices(count / 2, self.unlabelled.len());
            let any = noise.indices(count / 2, 2);
            let own = own.into_iter().map(|i| &self.labelled[i]);
            let mut labels: Vec<bool> = own.clone().map(|s| s.subjective).collect();
            labels.extend(any.iter().map(|y| *y == 1));
            let others = others.into_iter().map(|i| &self.unlabelled[i]);
            let sentences: Vec<&Sentence> = own.chain(others).collect();
            conditions(self.lexicon, &sentences, Some(&labels), self.request)
        };
        let log_reward = |z: &Strings, condition: &Tensor<2>| -> Vec<f64> {
            let pairs = words_of(z).into_iter().zip(labels(condition));
            pairs.map(|(z, y)| teller.log_prob(&z, y)).collect()
        };
        let target = Target {
            task: &format!("{} labels {round}", self.labelled.len()),
            prior: self.prior,
            conditions: &draw,
            log_reward: &log_reward,
            distance: &|_| f64::NAN,
        };
        let recipe = Recipe {
            max_gradient_norm: 1.0,
            checkpoints: 2,
            ..Recipe::new(settings.count("updates"), settings.number("rate"))
        };
        let behaviour = Behaviour::on_policy(settings.count("paths"));
        balance(&target, &recipe, &behaviour, self.request)
    }

    /// Returns how near a model comes to the exact posteriors of these sentences with their labels.
    pub fn near(&self, model: &Rationales, sentences: &[&Sentence], teller: &Teller) -> Near {
        let exact = self.posteriors(sentences, teller);
        let found = enumerate(model, &self.pairs(sentences), self.choices());
        let mut sum = Near::default();
        for (exact, log_found) in exact.iter().zip(found) {
            let found: Vec<f64> = log_found.iter().map(|l| l.exp()).collect();
            let row = exact.row("", "", &found);
            sum.log_z += exact.log_z;
            sum.kl += row.kl.unwrap_or(f64::NAN);
            sum.distance += row.distance.unwrap_or(f64::NAN);
            sum.log_reward += row.log_reward.unwrap_or(f64::NAN);
            sum.diversity += row.diversity.unwrap_or(f64::NAN);
            let pairs = exact.posterior.iter().zip(&found);
            let pairs = pairs.filter(|(p, _)| **p > 0.0);
            sum.ess += 1.0 / pairs.map(|(p, q)| p * p / q).sum::<f64>();
        }
        let mean = |sum: f64| sum / sentences.len() as f64;
        Near {
            log_z: mean(sum.log_z),
            kl: mean(sum.kl),
            distance: mean(sum.distance),
            ess: mean(sum.ess),
            log_reward: mean(sum.log_reward),
            diversity: mean(sum.diversity),
        }
    }

    /// Returns the share of test sentences whose label is right: p(y|x) = Σ p(z|x) p(y|z), exact over all rationales.
    pub fn accuracy(&self, teller: &Teller, test: &[Sentence]) -> f64 {
        let odds: Vec<f64> = teller
            .all(self.length(), true)
            .into_iter()
            .map(f64::exp)
            .collect();
        let mut right = 0;
        for some in test.chunks(128) {
            let sentences: Vec<&Sentence> = some.iter().collect();
            let condition = conditions(self.lexicon, &sentences, None, self.request);
            let priors = enumerate(self.prior, &condition, self.choices());
            for (prior, sentence) in priors.iter().zip(some) {
                let p: f64 = prior.iter().zip(&odds).map(|(l, y)| l.exp() * y).sum();
                right += usize::from((p > 0.5) == sentence.subjective);
            }
        }
        right as f64 / test.len() as f64
    }
}

/// Returns the mean probability of each rationale under the prior, over sentences at equal distances in a list.
pub fn shares(
    lexicon: &Lexicon,
    prior: &Rationales,
    sentences: &[Sentence],
    request: &Request,
) -> Vec<f64> {
    let stride = sentences.len().div_ceil(ROWS);
    let some: Vec<&Sentence> = sentences.iter().step_by(stride).collect();
    let mut sums = Vec::new();
    for some in some.chunks(128) {
        let condition = conditions(lexicon, some, None, request);
        for row in enumerate(prior, &condition, lexicon.latent.len() + 1) {
            sums.resize(row.len(), 0.0);
            let pairs = sums.iter_mut().zip(row);
            pairs.for_each(|(sum, log)| *sum += log.exp());
        }
    }
    sums.iter().map(|sum| sum / some.len() as f64).collect()
}

fn words_of(z: &Strings) -> Vec<Vec<usize>> {
    let rows = z.tokens.chunks_exact(z.length);
    rows.map(|row| row.iter().map(|&t| t as usize).collect())
        .collect()
}
