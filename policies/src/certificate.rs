//! The posterior certificate: does the fine-tuned model sample what it claims?
//!
//! For paths τ ~ q, ℓ = log r + log p − log q. Two independent estimates of log Z(s) (importance sampling under q, and
//! log-mean-exp of log r under the prior), ELBO = mean ℓ ≤ log Z, ESS/N both ways, path-KL, and the spread of ℓ,
//! per condition. At the exact posterior ℓ is constant: spread 0, ESS/N 1, ELBO = log Z.

use serde::{Deserialize, Serialize};

use crate::rtb::{effective_share, log_mean_exp};

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

/// Returns the certificate of one condition from paths of the posterior and paths of the prior.
pub fn certify(
    under_posterior: &PathScores<'_>,
    under_prior: &PathScores<'_>,
) -> ConditionCertificate {
    let weights =
        |s: &PathScores<'_>| crate::rtb::log_weights(s.log_posterior, s.log_prior, s.log_reward);
    let l = weights(under_posterior);
    let n = l.len() as f64;
    let elbo = l.iter().sum::<f64>() / n;
    let from_prior = weights(under_prior);
    let log_z_prior = log_mean_exp(under_prior.log_reward);
    let share = |r: f64| (r - log_z_prior).exp() / from_prior.len() as f64;
    let eubo = from_prior
        .iter()
        .zip(under_prior.log_reward)
        .map(|(l, &r)| share(r) * l)
        .sum();
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
    }
}
