//! The posterior certificate: does the fine-tuned model sample what it claims?
//!
//! For paths τ ~ q, ℓ = log r + log p − log q. Two independent estimates of log Z(s) (importance sampling under q, and
//! log-mean-exp of log r under the prior), ELBO = mean ℓ ≤ log Z, ESS/N both ways, path-KL, and the spread of ℓ,
//! per condition. At the exact posterior ℓ is constant: spread 0, ESS/N 1, ELBO = log Z.

use serde::{Deserialize, Serialize};

use crate::noise::Noise;
use crate::reward::Reward;
use crate::rtb::{effective_share, log_mean_exp};
use crate::score::{Known, Paths, score};
use crate::sequential::{Batched, SequentialModel};

/// What a certificate must meet, in medians over conditions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The median ESS/N of paths of the posterior must exceed this.
    pub ess: f64,
    /// The median |log Z_q − log Z_p| must stay below this, nats.
    pub log_z_gap: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            ess: 0.5,
            log_z_gap: 0.3,
        }
    }
}

/// Whether a certificate meets its thresholds, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was asked for.
    pub thresholds: Thresholds,
    /// Median ESS/N of paths of the posterior.
    pub ess: f64,
    /// Median |log Z_q − log Z_p|, nats.
    pub log_z_gap: f64,
    /// Whether ESS/N and the gap keep their thresholds.
    pub passed: bool,
}

impl Verdict {
    /// Judges conditions; one without conditions fails.
    pub fn of(conditions: &[ConditionCertificate], thresholds: Thresholds) -> Self {
        let median = |number: fn(&ConditionCertificate) -> f64| {
            let mut values: Vec<f64> = conditions.iter().map(number).collect();
            values.sort_by(f64::total_cmp);
            let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
            let half = values.len() / 2;
            if values.len() % 2 == 1 {
                at(half)
            } else {
                0.5 * (at(half.saturating_sub(1)) + at(half))
            }
        };
        let (ess, gap) = (
            median(|c| c.ess_posterior),
            median(ConditionCertificate::log_z_gap),
        );
        Self {
            thresholds,
            ess,
            log_z_gap: gap,
            passed: ess > thresholds.ess && gap < thresholds.log_z_gap,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: median ESS/N {:.3} (asked: > {}), median |log Z_q − log Z_p| {:.3} (asked: < {})",
            if self.passed { "PASS" } else { "FAIL" },
            self.ess,
            self.thresholds.ess,
            self.log_z_gap,
            self.thresholds.log_z_gap
        )
    }
}

/// Counts of residuals δ = log Z_q − ℓ of paths of the posterior, all conditions together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualCounts {
    /// Paths per bin; bins of [`ResidualCounts::WIDTH`] nats from −[`ResidualCounts::LIMIT`] to it, and the outer
    /// ones hold what lies beyond.
    pub counts: Vec<u64>,
}

impl Default for ResidualCounts {
    fn default() -> Self {
        let bins = (2.0 * Self::LIMIT / Self::WIDTH).round() as usize;
        Self {
            counts: vec![0; bins],
        }
    }
}

impl ResidualCounts {
    /// Width of a bin, nats.
    pub const WIDTH: f64 = 0.25;
    /// Largest |δ| with a bin of its own, nats.
    pub const LIMIT: f64 = 5.0;

    /// Counts the residuals of one condition's paths.
    pub(crate) fn add(&mut self, paths: &PathScores<'_>) {
        let l = paths.log_weights();
        let log_z = log_mean_exp(&l);
        let last = self.counts.len() - 1;
        for l in l {
            let bin = ((log_z - l + Self::LIMIT) / Self::WIDTH).floor().max(0.0);
            self.counts[(bin as usize).min(last)] += 1;
        }
    }

    /// Adds the counts of others.
    pub fn merge(&mut self, other: &Self) {
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(own, more)| *own += more);
    }
}

/// Numbers of one condition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ConditionCertificate {
    /// Mean ℓ under q.
    pub elbo: f64,
    /// Upper bound: mean ℓ over prior paths weighted by their rewards (self-normalised).
    pub eubo: f64,
    /// log-mean-exp ℓ under q.
    pub log_z_posterior: f64,
    /// log-mean-exp log r under the prior.
    pub log_z_prior: f64,
    /// ESS/N of the importance weights under q.
    pub ess_posterior: f64,
    /// ESS/N of the rewards under the prior.
    pub ess_prior: f64,
    /// Mean log q − log p under q, nats.
    pub path_kl: f64,
    /// Standard deviation of ℓ under q.
    pub residual_std: f64,
    /// Mean log r under q minus β d log Z/dβ under the prior (its self-normalised mean log r): 0 at the posterior.
    #[serde(default)]
    pub reward_gap: Option<f64>,
}

impl ConditionCertificate {
    /// Returns |log Z_q − log Z_p|, nats.
    pub fn log_z_gap(&self) -> f64 {
        (self.log_z_posterior - self.log_z_prior).abs()
    }
}

/// Log-numbers of paths of one condition: (log q, log p, log r) each.
pub struct PathScores<'a> {
    /// log q of each path.
    pub log_posterior: &'a [f64],
    /// log p of each path.
    pub log_prior: &'a [f64],
    /// log r of each path's sample.
    pub log_reward: &'a [f64],
}

impl<'a> PathScores<'a> {
    fn part([posterior, prior, reward]: &'a [Vec<f64>; 3], rows: std::ops::Range<usize>) -> Self {
        Self {
            log_posterior: &posterior[rows.clone()],
            log_prior: &prior[rows.clone()],
            log_reward: &reward[rows],
        }
    }

    /// Returns ℓ of each path.
    pub fn log_weights(&self) -> Vec<f64> {
        crate::rtb::log_weights(self.log_posterior, self.log_prior, self.log_reward)
    }
}

/// Returns the certificate of one condition from paths of the posterior and paths of the prior.
pub fn certify(
    under_posterior: &PathScores<'_>,
    under_prior: &PathScores<'_>,
) -> ConditionCertificate {
    let l = under_posterior.log_weights();
    let n = l.len() as f64;
    let elbo = l.iter().sum::<f64>() / n;
    let from_prior = under_prior.log_weights();
    let log_z_prior = log_mean_exp(under_prior.log_reward);
    let share = |r: f64| (r - log_z_prior).exp() / from_prior.len() as f64;
    let eubo = from_prior
        .iter()
        .zip(under_prior.log_reward)
        .map(|(l, &r)| share(r) * l)
        .sum();
    let rewards = under_prior.log_reward.iter();
    let slope: f64 = rewards.map(|&r| share(r) * r).sum();
    let reward = under_posterior.log_reward.iter().sum::<f64>() / n;
    let kl = under_posterior
        .log_posterior
        .iter()
        .zip(under_posterior.log_prior);
    ConditionCertificate {
        elbo,
        eubo,
        log_z_posterior: log_mean_exp(&l),
        log_z_prior,
        ess_posterior: effective_share(&l),
        ess_prior: effective_share(under_prior.log_reward),
        path_kl: kl.map(|(q, p)| q - p).sum::<f64>() / n,
        residual_std: (l.iter().map(|x| (x - elbo).powi(2)).sum::<f64>() / n).sqrt(),
        reward_gap: Some(reward - slope),
    }
}

/// Certificates of several conditions, and the residuals of all their paths.
#[derive(Clone, Debug, Default)]
pub struct Certified {
    /// One per condition, in order.
    pub conditions: Vec<ConditionCertificate>,
    /// δ of the posterior's paths.
    pub residuals: ResidualCounts,
}

impl Certified {
    /// Adds the certificates of other conditions.
    pub fn append(&mut self, mut other: Self) {
        self.conditions.append(&mut other.conditions);
        self.residuals.merge(&other.residuals);
    }
}

/// What is certified by how much.
pub struct Sampling<'a, C> {
    /// Conditions, each of which gets a certificate.
    pub conditions: &'a C,
    /// Paths of either model per condition.
    pub paths: usize,
}

/// Certifies each condition by paths of the posterior and as many of the prior.
pub fn certify_conditions<M: SequentialModel>(
    posterior: &M,
    prior: &M,
    reward: Reward<'_, M>,
    sampling: Sampling<'_, M::Condition>,
    noise: &mut Noise,
) -> Certified {
    let Sampling { conditions, paths } = sampling;
    let repeated = conditions.repeated(paths);
    let mut scores = |sampler: &M| {
        let path = sampler.sample_path(&repeated, noise).path;
        let rows = Paths {
            condition: &repeated,
            path: &path,
        };
        let scores = score(posterior, prior, reward, rows, Known::default());
        [
            scores.log_posterior(),
            scores.log_prior(),
            scores.log_reward,
        ]
    };
    let (from_posterior, from_prior) = (scores(posterior), scores(prior));
    let mut found = Certified::default();
    for group in 0..conditions.count() {
        let rows = group * paths..(group + 1) * paths;
        let of_posterior = PathScores::part(&from_posterior, rows.clone());
        let of_prior = PathScores::part(&from_prior, rows);
        found.conditions.push(certify(&of_posterior, &of_prior));
        found.residuals.add(&of_posterior);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(ess: f64, gap: f64) -> ConditionCertificate {
        ConditionCertificate {
            elbo: 0.0,
            eubo: 0.0,
            log_z_posterior: gap,
            log_z_prior: 0.0,
            ess_posterior: ess,
            ess_prior: 1.0,
            path_kl: 0.0,
            residual_std: 0.0,
            reward_gap: None,
        }
    }

    /// The medians decide, gaps count in absolute value, and nothing certifies nothing.
    #[test]
    fn the_verdict_is_that_of_the_medians() {
        let judge = |list: &[ConditionCertificate]| Verdict::of(list, Thresholds::default());
        let good = [
            condition(0.9, 0.1),
            condition(0.6, -0.1),
            condition(0.1, 9.0),
        ];
        assert!(judge(&good).passed, "{}", judge(&good));
        let opposite = [condition(0.9, 1.0), condition(0.9, -1.0)];
        assert!(!judge(&opposite).passed, "gaps do not cancel");
        assert!(!judge(&[condition(0.4, 0.0)]).passed);
        assert!(!judge(&[]).passed);
    }

    /// At the exact posterior ℓ is constant: no spread, no gap, and both means of log r agree.
    #[test]
    fn an_exact_posterior_has_no_residual() {
        // Two samples of equal prior mass, rewards 1 and 3: the posterior draws the second three times as often.
        let (log_p, log_r) = (-(2f64.ln()), [0.0, 3f64.ln()]);
        let (first, second) = ((0.25f64).ln(), (0.75f64).ln());
        let under_posterior = PathScores {
            log_posterior: &[first, second, second, second],
            log_prior: &[log_p; 4],
            log_reward: &[log_r[0], log_r[1], log_r[1], log_r[1]],
        };
        let under_prior = PathScores {
            log_posterior: &[first, second],
            log_prior: &[log_p; 2],
            log_reward: &log_r,
        };
        let found = certify(&under_posterior, &under_prior);
        assert!(found.residual_std < 1e-12 && found.log_z_gap() < 1e-12);
        assert!(found.reward_gap.expect("measured").abs() < 1e-12);
        let mut residuals = ResidualCounts::default();
        residuals.add(&under_posterior);
        let middle = residuals.counts.len() / 2;
        assert_eq!(residuals.counts[middle - 1] + residuals.counts[middle], 4);
    }
}
