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
