//! Kernels of single steps: how they are made, drawn from and scored. One function makes them all.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::{ExactDenoiser, GaussianDiffusion};
use crate::nets::{Mlp, host, matrix, vector};
use crate::noise::Noise;

/// How the network's outputs enter a step. The default is a plain denoiser with fixed variances.
///
/// The outputs are `dim` for the mean, then `dim` offsets of log σ if the variance is learned, then one
/// scale of the guidance term if there is one. Outputs that are zero leave the step of the denoiser as it is.
#[derive(Clone, Default)]
pub struct Kernel {
    /// What the first `dim` outputs are.
    pub units: Units,
    /// σ of a step is σ_k exp(c tanh(o / c)) with o a network output and c = [`LOG_SIGMA_LIMIT`].
    pub learned_variance: bool,
    /// ∇ log r, which the network scales and adds to the mean in units of σ_k (arXiv:2405.20971, eq. 11). It comes
    /// from the host: no gradient reaches the reward.
    pub guidance: Option<Arc<ExactDenoiser>>,
    /// Octaves of sin and cos of x that the network sees besides x, the longest period being 4. Posteriors with many
    /// sharp modes in few dimensions are learned much faster with them (arXiv:2006.10739).
    pub waves: usize,
}

/// What the network's first outputs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// Part of the denoiser's output.
    #[default]
    Denoiser,
    /// A shift of the step's mean in units of σ_k, beside an exact denoiser: ½‖o‖² is then the step's KL.
    Sigma,
}

/// Bound of |log σ − log σ_k| when the variance is learned.
pub const LOG_SIGMA_LIMIT: f64 = 2.0;

impl Kernel {
    /// Returns how many inputs the network gets besides x, step and condition.
    pub fn extra_inputs(&self, dim: usize) -> usize {
        2 * dim * self.waves
    }

    /// Returns how many outputs the network of a model of `dim` values needs.
    pub fn outputs(&self, dim: usize) -> usize {
        dim + dim * usize::from(self.learned_variance) + usize::from(self.guidance.is_some())
    }

    /// Whether two kernels are the same, with the same guidance function.
    pub fn same(&self, other: &Self) -> bool {
        let guidance = match (&self.guidance, &other.guidance) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            _ => false,
        };
        let plain = |k: &Self| (k.units, k.learned_variance, k.waves);
        guidance && plain(self) == plain(other)
    }
}

/// Mean and, where the variance is learned, log σ − log σ_k of steps, [steps, paths, dim] each.
pub(super) struct Steps {
    mean: Tensor<3>,
    log_scale: Option<Tensor<3>>,
}

impl GaussianDiffusion {
    /// The network's output for step-major rows.
    pub(super) fn outputs(
        &self,
        x: &Tensor<2>,
        steps: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let paths = x.dims()[0] / steps.len();
        let mut columns = vec![x.clone(), self.embed(steps, paths)];
        if self.condition_dim > 0 {
            columns.push(condition.clone());
        }
        if self.kernel.waves > 0 {
            columns.push(self.waves(x));
        }
        self.net.forward(Tensor::cat(columns, 1))
    }

    /// Waves of the states as a tensor.
    fn waves(&self, x: &Tensor<2>) -> Tensor<2> {
        let values = self.wave_values(&host(x.clone()));
        matrix(values, self.kernel.extra_inputs(self.dim), &self.device())
    }

    /// sin and cos of π/2 · 2^j · x for each octave j, [rows, 2 dim waves]; octaves by doubling the angle.
    pub(super) fn wave_values(&self, state: &[f32]) -> Vec<f32> {
        let octaves = self.kernel.waves;
        let mut out = Vec::with_capacity(2 * octaves * state.len());
        for &value in state {
            let (mut sin, mut cos) = (std::f32::consts::FRAC_PI_2 * value).sin_cos();
            for _ in 0..octaves {
                out.extend([sin, cos]);
                (sin, cos) = (2.0 * sin * cos, 1.0 - 2.0 * sin * sin);
            }
        }
        out
    }

    /// Values of a host function for step-major rows.
    fn known(
        &self,
        function: &ExactDenoiser,
        x: &Tensor<2>,
        steps: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let paths = x.dims()[0] / steps.len();
        let of_row: Vec<usize> = steps.flat_map(|k| std::iter::repeat_n(k, paths)).collect();
        let values = function(&host(x.clone()), &of_row, &host(condition.clone()));
        matrix(values, self.dim, &self.device())
    }

    /// The kernels of step-major rows: the only place where a step's distribution is made.
    pub(super) fn steps(&self, x: Tensor<2>, steps: Range<usize>, condition: &Tensor<2>) -> Steps {
        let (count, dim) = (steps.len(), self.dim);
        let paths = x.dims()[0] / count;
        let outputs = self.outputs(&x, steps.clone(), condition);
        let cube = |t: Tensor<2>| t.reshape([count, paths, dim]);
        let head = if outputs.dims()[1] == dim {
            outputs.clone()
        } else {
            outputs.clone().slice([0..count * paths, 0..dim])
        };
        let exact = self
            .exact
            .as_ref()
            .map(|f| self.known(f.as_ref(), &x, steps.clone(), condition));
        let coefficient = |i: usize| self.step_scale(&steps, |k| self.schedule.coefficients(k)[i]);
        let sigma = || self.step_scale(&steps, |k| self.schedule.sigma[k]);
        let mut mean = cube(x.clone()) * coefficient(0);
        match (self.kernel.units, exact) {
            (Units::Denoiser, Some(exact)) => mean = mean + cube(head + exact) * coefficient(1),
            (Units::Denoiser, None) => mean = mean + cube(head) * coefficient(1),
            (Units::Sigma, exact) => {
                if let Some(exact) = exact {
                    mean = mean + cube(exact) * coefficient(1);
                }
                mean = mean + cube(head) * sigma();
            }
        }
        let log_scale = self.kernel.learned_variance.then(|| {
            let raw = outputs.clone().slice([0..count * paths, dim..2 * dim]);
            cube((raw / LOG_SIGMA_LIMIT).tanh() * LOG_SIGMA_LIMIT)
        });
        if let Some(guidance) = &self.kernel.guidance {
            let last = outputs.dims()[1] - 1;
            let scale = outputs.slice([0..count * paths, last..last + 1]);
            let along = self.known(guidance.as_ref(), &x, steps.clone(), condition);
            mean = mean + cube(along * scale) * sigma();
        }
        Steps { mean, log_scale }
    }

    /// Draws x_{k+1} from kernels of one step, with σ times `scale`; no gradient flows into the draw.
    pub(super) fn draw(
        &self,
        kernel: &Steps,
        step: usize,
        scale: f64,
        noise: &mut Noise,
    ) -> Tensor<2> {
        let plain = |t: &Tensor<3>| {
            if t.device().is_autodiff() {
                t.clone().inner()
            } else {
                t.clone()
            }
        };
        let mean = plain(&kernel.mean);
        let [_, rows, dim] = mean.dims();
        let z = matrix(noise.normals(rows, dim), dim, &self.device());
        let mut spread = z * (self.schedule.sigma[step] * scale);
        if let Some(log_scale) = &kernel.log_scale {
            spread = spread * plain(log_scale).reshape([rows, dim]).exp();
        }
        mean.reshape([rows, dim]) + spread
    }

    /// Returns (means, standard deviations) of one step from states [rows, dim], row-major.
    pub fn step_moments(
        &self,
        x: &Tensor<2>,
        step: usize,
        condition: &Tensor<2>,
    ) -> (Vec<f64>, Vec<f64>) {
        let kernel = self.steps(x.clone(), step..step + 1, condition);
        let wide = |t: Tensor<3>| -> Vec<f64> { host(t).iter().map(|&v| f64::from(v)).collect() };
        let mean = wide(kernel.mean);
        let sigma = self.schedule.sigma[step];
        let std = match kernel.log_scale {
            Some(scale) => wide(scale).iter().map(|s| sigma * s.exp()).collect(),
            None => vec![sigma; mean.len()],
        };
        (mean, std)
    }

    /// log-probabilities [paths, steps] of `next` under kernels, without −½ log 2π and log σ_k.
    pub(super) fn score(&self, kernel: Steps, next: Tensor<3>, steps: &Range<usize>) -> Tensor<2> {
        let [count, paths, _] = kernel.mean.dims();
        let mut z = (kernel.mean - next) * self.step_scale(steps, |k| 1.0 / self.schedule.sigma[k]);
        let mut normalizer = None;
        if let Some(log_scale) = kernel.log_scale {
            z = z * (-log_scale.clone()).exp();
            normalizer = Some(log_scale.sum_dim(2));
        }
        let mut score = (z.clone() * z).sum_dim(2) * -0.5;
        if let Some(normalizer) = normalizer {
            score = score - normalizer;
        }
        score.reshape([count, paths]).transpose()
    }

    /// Returns the same model with a kernel whose new outputs start at zero: the same distribution.
    ///
    /// The last layer grows by zero columns; existing weights stay. Widen the prior before fine-tuning, so that
    /// prior and posterior share one shape.
    ///
    /// # Panics
    /// When the kernel needs fewer outputs than the network has, or changes their units.
    pub fn widened(&self, kernel: Kernel) -> Self {
        assert!(kernel.units == self.kernel.units);
        let mut spec = (*self.net.spec).clone();
        let old = *spec.layers().last().expect("a network has layers");
        let [inputs, columns] = old.shape;
        let wanted = kernel.outputs(self.dim);
        assert!(
            wanted >= columns,
            "a kernel can gain outputs, not lose them"
        );
        *spec.sizes.last_mut().expect("a network has layers") = wanted;
        let mut values = host(self.net.parameters.clone());
        let tail = values.split_off(old.weight);
        let (weights, bias) = tail.split_at(inputs * columns);
        for row in weights.chunks_exact(columns).chain([bias]) {
            values.extend_from_slice(row);
            values.resize(values.len() + wanted - columns, 0.0);
        }
        Self {
            net: Mlp {
                spec: Arc::new(spec),
                parameters: vector(values, &self.device()),
            },
            kernel,
            ..self.clone()
        }
    }

    /// Returns the same model without a learned variance and without guidance: the last layer loses their columns.
    ///
    /// The same distribution where those outputs are zero, as in a widened prior.
    pub fn narrowed(&self) -> Self {
        let mut spec = (*self.net.spec).clone();
        let old = *spec.layers().last().expect("a network has layers");
        let [_, columns] = old.shape;
        *spec.sizes.last_mut().expect("a network has layers") = self.dim;
        let mut values = host(self.net.parameters.clone());
        let tail = values.split_off(old.weight);
        for row in tail.chunks_exact(columns) {
            values.extend_from_slice(&row[..self.dim]);
        }
        Self {
            net: Mlp {
                spec: Arc::new(spec),
                parameters: vector(values, &self.device()),
            },
            kernel: Kernel {
                learned_variance: false,
                guidance: None,
                ..self.kernel.clone()
            },
            ..self.clone()
        }
    }
}
