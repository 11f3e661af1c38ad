//! What is said of a sampler: how far it is from the exact posterior, by several numbers that cannot be good together by chance.

use burn::tensor::Tensor;
use serde::Serialize;
use tiltrl_policies::models::gaussian::GaussianDiffusion;
use tiltrl_policies::nets::denoiser::Denoiser;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::{effective_share, log_mean_exp};

use super::classifier::Classifier;
use super::tilt::{Problem, Weighed, weigh};
use super::truth::{Yardstick, diversity, shares};

/// What asks for the weights of paths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OfPaths {
    /// Mean ℓ ≤ log Z.
    pub elbo: f64,
    /// log-mean-exp of ℓ.
    pub log_z: f64,
    /// ESS/N of the weights.
    pub ess: f64,
    /// Mean log q − log p, nats.
    pub path_kl: f64,
}

/// Numbers of one sampler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Numbers {
    /// Those of its paths, where it has densities.
    pub paths: Option<OfPaths>,
    /// Mean log r.
    pub log_reward: f64,
    /// Squared Fréchet distance of its features to exact samples'.
    pub distance: f64,
    /// Mean distance of two samples' features.
    pub diversity: f64,
    /// Share of each class among its samples.
    pub shares: [f64; 10],
}

/// Measures samples [samples · dim] with their log-rewards.
pub fn of_samples(
    samples: &[f32],
    log_reward: &[f64],
    classifier: &Classifier,
    yardstick: &Yardstick,
) -> Numbers {
    let features = classifier.features(samples);
    Numbers {
        paths: None,
        log_reward: crate::stats::mean(log_reward),
        distance: yardstick.distance(&features),
        diversity: diversity(&features, classifier.width()),
        shares: shares(&classifier.classes(samples)),
    }
}

/// Paths of one call.
const CHUNK: usize = 2048;

/// Draws `count` paths of a model and measures them; returns the samples too.
pub fn of_model<N: Denoiser>(
    model: &GaussianDiffusion<N>,
    problem: &Problem<'_, N>,
    (classifier, yardstick): (&Classifier, &Yardstick),
    (count, condition): (usize, &dyn Fn(usize) -> Tensor<2>),
    seed: u64,
) -> (Numbers, Vec<f32>) {
    let mut all = Weighed {
        samples: Vec::new(),
        log_weights: Vec::new(),
        log_reward: Vec::new(),
        path_kl: 0.0,
    };
    for (chunk, first) in (0..count).step_by(CHUNK).enumerate() {
        let rows = CHUNK.min(count - first);
        let mut noise = Noise::keyed(seed, "image-measure", chunk as u64);
        let part = weigh(model, problem, &condition(rows), &mut noise);
        all.samples.extend(part.samples);
        all.log_weights.extend(part.log_weights);
        all.log_reward.extend(part.log_reward);
        all.path_kl += part.path_kl * rows as f64 / count as f64;
    }
    let numbers = Numbers {
        paths: Some(OfPaths {
            elbo: crate::stats::mean(&all.log_weights),
            log_z: log_mean_exp(&all.log_weights),
            ess: effective_share(&all.log_weights),
            path_kl: all.path_kl,
        }),
        ..of_samples(&all.samples, &all.log_reward, classifier, yardstick)
    };
    (numbers, all.samples)
}
