//! Pairs of texts around a gap, cut out of stories that the Llama writes, and log p(text after | text before, infill).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{HostLlama, Position};
use tiltrl_tilt::noise::Noise;

use super::reader::GAP;
use super::tokenizer::START;
use crate::error::Error;

/// Tokens after a gap.
const AFTER: usize = 6;
/// Shortest and longest text before a gap, the start token included.
const BEFORE: [usize; 2] = [6, 20];
/// Stories per wanted pair after which no more are drawn.
const STORIES_PER_PAIR: usize = 50;
/// The last token that is no text: unknown, start, end.
const LAST_MARK: u32 = 2;

/// A text with a gap of two tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Text before the gap, the start token first.
    pub prefix: Vec<u32>,
    /// Text after it.
    pub suffix: Vec<u32>,
}

/// Returns so many different pairs of stories drawn from the Llama.
///
/// # Errors
/// [`Error::Run`] when its stories are too short for a gap or too much alike.
pub fn draw(llama: &HostLlama, count: usize, noise: &mut Noise) -> Result<Vec<Pair>, Error> {
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    let mut stories = 0;
    while pairs.len() < count {
        stories += 1;
        if stories > STORIES_PER_PAIR * count {
            let found = pairs.len();
            return Err(Error::Run(format!(
                "amortised: {found} pairs of {count} were found in {stories} stories of this model: they end too early, or are alike\n  hint: ask for fewer with --set pairs={found}"
            )));
        }
        let draws = noise.uniform_rows(1, 1 + BEFORE[1] + GAP + AFTER);
        let before = BEFORE[0] + (draws[0] * (BEFORE[1] + 1 - BEFORE[0]) as f64) as usize;
        let length = before + GAP + AFTER;
        let text = story(llama, &draws[1..length]);
        if text.len() < length || text[1..].iter().any(|&t| t <= LAST_MARK) {
            continue;
        }
        let pair = Pair {
            prefix: text[..before].to_vec(),
            suffix: text[before + GAP..].to_vec(),
        };
        if seen.insert(pair.clone()) {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// A story of as many tokens as draws, one more with the start token.
fn story(llama: &HostLlama, draws: &[f64]) -> Vec<u32> {
    let mut text = vec![START];
    let mut kept: Vec<Position> = Vec::new();
    for &draw in draws {
        let past: Vec<&Position> = kept.iter().collect();
        let last = *text.last().expect("it starts with a token");
        let (log_probs, position) = llama.step(&[last], &past);
        let mut left = draw;
        let drawn = log_probs.row(0).iter().position(|l| {
            left -= f64::from(*l).exp();
            left < 0.0
        });
        text.push(drawn.unwrap_or(log_probs.ncols() - 1) as u32);
        kept.push(position);
    }
    text
}

/// An infill of a pair.
type Key = (usize, [u32; GAP]);

/// log p(suffix | prefix, infill), computed once per infill.
pub struct Suffixes<'a> {
    llama: &'a HostLlama,
    pairs: &'a [Pair],
    known: RefCell<HashMap<Key, f64>>,
}

impl<'a> Suffixes<'a> {
    /// Returns the reward of infills of these pairs.
    pub fn new(llama: &'a HostLlama, pairs: &'a [Pair]) -> Self {
        Self {
            llama,
            pairs,
            known: RefCell::default(),
        }
    }

    /// Returns log p(suffix | prefix, infill) of each infill under its pair.
    pub fn of(&self, z: &Strings, pairs: &[usize]) -> Vec<f64> {
        let key = |(row, &pair): (&[u32], &usize)| (pair, [row[0], row[1]]);
        let keys: Vec<Key> = z.tokens.chunks_exact(GAP).zip(pairs).map(key).collect();
        let mut new: BTreeMap<usize, BTreeSet<[u32; GAP]>> = BTreeMap::new();
        for (pair, infill) in &keys {
            if !self.known.borrow().contains_key(&(*pair, *infill)) {
                new.entry(*pair).or_default().insert(*infill);
            }
        }
        self.compute(new);
        let known = self.known.borrow();
        keys.iter().map(|key| known[key]).collect()
    }

    fn compute(&self, new: BTreeMap<usize, BTreeSet<[u32; GAP]>>) {
        let found: Vec<(usize, Vec<[u32; GAP]>, Vec<f64>)> = new
            .into_par_iter()
            .map(|(pair, infills)| {
                let infills: Vec<[u32; GAP]> = infills.into_iter().collect();
                let scores = scores(self.llama, &self.pairs[pair], &infills);
                (pair, infills, scores)
            })
            .collect();
        let mut known = self.known.borrow_mut();
        for (pair, infills, scores) in found {
            known.extend(infills.into_iter().map(|i| (pair, i)).zip(scores));
        }
    }
}

fn scores(llama: &HostLlama, pair: &Pair, infills: &[[u32; GAP]]) -> Vec<f64> {
    let (_, prefix) = llama.read(&pair.prefix);
    let mut kept: Vec<Position> = Vec::new();
    let mut out = vec![0.0; infills.len()];
    let column = |i: usize| infills.iter().map(|z| z[i]).collect::<Vec<u32>>();
    let suffix = pair.suffix.iter().map(|&t| vec![t; infills.len()]);
    let read: Vec<Vec<u32>> = (0..GAP).map(column).chain(suffix).collect();
    for (at, tokens) in read[..read.len() - 1].iter().enumerate() {
        let past: Vec<&Position> = prefix.iter().chain(&kept).collect();
        let (log_probs, position) = llama.step(tokens, &past);
        kept.push(position);
        if at + 1 >= GAP {
            let next = read[at + 1][0] as usize;
            let rows = out.iter_mut().zip(log_probs.rows());
            rows.for_each(|(sum, row)| *sum += f64::from(row[next]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tiltrl_policies::nets::llama::{LlamaShape, LlamaWeights};
    use tiltrl_tilt::sequential::Batched;

    use super::*;
    use crate::systems::stories::enumerate::Gap;

    /// The reward of an infill is that of the enumeration, asked for at once or one after another.
    #[test]
    fn rewards_are_those_of_the_enumeration() {
        let shape = LlamaShape {
            dim: 8,
            hidden: 12,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            vocabulary: 7,
            length: 40,
            epsilon: 1e-5,
            theta: 10_000.0,
        };
        let mut noise = Noise::keyed(5, "pairs", 0);
        let llama = HostLlama::new(&LlamaWeights::random(shape, &mut noise));
        let pairs = draw(&llama, 3, &mut noise).expect("long enough");
        assert!(
            pairs
                .iter()
                .all(|p| p.suffix.len() == AFTER && p.prefix[0] == START)
        );
        let all = Strings::all(7, GAP);
        for (at, pair) in pairs.iter().enumerate() {
            let gap = Gap {
                llama: &llama,
                prefix: &pair.prefix,
                suffix: &pair.suffix,
            };
            let exact = gap.enumerate();
            let suffixes = Suffixes::new(&llama, &pairs);
            let first = suffixes.of(&all.pick(&[8, 3, 8]), &[at; 3]);
            let found = suffixes.of(&all, &[at; 49]);
            assert_eq!(
                [first[0], first[1], first[2]],
                [found[8], found[3], found[8]]
            );
            for (i, (a, b)) in found.iter().zip(&exact.log_suffix).enumerate() {
                let given_up = exact.given_up > 0 && exact.log_prior[i] + b < -20.0;
                assert!(given_up || (a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}
