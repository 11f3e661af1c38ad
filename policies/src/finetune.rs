//! Fine-tuning any sequential model to p(x|s) · r(x, s)/Z(s) by relative trajectory balance.
//!
//! One group per condition holds paths from several sources: the posterior itself, the prior, and samples from data noised
//! backwards. Every path carries its own reward, so off-policy paths teach too. log Z(s) is the leave-one-out
//! VarGrad estimate of the group. The gradient is exact: mean δ ∇log q.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::PolicyError;
use crate::kernels::adam::{Adam, AdamConfig};
use crate::nets::{host, vector};
use crate::noise::Noise;
use crate::rtb::{self, Shaping};
use crate::sequential::SequentialModel;

/// How paths are drawn and residuals shaped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Paths per condition from the posterior.
    pub on_policy: usize,
    /// Paths per condition from the prior.
    pub prior: usize,
    /// Paths per condition noised backwards from given samples.
    pub data: usize,
}

impl Mixture {
    /// Returns the paths per condition.
    pub fn total(&self) -> usize {
        self.on_policy + self.prior + self.data
    }
}

/// Numbers of one update, averaged over its paths or conditions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Report {
    /// ½ mean δ².
    pub loss: f64,
    /// Mean of log Z(s).
    pub log_z: f64,
    /// Mean log q − log p of on-policy paths, in nats.
    pub path_kl: f64,
    /// ESS/N of the on-policy paths, averaged over conditions.
    pub ess: f64,
    /// Mean log-reward of on-policy samples.
    pub log_reward: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// A frozen prior and the posterior that learns from it.
pub struct Finetuner<M: SequentialModel> {
    /// The frozen prior.
    pub prior: M,
    /// The posterior, equal to the prior at the start.
    pub posterior: M,
    /// Optimizer of the posterior.
    pub optimizer: Adam,
    /// Paths per condition.
    pub mixture: Mixture,
    /// Dead zone and cap.
    pub shaping: Shaping,
}

struct Batch {
    tracked: Tensor<2>,
    log_posterior: Vec<f64>,
    log_prior: Vec<f64>,
    log_reward: Vec<f64>,
    per_condition: usize,
}

/// Returns Σ over steps of [paths, steps] log-probabilities, in f64.
pub fn path_sums(step_log_probs: Tensor<2>) -> Vec<f64> {
    let steps = step_log_probs.dims()[1];
    host(step_log_probs)
        .chunks_exact(steps)
        .map(|row| row.iter().map(|&v| f64::from(v)).sum())
        .collect()
}

impl<M: SequentialModel> Finetuner<M> {
    /// Returns a fine-tuner whose posterior equals `prior`.
    pub fn new(prior: M, optimizer: AdamConfig, mixture: Mixture, shaping: Shaping) -> Self {
        let count = prior.parameters().dims()[0];
        let posterior = prior.clone();
        Self {
            prior,
            posterior,
            optimizer: Adam::new(optimizer, count),
            mixture,
            shaping,
        }
    }

    /// Does one update and reports it.
    ///
    /// `condition(c)` repeats each condition c times, consecutively; `data(c)` gives as many samples in the same order (unused when
    /// the mixture holds none); `log_reward(sample, c)` scores samples laid out that way.
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`] when loss or gradient is not finite; the posterior is then unchanged.
    pub fn update(
        &mut self,
        condition: &dyn Fn(usize) -> M::Condition,
        data: &dyn Fn(usize) -> M::Sample,
        log_reward: &dyn Fn(&M::Sample, usize) -> Vec<f64>,
        noise: &mut Noise,
    ) -> Result<Report, PolicyError> {
        let tracked = self
            .posterior
            .with_parameters(self.posterior.parameters().autodiff().require_grad());
        let batches = self.draw(&tracked, condition, data, log_reward, noise);
        let (weights, report) = self.weigh(&batches);
        let update = self.optimizer.count;
        if !report.loss.is_finite() {
            return Err(PolicyError::NonFinite {
                stage: "finetune",
                what: "loss",
                update,
            });
        }
        let device = self.posterior.parameters().device().inner();
        let mut surrogate: Option<Tensor<1>> = None;
        for (batch, weights) in batches.into_iter().zip(weights) {
            let weights = vector(weights.iter().map(|&w| w as f32).collect(), &device);
            let rows = weights.dims()[0];
            let term = (batch.tracked.sum_dim(1).reshape([rows]) * weights).sum();
            surrogate = Some(surrogate.map_or(term.clone(), |total| total + term));
        }
        let surrogate = surrogate.expect("a mixture holds at least two paths");
        let gradients = surrogate.backward();
        let gradient = host(
            tracked
                .parameters()
                .grad(&gradients)
                .expect("the posterior is tracked"),
        );
        if !gradient.iter().all(|g| g.is_finite()) {
            return Err(PolicyError::NonFinite {
                stage: "finetune",
                what: "gradient",
                update,
            });
        }
        let mut parameters = host(self.posterior.parameters());
        let gradient_norm = self.optimizer.step(&mut parameters, &gradient);
        self.posterior = self.posterior.with_parameters(vector(parameters, &device));
        Ok(Report {
            gradient_norm,
            ..report
        })
    }

    fn draw(
        &self,
        tracked: &M,
        condition: &dyn Fn(usize) -> M::Condition,
        data: &dyn Fn(usize) -> M::Sample,
        log_reward: &dyn Fn(&M::Sample, usize) -> Vec<f64>,
        noise: &mut Noise,
    ) -> Vec<Batch> {
        let steps = self.prior.num_steps();
        let mut batches = Vec::new();
        for (source, count) in [
            self.mixture.on_policy,
            self.mixture.prior,
            self.mixture.data,
        ]
        .into_iter()
        .enumerate()
        {
            if count == 0 {
                continue;
            }
            let rows = condition(count);
            let (path, tracked, log_prior) = match source {
                0 => {
                    let (path, scores) = tracked.sample_path(&rows, noise);
                    let prior = self.prior.step_log_probs(&path, 0..steps);
                    (path, scores, prior)
                }
                1 => {
                    let (path, prior) = self.prior.sample_path(&rows, noise);
                    let scores = tracked.step_log_probs(&path, 0..steps);
                    (path, scores, prior)
                }
                _ => {
                    let path = self.prior.path_to(&rows, &data(count), noise);
                    let scores = tracked.step_log_probs(&path, 0..steps);
                    let prior = self.prior.step_log_probs(&path, 0..steps);
                    (path, scores, prior)
                }
            };
            let log_reward = log_reward(&self.prior.sample_of(&path), count);
            batches.push(Batch {
                log_posterior: path_sums(tracked.clone().detach()),
                log_prior: path_sums(log_prior),
                log_reward,
                tracked,
                per_condition: count,
            });
        }
        batches
    }

    /// Computes δ over whole groups and hands each batch its gradient weights.
    fn weigh(&self, batches: &[Batch]) -> (Vec<Vec<f64>>, Report) {
        let total = self.mixture.total();
        let conditions = batches[0].log_reward.len() / batches[0].per_condition;
        let mut grouped = Vec::with_capacity(conditions * total);
        let weights: Vec<Vec<f64>> = batches
            .iter()
            .map(|b| rtb::log_weights(&b.log_posterior, &b.log_prior, &b.log_reward))
            .collect();
        for c in 0..conditions {
            for (batch, w) in batches.iter().zip(&weights) {
                grouped
                    .extend_from_slice(&w[c * batch.per_condition..(c + 1) * batch.per_condition]);
            }
        }
        let log_z = rtb::vargrad_log_z(&grouped, total);
        let residual = rtb::residual(&log_z, &grouped);
        let gradient = rtb::gradient_weights(&residual, self.shaping);
        let mut out: Vec<Vec<f64>> = batches
            .iter()
            .map(|b| Vec::with_capacity(b.log_reward.len()))
            .collect();
        for group in gradient.chunks_exact(total) {
            let mut rest = group;
            for (batch, out) in batches.iter().zip(&mut out) {
                let (own, others) = rest.split_at(batch.per_condition);
                out.extend_from_slice(own);
                rest = others;
            }
        }
        let first = &batches[0];
        let paths = first.log_reward.len() as f64;
        let kl = first
            .log_posterior
            .iter()
            .zip(&first.log_prior)
            .map(|(q, p)| q - p)
            .sum::<f64>()
            / paths;
        let ess = weights[0]
            .chunks_exact(first.per_condition)
            .map(rtb::effective_share)
            .sum::<f64>();
        let report = Report {
            loss: rtb::loss(&residual),
            log_z: log_z.iter().sum::<f64>() / log_z.len() as f64,
            path_kl: kl,
            ess: ess / conditions as f64,
            log_reward: first.log_reward.iter().sum::<f64>() / paths,
            gradient_norm: 0.0,
        };
        (out, report)
    }
}
