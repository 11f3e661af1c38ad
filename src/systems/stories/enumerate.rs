//! log p(suffix | text, infill) of every infill of two tokens: the reward of the fine-tuner, and what the exact posterior is made of.

use rayon::prelude::*;
use tiltrl_policies::nets::llama::{HostLlama, Position};

use crate::error::Error;
use crate::run::{read_state, write_state};
use crate::systems::request::Request;
use crate::systems::train::slug;

/// Share of Z that all infills which are given up together may hold.
const GIVEN_UP: f64 = 1e-3;

/// A text with a gap of two tokens.
pub struct Gap<'a> {
    /// The model that gives the probabilities.
    pub llama: &'a HostLlama,
    /// Text before the gap, the start token first.
    pub prefix: &'a [u32],
    /// Text after it.
    pub suffix: &'a [u32],
}

/// Probabilities of all infills, first token major.
pub struct Infills {
    /// log p(z | prefix).
    pub log_prior: Vec<f64>,
    /// log p(suffix | prefix, z); an upper bound where an infill was given up.
    pub log_suffix: Vec<f64>,
    /// How many were given up before their suffix was read to the end.
    pub given_up: usize,
}

/// Reads the table of a task from the folder of the seed, or makes it: log p(z | prefix) and log p(suffix | prefix, z) of all infills.
///
/// # Errors
/// When the table cannot be read or written.
pub fn table(name: &str, gap: &Gap<'_>, request: &Request) -> Result<[Vec<f64>; 2], Error> {
    let path = request.dir.state(&format!("infills-{}", slug(name)));
    if path.exists() {
        return read_state(&path);
    }
    if request.console != crate::console::Console::Quiet {
        crate::console::note(&format!("{name}: reading the suffix after all infills"));
    }
    let Infills {
        log_prior,
        log_suffix,
        given_up,
    } = gap.enumerate();
    if request.console != crate::console::Console::Quiet {
        let all = log_prior.len();
        crate::console::note(&format!(
            "{name}: {all} infills, {given_up} of them given up early; together they hold less than a thousandth of Z"
        ));
    }
    let table = [log_prior, log_suffix];
    write_state(&path, &table)?;
    Ok(table)
}

impl Gap<'_> {
    /// Returns the probabilities of all infills.
    ///
    /// Infills whose prior times the suffix so far is less than a thousandth of Z, shared out among all, are given up: their
    /// true reward is smaller still. Z is bounded from below by the likeliest first tokens, which are read to the end.
    pub fn enumerate(&self) -> Infills {
        let count = self.llama.shape().vocabulary;
        let (start, prefix) = self.llama.read(self.prefix);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| start[b].total_cmp(&start[a]));
        let of = |first: usize, floor: f64| self.of_first(first, start[first], &prefix, floor);
        let lead = count.min(8);
        let mut rows: Vec<(usize, Branch)> = order[..lead]
            .par_iter()
            .map(|&first| (first, of(first, f64::NEG_INFINITY)))
            .collect();
        let z: f64 = rows.iter().map(|(_, row)| row.mass()).sum();
        let floor = (z * GIVEN_UP / (count * count) as f64).ln();
        let rest = order[lead..]
            .par_iter()
            .map(|&first| (first, of(first, floor)));
        rows.extend(rest.collect::<Vec<_>>());
        rows.sort_by_key(|(first, _)| *first);
        let mut out = Infills {
            log_prior: Vec::new(),
            log_suffix: Vec::new(),
            given_up: 0,
        };
        for (_, row) in rows {
            out.log_prior.extend(row.log_prior);
            out.log_suffix.extend(row.log_suffix);
            out.given_up += row.given_up;
        }
        out
    }

    /// All infills that start with a token.
    fn of_first(&self, first: usize, log_first: f32, prefix: &[Position], floor: f64) -> Branch {
        let count = self.llama.shape().vocabulary;
        let past: Vec<&Position> = prefix.iter().collect();
        let (second, own) = self.llama.step(&[first as u32], &past);
        let log_prior: Vec<f64> = second
            .row(0)
            .iter()
            .map(|l| f64::from(log_first) + f64::from(*l))
            .collect();
        let mut log_suffix = vec![0.0; count];
        let mut alive: Vec<usize> = (0..count).filter(|&i| log_prior[i] >= floor).collect();
        let mut kept: Vec<Position> = vec![own];
        let mut read: Vec<u32> = alive.iter().map(|&i| i as u32).collect();
        for &token in self.suffix {
            if alive.is_empty() {
                break;
            }
            let past: Vec<&Position> = prefix.iter().chain(&kept).collect();
            let (logits, position) = self.llama.step(&read, &past);
            kept.push(position);
            for (row, &i) in alive.iter().enumerate() {
                log_suffix[i] += f64::from(logits[[row, token as usize]]);
            }
            let stay = |&row: &usize| log_prior[alive[row]] + log_suffix[alive[row]] >= floor;
            let rows: Vec<usize> = (0..alive.len()).filter(stay).collect();
            if rows.len() < alive.len() {
                kept = kept.iter().map(|position| position.pick(&rows)).collect();
                alive = rows.iter().map(|&row| alive[row]).collect();
            }
            read = vec![token; alive.len()];
        }
        Branch {
            given_up: count - alive.len(),
            log_prior,
            log_suffix,
        }
    }
}

/// Infills of one first token.
struct Branch {
    log_prior: Vec<f64>,
    log_suffix: Vec<f64>,
    given_up: usize,
}

impl Branch {
    fn mass(&self) -> f64 {
        let pairs = self.log_prior.iter().zip(&self.log_suffix);
        pairs.map(|(p, r)| (p + r).exp()).sum()
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_policies::nets::llama::{LlamaShape, LlamaWeights};
    use tiltrl_tilt::noise::Noise;

    use super::*;

    /// Every infill read alone, text by text: also the test that the reward sees the suffix and the infill before it.
    #[test]
    fn the_table_is_that_of_texts_read_alone() {
        let shape = LlamaShape {
            dim: 8,
            hidden: 12,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            vocabulary: 12,
            length: 9,
            epsilon: 1e-5,
            theta: 10_000.0,
        };
        let llama = HostLlama::new(&LlamaWeights::random(
            shape,
            &mut Noise::keyed(5, "llama", 0),
        ));
        let gap = Gap {
            llama: &llama,
            prefix: &[1, 3],
            suffix: &[4, 2, 9],
        };
        let found = gap.enumerate();
        let log_prob =
            |text: &[u32], at: usize| f64::from(llama.read(&text[..at]).0[text[at] as usize]);
        let (mut z, mut exact) = (0.0, 0.0);
        for first in 0..12u32 {
            for second in 0..12u32 {
                let text = [1, 3, first, second, 4, 2, 9];
                let i = (first * 12 + second) as usize;
                let prior = log_prob(&text, 2) + log_prob(&text, 3);
                let suffix: f64 = (4..7).map(|at| log_prob(&text, at)).sum();
                assert!((found.log_prior[i] - prior).abs() < 1e-4);
                assert!(found.log_suffix[i] > suffix - 1e-4, "a bound from above");
                z += (prior + suffix).exp();
                exact += (found.log_prior[i] + found.log_suffix[i]).exp();
            }
        }
        assert!((exact / z - 1.0).abs() < 2.0 * GIVEN_UP, "{exact} {z}");
    }
}
