//! What one posterior is over the range of its dial: a certificate per temperature, and the identity `d log Z/dβ = E_π[Q]`.

use serde::Serialize;
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::{log_mean_exp, log_weights};
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Batched, Scored, SequentialModel};

use burn::tensor::Tensor;

use crate::agent::{Agent, PolicyName};
use crate::error::Error;
use crate::train::certificate::{Certificate, SIZE, certificate};
use crate::train::training_data::TrainingData;

/// Half the distance of the two temperatures of a central difference, as a share of β.
const STEP: f64 = 0.1;

/// Returns what a central difference leaves free at either end of the range, in log α.
pub fn margin() -> f64 {
    -(1.0 - STEP).ln()
}

/// Returns the certificate of an agent's posterior at its temperature, as the run makes it.
///
/// # Errors
/// When there is no posterior, or no critic.
pub fn certificate_of(agent: &Agent, data: &TrainingData, seed: u64) -> Result<Certificate, Error> {
    let missing = || agent.missing(&PolicyName::Posterior, "posterior");
    let posterior = agent.posterior.as_ref().ok_or_else(missing)?;
    let critic = agent.critic.as_ref().ok_or_else(missing)?;
    let prior = agent.as_prior().ok_or_else(missing)?;
    Ok(certificate(data, &prior, &**critic, posterior, seed, SIZE))
}

/// The identity `d log Z/dβ = E_π[Q]` at one temperature, in the critic's units, averaged over states.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Identity {
    /// α as a factor of the middle's.
    pub factor: f64,
    /// β = 1/α.
    pub beta: f64,
    /// Central difference of the mean log Z.
    pub slope: f64,
    /// Mean Q of posterior samples, weighted by their importance.
    pub mean_q: f64,
    /// The same unweighted: what the network itself draws.
    pub drawn_q: f64,
    /// Mean Q of prior samples.
    pub prior_q: f64,
}

impl Identity {
    /// Returns the distance of slope and tilted mean as a share of tilted mean − prior mean, of Q: what no offset of Q changes.
    pub fn relative_error(&self) -> f64 {
        ((self.slope - self.mean_q) / (self.mean_q - self.prior_q)).abs()
    }
}

/// Checks the identity at one α in the critic's units, [`margin`] inside the range of the agent's dial, over the states of the
/// certificate. Both temperatures of the difference draw from the same noise. The agent acts at `alpha` afterwards.
///
/// # Errors
/// When the agent has no posterior with a dial, or no critic.
pub fn identity(
    agent: &mut Agent,
    data: &TrainingData,
    seed: u64,
    alpha: f64,
) -> Result<Identity, Error> {
    let dialled = agent.dialled()?.clone();
    let mut at = |alpha: f64| {
        agent.turn(&dialled, alpha)?;
        Means::of(agent, data, seed)
    };
    let beta = 1.0 / alpha;
    let [below, above] = [1.0 - STEP, 1.0 + STEP].map(|factor| beta * factor);
    let (low, high) = (at(1.0 / below)?, at(1.0 / above)?);
    let middle = at(alpha)?;
    Ok(Identity {
        factor: alpha / dialled.dial.middle,
        beta,
        slope: (high.log_z - low.log_z) / (above - below),
        mean_q: middle.weighted_q,
        drawn_q: middle.drawn_q,
        prior_q: middle.prior_q,
    })
}

/// Numbers of a posterior, averaged over states.
#[derive(Default)]
struct Means {
    log_z: f64,
    weighted_q: f64,
    drawn_q: f64,
    prior_q: f64,
}

impl Means {
    fn of(agent: &Agent, data: &TrainingData, seed: u64) -> Result<Self, Error> {
        let missing = || agent.missing(&PolicyName::Posterior, "posterior");
        let posterior = agent.posterior.as_ref().ok_or_else(missing)?;
        let tilt = agent.tilt.as_ref().ok_or_else(missing)?;
        let value = |sample: &Tensor<2>, condition: &Tensor<2>| -> Vec<f64> {
            let found = tilt.log_reward_of(sample, condition).into_iter();
            found
                .map(|log_reward| log_reward * posterior.alpha)
                .collect()
        };
        let reward = Reward {
            value: &value,
            alpha: posterior.alpha,
        };
        let [states, paths] = SIZE;
        let mut noise = Noise::keyed(seed, "dial", 0);
        let rows = noise.indices(states, data.len());
        let mut sum = Self::default();
        for chunk in rows.chunks(16) {
            let observations = data.observations(chunk);
            let condition = matrix(observations, data.widths()[0], &tilt.prior.device());
            let condition = condition.repeated(paths);
            let models = (&posterior.model, &tilt.prior);
            sum.add(models, reward, (&condition, paths), &mut noise);
        }
        let share = 1.0 / states as f64;
        Ok(Self {
            log_z: sum.log_z * share,
            weighted_q: sum.weighted_q * share,
            drawn_q: sum.drawn_q * share,
            prior_q: sum.prior_q * share,
        })
    }

    fn add(
        &mut self,
        (posterior, prior): (&GaussianDiffusion, &GaussianDiffusion),
        reward: Reward<'_, GaussianDiffusion>,
        (condition, paths): (&Tensor<2>, usize),
        noise: &mut Noise,
    ) {
        let Scored { path, scores: own } = posterior.sample_path(condition, noise);
        let known = Known {
            posterior: Some(own),
            prior: None,
        };
        let rows = Paths {
            condition,
            path: &path,
        };
        let scores = score(posterior, prior, reward, rows, known);
        let steps = scores.prior.chunks_exact(scores.num_steps);
        let log_p: Vec<f64> = steps.map(|row| row.iter().sum()).collect();
        let log_q = scores.log_posterior();
        let l = log_weights(&log_q, &log_p, &scores.log_reward);
        let of_prior = (reward.value)(&prior.sample(condition, noise), condition);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / paths as f64;
        for (group, l) in l.chunks_exact(paths).enumerate() {
            let rows = group * paths..(group + 1) * paths;
            let q = &scores.values[rows.clone()];
            let log_z = log_mean_exp(l);
            let weighted = l.iter().zip(q).map(|(l, q)| (l - log_z).exp() * q);
            self.log_z += log_z;
            self.weighted_q += weighted.sum::<f64>() / paths as f64;
            self.drawn_q += mean(q);
            self.prior_q += mean(&of_prior[rows]);
        }
    }
}
