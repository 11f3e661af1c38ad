//! One step of a Gaussian diffusion: how its distribution is made, drawn from and scored. The mathematics stands here alone; the
//! CPU engine's copy of it is tied to this one by `tests/compiled_paths.rs`.

use std::ops::Range;

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, host64, matrix};
use tiltrl_tilt::noise::Noise;

use super::GaussianDiffusion;
use super::shape::{LOG_SIGMA_LIMIT, Units};
use crate::fast::HostField;
use crate::nets::{Denoiser, Query};

/// Mean and, where the variance is learned, log σ − log σ_k of steps, [steps, paths, dim] each.
pub(super) struct Steps {
    mean: Tensor<3>,
    log_scale: Option<Tensor<3>>,
}

/// Means and standard deviations of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Means [rows · dim].
    pub mean: Vec<f64>,
    /// Standard deviations [rows · dim].
    pub std: Vec<f64>,
}

impl Moments {
    /// Returns log N(x; mean, std²) of each row of `x` [rows, dim], without −½ log 2π per value.
    pub fn log_density(&self, x: &[f32], dim: usize) -> Vec<f64> {
        let one = |i: usize| {
            let z = (f64::from(x[i]) - self.mean[i]) / self.std[i];
            -0.5 * z.powi(2) - self.std[i].ln()
        };
        let rows = 0..x.len() / dim;
        rows.map(|row| (row * dim..(row + 1) * dim).map(one).sum())
            .collect()
    }

    /// Returns log N(x; self) − log N(x; other) of each row, the normalisers as one logarithm.
    pub(crate) fn log_ratio(&self, other: &Self, x: &[f32], dim: usize) -> Vec<f64> {
        let one = |i: usize| {
            let z = |m: &Self| (f64::from(x[i]) - m.mean[i]) / m.std[i];
            0.5 * (z(other).powi(2) - z(self).powi(2)) + (other.std[i] / self.std[i]).ln()
        };
        let rows = 0..x.len() / dim;
        rows.map(|row| (row * dim..(row + 1) * dim).map(one).sum())
            .collect()
    }
}

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Values of a host function for step-major rows.
    fn known(
        &self,
        function: &HostField,
        x: &Tensor<2>,
        steps: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let paths = x.dims()[0] / steps.len();
        let of_row: Vec<usize> = steps.flat_map(|k| std::iter::repeat_n(k, paths)).collect();
        let values = function(&host(x.clone()), &of_row, &host(condition.clone()));
        matrix(values, self.dim, &self.device())
    }

    /// The distributions of step-major rows: the only place where a step's distribution is made.
    pub(super) fn steps(&self, x: &Tensor<2>, steps: Range<usize>, condition: &Tensor<2>) -> Steps {
        let (count, dim) = (steps.len(), self.dim);
        let paths = x.dims()[0] / count;
        let outputs = self.denoiser.outputs(&Query {
            states: x,
            steps: steps.clone(),
            num_steps: self.schedule.num_steps(),
            condition,
        });
        let cube = |t: Tensor<2>| t.reshape([count, paths, dim]);
        let part = |columns: Range<usize>| outputs.clone().slice([0..count * paths, columns]);
        let exact = self.exact.as_ref();
        let exact = exact.map(|f| cube(self.known(f.as_ref(), x, steps.clone(), condition)));
        let coefficient = |i: usize| self.step_scale(&steps, |k| self.schedule.coefficients(k)[i]);
        let sigma = || self.step_scale(&steps, |k| self.schedule.sigma[k]);
        let of_network = match self.step.units {
            Units::Denoiser => coefficient(1),
            Units::Sigma => sigma(),
        };
        let mut mean = cube(x.clone()) * coefficient(0) + cube(part(0..dim)) * of_network;
        if let Some(exact) = exact {
            mean = mean + exact * coefficient(1);
        }
        let log_scale = self.step.learned_variance.then(|| {
            let raw = part(dim..2 * dim);
            cube((raw / LOG_SIGMA_LIMIT).tanh() * LOG_SIGMA_LIMIT)
        });
        if let Some(guidance) = &self.step.guidance {
            let last = outputs.dims()[1] - 1;
            let along = self.known(guidance.as_ref(), x, steps.clone(), condition);
            mean = mean + cube(along * part(last..last + 1)) * sigma();
        }
        Steps { mean, log_scale }
    }

    /// Draws x_{k+1} from the distributions of one step, with σ times `scale`; no gradient flows into the draw.
    pub(super) fn draw(
        &self,
        steps: &Steps,
        step: usize,
        scale: f64,
        noise: &mut Noise,
    ) -> Tensor<2> {
        let mean = steps.mean.clone().without_autodiff();
        let [_, rows, dim] = mean.dims();
        let z = matrix(noise.normals(rows, dim), dim, &self.device());
        let mut spread = z * (self.schedule.sigma[step] * scale);
        if let Some(log_scale) = &steps.log_scale {
            let log_scale = log_scale.clone().without_autodiff();
            spread = spread * log_scale.reshape([rows, dim]).exp();
        }
        mean.reshape([rows, dim]) + spread
    }

    /// Returns means and standard deviations of one step from states [rows, dim].
    pub fn step_moments(&self, x: &Tensor<2>, step: usize, condition: &Tensor<2>) -> Moments {
        let found = self.steps(x, step..step + 1, condition);
        let mean = host64(found.mean);
        let sigma = self.schedule.sigma[step];
        let std = match found.log_scale {
            Some(scale) => host64(scale).iter().map(|s| sigma * s.exp()).collect(),
            None => vec![sigma; mean.len()],
        };
        Moments { mean, std }
    }

    /// Mean of one step from states [rows, dim], with its graph where the states are tracked.
    pub(super) fn step_mean(&self, x: &Tensor<2>, step: usize, condition: &Tensor<2>) -> Tensor<2> {
        let mean = self.steps(x, step..step + 1, condition).mean;
        mean.reshape(x.dims())
    }

    /// log-probabilities [paths, steps] of `next`, without −½ log 2π and log σ_k.
    pub(super) fn score(&self, found: Steps, next: Tensor<3>, steps: &Range<usize>) -> Tensor<2> {
        let [count, paths, _] = found.mean.dims();
        let mut z = (found.mean - next) * self.step_scale(steps, |k| 1.0 / self.schedule.sigma[k]);
        let mut normalizer = None;
        if let Some(log_scale) = found.log_scale {
            z = z * (-log_scale.clone()).exp();
            normalizer = Some(log_scale.sum_dim(2));
        }
        let mut score = (z.clone() * z).sum_dim(2) * -0.5;
        if let Some(normalizer) = normalizer {
            score = score - normalizer;
        }
        score.reshape([count, paths]).transpose()
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::sequential::SequentialModel;

    use super::*;
    use crate::compute::Compute;
    use crate::fast::Activation;
    use crate::models::gaussian::StepShape;
    use crate::models::schedule::{Prediction, Schedule, ScheduleKind};
    use crate::nets::{Network, NetworkShape, Perceptron};

    fn model(noise: &mut Noise) -> GaussianDiffusion {
        let step = StepShape {
            learned_variance: true,
            ..StepShape::default()
        };
        let shape = NetworkShape {
            dim: 3,
            condition_dim: 2,
            outputs: 6,
            hidden: vec![16],
            activation: Activation::Silu,
            waves: 0,
        };
        let net = Perceptron::new(&shape, 1.0, noise, &Compute::cpu());
        let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
        let schedule = schedule.expect("memoryless");
        GaussianDiffusion::new(Network::of(net), schedule, [3, 2], step).expect("fits")
    }

    /// The density on the host, the ratio of two, and the score of a path by tensors or the engine are one number.
    #[test]
    fn densities_on_the_host_are_the_scores_of_paths() {
        let mut noise = Noise::keyed(1, "density", 0);
        let (posterior, prior) = (model(&mut noise), model(&mut noise));
        let condition = matrix(noise.normals(5, 2), 2, &prior.device());
        let path = posterior.sample_path(&condition, &mut noise).path;
        for k in 0..6 {
            let next = host(path.states[k + 1].clone());
            let of = |m: &GaussianDiffusion| m.step_moments(&path.states[k], k, &condition);
            let (q, p) = (of(&posterior), of(&prior));
            assert_ne!(q, p);
            // Scores leave log σ_k out.
            let constant = 3.0 * prior.schedule().sigma[k].ln();
            let score = |m: &GaussianDiffusion| host64(m.step_log_probs(&path, k..k + 1));
            let scores = score(&posterior).into_iter().zip(score(&prior));
            let densities = q.log_density(&next, 3).into_iter();
            let densities = densities.zip(p.log_density(&next, 3));
            let ratios = q.log_ratio(&p, &next, 3).into_iter();
            for ((scored, (q, p)), ratio) in scores.zip(densities).zip(ratios) {
                assert!((q + constant - scored.0).abs() < 1e-3 * q.abs().max(1.0));
                assert!((p + constant - scored.1).abs() < 1e-3 * p.abs().max(1.0));
                assert!((q - p - ratio).abs() < 1e-9 * ratio.abs().max(1.0));
            }
        }
    }
}
