//! Posteriors over sets that can be enumerated, and models beside them.

use tiltrl_policies::models::{enumerated_posterior, total_variation};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::{effective_share, log_mean_exp};
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Batched, Scored, SequentialModel};

use super::outcome::Row;
use super::train::LogReward;

/// A prior, a reward and the posterior of every element.
pub struct Exact {
    /// Probability of each element under the prior.
    pub prior: Vec<f64>,
    /// log r of each element.
    pub log_reward: Vec<f64>,
    /// p r / Z of each element.
    pub posterior: Vec<f64>,
    /// log Σ p r, the log normaliser.
    pub log_z: f64,
}

impl Exact {
    /// Returns the posterior of a prior and a reward.
    pub fn new(prior: Vec<f64>, log_reward: Vec<f64>) -> Self {
        let found = enumerated_posterior(&prior, &log_reward);
        Self {
            posterior: found.probabilities,
            log_z: found.log_z,
            prior,
            log_reward,
        }
    }

    /// Returns the total variation of a distribution to the posterior.
    pub fn total_variation(&self, found: &[f64]) -> f64 {
        total_variation(found, &self.posterior)
    }

    /// Returns a row with what is known exactly of a distribution: mean log r, TV, KL, diversity exp(entropy), log Z.
    pub fn row(&self, task: &str, method: &str, found: &[f64]) -> Row {
        let mean = found.iter().zip(&self.log_reward);
        let mean = mean.filter(|(q, _)| **q > 0.0).map(|(q, r)| q * r).sum();
        Row {
            reference: Some(self.log_z),
            log_reward: Some(mean),
            distance: Some(self.total_variation(found)),
            kl: Some(divergence(found, &self.posterior)).filter(|kl| kl.is_finite()),
            diversity: Some(entropy(found).exp()),
            ..Row::new(task, method)
        }
    }

    /// Returns the row of self-normalised importance resampling of `count` samples of the prior.
    pub fn importance_resampling(&self, task: &str, count: usize, noise: &mut Noise) -> Row {
        let drawn = draw(&self.prior, count, noise);
        let logs: Vec<f64> = drawn.iter().map(|&i| self.log_reward[i]).collect();
        let log_z = log_mean_exp(&logs);
        let mut found = vec![0.0; self.prior.len()];
        for (&i, log) in drawn.iter().zip(&logs) {
            found[i] += (log - log_z).exp() / count as f64;
        }
        Row {
            importance: Some(log_z),
            ess: Some(effective_share(&logs)),
            ..self.row(task, "importance resampling", &found)
        }
    }

    /// Returns the total variation to the posterior of `count` samples of it: what a perfect sampler shows.
    pub fn sampling_floor(&self, count: usize, noise: &mut Noise) -> f64 {
        let mut found = vec![0.0; self.posterior.len()];
        for i in draw(&self.posterior, count, noise) {
            found[i] += 1.0 / count as f64;
        }
        self.total_variation(&found)
    }
}

/// Draws indices with the given probabilities.
pub fn draw(probabilities: &[f64], count: usize, noise: &mut Noise) -> Vec<usize> {
    let mut sum = 0.0;
    let ends: Vec<f64> = probabilities
        .iter()
        .map(|p| {
            sum += p;
            sum
        })
        .collect();
    let last = ends.len() - 1;
    let draws = noise.uniform_rows(count, 1).into_iter();
    draws
        .map(|u| ends.partition_point(|&end| end <= u * sum).min(last))
        .collect()
}

/// Returns the entropy, nats.
pub fn entropy(probabilities: &[f64]) -> f64 {
    let positive = probabilities.iter().filter(|p| **p > 0.0);
    -positive.map(|p| p * p.ln()).sum::<f64>()
}

/// Returns KL(found ‖ exact), nats.
pub fn divergence(found: &[f64], exact: &[f64]) -> f64 {
    let pairs = found.iter().zip(exact).filter(|(q, _)| **q > 0.0);
    pairs.map(|(q, p)| q * (q / p).ln()).sum()
}

/// Numbers of paths of a model.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// Mean of log r + log p − log q.
    pub elbo: f64,
    /// log-mean-exp of the same: the importance estimate of log Z.
    pub importance: f64,
    /// Effective sample size over the number of paths, in (0, 1].
    pub ess: f64,
    /// Mean log r.
    pub log_reward: f64,
}

impl Sampled {
    /// Returns the numbers of one path per row of the condition.
    pub fn of<M: SequentialModel>(
        model: &M,
        prior: &M,
        log_reward: &LogReward<'_, M>,
        conditions: &M::Condition,
        noise: &mut Noise,
    ) -> Self {
        let Scored { path, scores } = model.sample_path(conditions, noise);
        let known = Known {
            posterior: Some(scores),
            prior: None,
        };
        let reward = Reward {
            value: log_reward,
            alpha: 1.0,
        };
        let paths = Paths {
            condition: conditions,
            path: &path,
        };
        let scores = score(model, prior, reward, paths, known);
        let l = scores.log_weights();
        let count = conditions.count() as f64;
        Self {
            elbo: l.iter().sum::<f64>() / count,
            importance: log_mean_exp(&l),
            ess: effective_share(&l),
            log_reward: scores.log_reward.iter().sum::<f64>() / count,
        }
    }

    /// Fills a row; a mean log r that is known exactly stays.
    pub fn fill(&self, row: Row) -> Row {
        Row {
            elbo: Some(self.elbo),
            importance: Some(self.importance),
            ess: Some(self.ess),
            log_reward: row.log_reward.or(Some(self.log_reward)),
            ..row
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_and_its_floor_shrink_with_the_number_of_samples() {
        let prior = vec![0.5, 0.3, 0.2];
        let log_reward = vec![0.0, 1.0, -2.0];
        let exact = Exact::new(prior.clone(), log_reward);
        let z = 0.5 + 0.3 * 1f64.exp() + 0.2 * (-2f64).exp();
        assert!((exact.log_z - z.ln()).abs() < 1e-12);
        let same = exact.row("t", "exact", &exact.posterior);
        assert!(same.distance.expect("known") < 1e-12 && same.kl.expect("known").abs() < 1e-12);
        let mut noise = Noise::keyed(1, "test", 0);
        let few = exact.importance_resampling("t", 100, &mut noise);
        let many = exact.importance_resampling("t", 100_000, &mut noise);
        assert!(many.distance.expect("known") < 0.01);
        assert!(many.distance < few.distance);
        assert!((many.importance.expect("known") - z.ln()).abs() < 0.01);
        assert!(exact.sampling_floor(100_000, &mut noise) < 0.01);
        let prior_row = exact.row("t", "prior", &prior);
        assert!(prior_row.distance.expect("known") > 0.1);
        let all = entropy(&[0.25; 4]).exp();
        assert!((all - 4.0).abs() < 1e-12);
    }
}
