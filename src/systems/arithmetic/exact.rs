//! Exact posteriors over rationales: a rationale is a chain of running values, so that sums over all of them are recursions.

use super::net::StepNet;
use super::questions::{Question, VALUES, token};

/// log p(y | last value) under the frozen prior, [VALUES][VALUES].
pub struct Answers(Vec<Vec<f64>>);

impl Answers {
    /// Returns the table of a prior's network.
    pub fn new(prior: &StepNet) -> Self {
        let all: Vec<usize> = (0..VALUES).collect();
        let table = tiltrl_tilt::host::host64(prior.answers(&all));
        let rows = table.chunks_exact(VALUES + 1);
        Self(rows.map(|row| row[..VALUES].to_vec()).collect())
    }

    /// Returns log p(y | last value) of tokens.
    pub fn log_prob(&self, last: usize, answer: usize) -> f64 {
        self.0[last][answer]
    }
}

/// The transitions of a question's chain: the probability of the next value from each running value.
pub struct Chain {
    /// By step, by running value before, by value after; rows that no path reaches are empty.
    transitions: Vec<Vec<Vec<f64>>>,
    start: usize,
}

/// A chain tilted by a reward.
pub struct Tilted {
    /// The posterior chain.
    pub chain: Chain,
    /// Its log normaliser, nats.
    pub log_z: f64,
}

impl Chain {
    /// Returns the chain of a network.
    pub fn new(net: &StepNet, question: &Question) -> Self {
        let start = token(question.operands[0]);
        let mut before = vec![start];
        let mut transitions = Vec::new();
        for step in 0..question.steps() {
            let mut rows = vec![Vec::new(); VALUES];
            let found = net.next_values(question, step, &before);
            before
                .iter()
                .zip(found)
                .for_each(|(&value, row)| rows[value] = row);
            transitions.push(rows);
            let [low, high] = Question::range(step);
            before = (token(low)..=token(high)).collect();
        }
        Self { transitions, start }
    }

    /// Returns the posterior chain under these log-rewards of the last value, with log Z.
    pub fn tilted(&self, log_reward: &[f64]) -> Tilted {
        let mut value: Vec<f64> = log_reward.iter().map(|r| r.exp()).collect();
        let mut transitions = Vec::new();
        for rows in self.transitions.iter().rev() {
            let mut before = vec![0.0; VALUES];
            let tilted = rows.iter().enumerate().map(|(u, row)| {
                let terms: Vec<f64> = row.iter().zip(&value).map(|(p, h)| p * h).collect();
                before[u] = terms.iter().sum();
                terms.iter().map(|t| t / before[u].max(1e-300)).collect()
            });
            transitions.push(tilted.collect::<Vec<Vec<f64>>>());
            value = before;
        }
        transitions.reverse();
        Tilted {
            chain: Self {
                transitions,
                start: self.start,
            },
            log_z: value[self.start].ln(),
        }
    }

    /// Returns the probability of each running value before each step, and of the last.
    fn marginals(&self) -> Vec<Vec<f64>> {
        let mut mass = vec![0.0; VALUES];
        mass[self.start] = 1.0;
        let mut all = vec![mass];
        for rows in &self.transitions {
            let mut next = vec![0.0; VALUES];
            let last = all.last().expect("the first is there");
            for (row, mass) in rows.iter().zip(last).filter(|(_, mass)| **mass > 0.0) {
                let pairs = next.iter_mut().zip(row);
                pairs.for_each(|(slot, p)| *slot += mass * p);
            }
            all.push(next);
        }
        all
    }

    /// Returns the probability of each last value.
    pub fn last(&self) -> Vec<f64> {
        self.marginals().pop().expect("the last")
    }

    /// Returns KL(self ‖ other) over whole rationales, nats.
    pub fn divergence(&self, other: &Self) -> f64 {
        self.summed(|step, before| {
            let pairs = self.transitions[step][before].iter();
            let pairs = pairs.zip(&other.transitions[step][before]);
            let term = |(q, p): (&f64, &f64)| q * (q / p.max(1e-300)).ln();
            pairs.filter(|(q, _)| **q > 0.0).map(term).sum()
        })
    }

    /// Returns the entropy of whole rationales, nats.
    pub fn entropy(&self) -> f64 {
        self.summed(|step, before| {
            let row = self.transitions[step][before].iter().filter(|q| **q > 0.0);
            -row.map(|q| q * q.ln()).sum::<f64>()
        })
    }

    /// Σ over steps and running values of their probability times a number.
    fn summed(&self, number: impl Fn(usize, usize) -> f64) -> f64 {
        let marginals = self.marginals();
        let steps = marginals.iter().enumerate().take(self.transitions.len());
        steps
            .map(|(step, mass)| {
                let some = mass.iter().enumerate().filter(|(_, m)| **m > 0.0);
                some.map(|(before, m)| m * number(step, before))
                    .sum::<f64>()
            })
            .sum()
    }

    /// Returns the total variation to another chain over whole rationales, by walking all of them.
    pub fn total_variation(&self, other: &Self) -> f64 {
        0.5 * self.gap(other, 0, self.start, [1.0, 1.0])
    }

    /// Returns the tokens of all rationales of three operands.
    pub fn pairs() -> Vec<[usize; 2]> {
        let tokens = |step: usize| {
            let [low, high] = Question::range(step);
            token(low)..=token(high)
        };
        let with = |first: usize| tokens(1).map(move |second| [first, second]);
        tokens(0).flat_map(with).collect()
    }

    /// Returns the probability of a rationale.
    pub fn probability(&self, values: &[usize]) -> f64 {
        let mut before = self.start;
        let mut mass = 1.0;
        for (rows, &value) in self.transitions.iter().zip(values) {
            mass *= rows[before][value];
            before = value;
        }
        mass
    }

    fn gap(&self, other: &Self, step: usize, before: usize, [q, p]: [f64; 2]) -> f64 {
        if step == self.transitions.len() || q + p < 1e-12 {
            return (q - p).abs();
        }
        let pairs = self.transitions[step][before].iter();
        let pairs = pairs.zip(&other.transitions[step][before]).enumerate();
        pairs
            .filter(|(_, (a, b))| **a + **b > 0.0)
            .map(|(after, (a, b))| self.gap(other, step + 1, after, [q * a, p * b]))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_policies::Compute;
    use tiltrl_tilt::host::host64;
    use tiltrl_tilt::noise::Noise;
    use tiltrl_tilt::sequential::SequentialModel;

    use super::super::net::Rationales;
    use super::*;
    use tiltrl_policies::models::Strings;

    /// The recursions against the list of all 1,288 rationales, scored by the model itself.
    #[test]
    fn recursions_agree_with_the_list_of_all_rationales() {
        let compute = Compute::cpu();
        let mut noise = Noise::keyed(3, "net", 0);
        let [prior, other] = [(); 2].map(|()| StepNet::new(16, &mut noise, &compute));
        let question = Question::parse("Question: 6 - 3 + 4 = ? Answer:").expect("one");
        let answer = token(question.answer());
        let answers = Answers::new(&prior);
        let rewards: Vec<f64> = (0..VALUES).map(|v| answers.log_prob(v, answer)).collect();
        let mut tokens = Vec::new();
        for [first, second] in Chain::pairs() {
            let end = VALUES as u32;
            tokens.extend([first as u32, second as u32, end, end]);
        }
        let all = Strings { tokens, length: 4 };
        let encoded = question.encoded().repeat(1288);
        let condition =
            tiltrl_tilt::host::matrix(encoded, super::super::questions::WIDTH, &compute.device);
        let listed = |net: &StepNet| -> Vec<f64> {
            let model = Rationales::new(net.clone(), super::super::questions::WIDTH);
            let path = model.path_to(&condition, &all, &mut Noise::keyed(0, "unused", 0));
            let scores = host64(model.step_log_probs(&path, 0..4).sum_dim(1));
            scores.iter().map(|s| s.exp()).collect()
        };
        let (p, q) = (listed(&prior), listed(&other));
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-4);
        let last = |i: usize| all.tokens[4 * i + 1] as usize;
        let z: f64 = p
            .iter()
            .enumerate()
            .map(|(i, p)| p * rewards[last(i)].exp())
            .sum();
        let exact: Vec<f64> = (0..1288)
            .map(|i| p[i] * rewards[last(i)].exp() / z)
            .collect();
        let tilted = Chain::new(&prior, &question).tilted(&rewards);
        let (posterior, log_z) = (tilted.chain, tilted.log_z);
        assert!((log_z - z.ln()).abs() < 1e-4, "{log_z} {}", z.ln());
        let found = Chain::new(&other, &question);
        let pairs = || q.iter().zip(&exact);
        let tv: f64 = 0.5 * pairs().map(|(q, p)| (q - p).abs()).sum::<f64>();
        let kl: f64 = pairs().map(|(q, p)| q * (q / p).ln()).sum();
        assert!((found.total_variation(&posterior) - tv).abs() < 1e-4);
        assert!((found.divergence(&posterior) - kl).abs() < 1e-3);
        let entropy: f64 = -q.iter().map(|q| q * q.ln()).sum::<f64>();
        assert!((found.entropy() - entropy).abs() < 1e-3);
    }
}
