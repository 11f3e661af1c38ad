//! Tilting an image prior: the fine-tuner of control, and what it is compared with, over any denoiser.

use burn::tensor::Tensor;
use tiltrl_policies::agent::baselines::systematic;
use tiltrl_policies::fast::HostAdam;
use tiltrl_policies::models::gaussian::{GaussianDiffusion, StepShape};
use tiltrl_policies::nets::denoiser::Denoiser;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::finetune::{Batch, Finetuner, LogZ, Mixture, Options};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer};
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::Shaping;
use tiltrl_tilt::score::{Known, score};
use tiltrl_tilt::sequential::{Rows, SequentialModel};
use tiltrl_tilt::weights;

use crate::error::Error;
use crate::stage::cosine_decay;

/// log r of samples under their conditions, one row per path each.
pub type LogReward<'a> = dyn Fn(&Tensor<2>, &Tensor<2>) -> Vec<f64> + 'a;
/// Conditions of an update, one row per group of paths.
pub type Conditions<'a> = dyn Fn(&mut Noise) -> Tensor<2> + 'a;

/// How a prior is tilted.
#[derive(Clone, Debug)]
pub struct TiltSettings {
    /// Updates.
    pub updates: u64,
    /// Paths per condition, by source; `data` are samples of the prior drawn ∝ r, noised backwards.
    pub paths: Mixture,
    /// Step size of Adam at the start; it falls along a cosine.
    pub learning_rate: f32,
    /// Residuals beyond this many nats count as this many.
    pub huber: f64,
    /// Whether the posterior learns its step variances too.
    pub learned_variance: bool,
    /// Updates between two looks.
    pub every: u64,
}

impl Default for TiltSettings {
    fn default() -> Self {
        Self {
            updates: 1500,
            paths: Mixture {
                on_policy: 128,
                prior: 32,
                data: 96,
            },
            learning_rate: 3e-4,
            huber: 5.0,
            learned_variance: true,
            every: 100,
        }
    }
}

/// What is tilted: a frozen prior, its reward, and where conditions come from.
pub struct Problem<'a, N: Denoiser> {
    /// The prior.
    pub prior: &'a GaussianDiffusion<N>,
    /// log r.
    pub log_reward: &'a LogReward<'a>,
    /// Conditions.
    pub conditions: &'a Conditions<'a>,
}

/// Samples of the prior and their log-rewards, that `data` paths are drawn from.
pub type Pool<'a> = (&'a Tensor<2>, &'a [f64]);

/// A posterior, and log Z as its last updates estimated it: the mean of ℓ over their paths.
pub struct Tilted<N: Denoiser> {
    /// The model.
    pub model: GaussianDiffusion<N>,
    /// log Z, averaged over the last tenth of the updates.
    pub log_z: f64,
}

fn adam(settings: &TiltSettings) -> AdamConfig {
    AdamConfig {
        max_gradient_norm: 1.0,
        ..AdamConfig::plain(settings.learning_rate)
    }
}

fn rate(settings: &TiltSettings, update: u64) -> f32 {
    settings.learning_rate * (0.02 + 0.98 * cosine_decay(update, settings.updates))
}

/// Returns the prior in the shape in which it is tilted.
fn start<N: Denoiser>(
    prior: &GaussianDiffusion<N>,
    settings: &TiltSettings,
) -> Result<GaussianDiffusion<N>, TiltError> {
    prior.reshaped(StepShape {
        learned_variance: settings.learned_variance,
        ..StepShape::default()
    })
}

/// Tilts by relative trajectory balance; `look` sees (updates done, model) every so often, first at 0.
///
/// # Errors
/// [`TiltError::NonFinite`].
pub fn tilt<N: Denoiser>(
    problem: &Problem<'_, N>,
    pool: Option<Pool<'_>>,
    settings: &TiltSettings,
    seed: u64,
    mut look: impl FnMut(u64, &GaussianDiffusion<N>),
) -> Result<Tilted<N>, Error> {
    let prior = start(problem.prior, settings)?;
    let probe = (problem.conditions)(&mut Noise::keyed(seed, "image-probe", 0));
    let options = Options {
        log_z: LogZ::Robust,
        ..Options::default()
    };
    let optimizer = HostAdam::new(adam(settings));
    let mut tuner = Finetuner::new(prior.clone(), prior, optimizer, settings.paths, &probe)?
        .shaped(Shaping {
            dead_zone: 0.0,
            huber: settings.huber,
        })
        .with_options(options, seed);
    look(0, tuner.posterior());
    let (mut log_z, last) = (Vec::new(), settings.updates - settings.updates / 10);
    for update in 0..settings.updates {
        let mut noise = Noise::keyed(seed, "image-tilt", update);
        let conditions = (problem.conditions)(&mut noise);
        let data = pool.map(|(samples, rewards)| {
            let count = settings.paths.data * conditions.count();
            samples.pick(&systematic(rewards, count, noise.uniform()))
        });
        tuner.set_learning_rate(rate(settings, update));
        let report = tuner.update(&Batch { conditions, data }, problem.log_reward, &mut noise)?;
        if update >= last {
            log_z.push(report.log_z);
        }
        if (update + 1).is_multiple_of(settings.every) || update + 1 == settings.updates {
            look(update + 1, tuner.posterior());
        }
    }
    Ok(Tilted {
        log_z: crate::stats::mean(&log_z),
        model: tuner.into_posterior(),
    })
}

/// Ways to train on the same prior and reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// REINFORCE on log r alone: its optimum is the single best image.
    PolicyGradient,
    /// REINFORCE on log r − log q + log p: its optimum is the posterior.
    Regularised,
    /// Denoising of the tenth of the prior's samples with the highest r.
    BestSamples,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PolicyGradient, Self::Regularised, Self::BestSamples];

    /// Returns its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::PolicyGradient => "policy gradient",
            Self::Regularised => "policy gradient + KL",
            Self::BestSamples => "best samples",
        }
    }
}

/// Trains a baseline with as many updates and paths as [`tilt`].
///
/// # Errors
/// [`TiltError::NonFinite`].
pub fn baseline<N: Denoiser>(
    problem: &Problem<'_, N>,
    method: Baseline,
    settings: &TiltSettings,
    seed: u64,
) -> Result<GaussianDiffusion<N>, Error> {
    let prior = start(problem.prior, settings)?;
    let mut model = prior.clone();
    let mut optimizer = HostAdam::new(adam(settings));
    let paths = settings.paths.total();
    for update in 0..settings.updates {
        let mut noise = Noise::keyed(seed, method.name(), update);
        let conditions = (problem.conditions)(&mut noise).repeated(paths);
        let tracked = model.tracked();
        let loss = match method {
            Baseline::PolicyGradient | Baseline::Regularised => {
                let kl = f64::from(u8::from(method == Baseline::Regularised));
                gradient_of_return(&prior, &tracked, problem.log_reward, (&conditions, paths), kl, &mut noise)
            }
            Baseline::BestSamples => {
                let samples = prior.sample(&conditions, &mut noise);
                let rewards = (problem.log_reward)(&samples, &conditions);
                let kept = best(&rewards, paths);
                let (rows, conditions) = (samples.pick(&kept), conditions.pick(&kept));
                tracked.denoising_loss(&host(rows), &conditions, &mut noise)
            }
        };
        let gradient = weights::gradient(tracked.weights(), &loss.backward());
        drop(tracked);
        optimizer.set_learning_rate(rate(settings, update));
        let (stepped, norm) = optimizer.step(weights::tensors(model.weights()), gradient);
        if !norm.is_finite() {
            return Err(TiltError::NonFinite {
                stage: method.name(),
                what: "gradient",
                update,
            }
            .into());
        }
        let shape = model.weights().clone();
        model = model.with_weights(weights::with_tensors(shape, stepped));
    }
    Ok(model)
}

/// Indices of the tenth of each group with the highest rewards.
fn best(rewards: &[f64], group: usize) -> Vec<usize> {
    let groups = rewards.chunks_exact(group).enumerate();
    groups
        .flat_map(|(g, r)| {
            let mut order: Vec<usize> = (0..group).collect();
            order.sort_by(|&a, &b| r[b].total_cmp(&r[a]));
            order.truncate(group.div_ceil(10));
            order.into_iter().map(move |i| g * group + i)
        })
        .collect()
}

/// The scalar whose gradient is that of −E[log r − kl · (log q − log p)]: each step weighed by the cost from it on, less the mean over
/// the group; groups are consecutive rows.
fn gradient_of_return<M: SequentialModel>(
    prior: &M,
    tracked: &M,
    log_reward: &dyn Fn(&M::Sample, &M::Condition) -> Vec<f64>,
    (condition, paths): (&M::Condition, usize),
    kl: f64,
    noise: &mut Noise,
) -> Tensor<1> {
    let steps = tracked.num_steps();
    let (path, scores) = tracked.sample_path(condition, noise);
    let reward = Reward {
        value: log_reward,
        temperature: 1.0,
    };
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let found = score(tracked, prior, reward, (condition, &path), known);
    let (gaps, rows) = (found.gaps(), found.log_reward.len());
    let mut costs = vec![0.0f64; gaps.len()];
    for (row, r) in found.log_reward.iter().enumerate() {
        let mut cost = -r;
        for k in (row * steps..(row + 1) * steps).rev() {
            cost += kl * gaps[k];
            costs[k] = cost;
        }
    }
    let mut weights = vec![0.0f32; gaps.len()];
    for first in (0..rows).step_by(paths) {
        for k in 0..steps {
            let cell = |i: usize| (first + i) * steps + k;
            let mean = (0..paths).map(|i| costs[cell(i)]).sum::<f64>() / paths as f64;
            for i in 0..paths {
                weights[cell(i)] = ((costs[cell(i)] - mean) / rows as f64) as f32;
            }
        }
    }
    let device = found.tracked.device().inner();
    (found.tracked * matrix(weights, steps, &device)).sum()
}

/// Paths of a model with their importance weights towards the posterior.
pub struct Weighed {
    /// Samples [paths · dim].
    pub samples: Vec<f32>,
    /// ℓ = log r + log p − log q of each path.
    pub log_weights: Vec<f64>,
    /// log r of each sample.
    pub log_reward: Vec<f64>,
    /// Mean of log q − log p.
    pub path_kl: f64,
}

/// Draws one path per row of the condition and weighs it.
pub fn weigh<N: Denoiser>(
    model: &GaussianDiffusion<N>,
    problem: &Problem<'_, N>,
    condition: &Tensor<2>,
    noise: &mut Noise,
) -> Weighed {
    let (path, scores) = model.sample_path(condition, noise);
    let reward = Reward {
        value: problem.log_reward,
        temperature: 1.0,
    };
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let found = score(model, problem.prior, reward, (condition, &path), known);
    Weighed {
        samples: host(model.sample_of(&path)),
        log_weights: found.log_weights(),
        path_kl: found.path_kl(),
        log_reward: found.log_reward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_tenth_is_chosen_within_its_group() {
        let rewards: Vec<f64> = (0..40).map(|i| f64::from((i * 7) % 20) - 1e-3 * f64::from(i)).collect();
        let kept = best(&rewards, 20);
        assert_eq!(kept.len(), 4);
        assert!(kept[..2].iter().all(|&i| i < 20) && kept[2..].iter().all(|&i| i >= 20));
        assert!(kept.iter().all(|&i| rewards[i] > 17.0), "{kept:?}");
    }
}
