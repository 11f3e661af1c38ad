//! Optimizers: Adam on any device, and the trait through which an engine offers its own.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::TiltError;
use crate::host::{host, host64, vector, with_values};

/// What one step of an optimizer leaves.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// The parameters after it.
    pub parameters: Vec<Tensor<1>>,
    /// Joint norm of the gradient, before clipping.
    pub norm: f64,
}

/// Steps a list of flat parameters.
pub trait Optimizer {
    /// Returns the parameters after one step with the norm of the gradient.
    ///
    /// A parameter without a gradient stays as it is.
    fn step(&mut self, parameters: Vec<Tensor<1>>, gradient: Vec<Option<Tensor<1>>>) -> Stepped;
    /// Sets the step size of the next steps.
    fn set_learning_rate(&mut self, learning_rate: f32);
    /// Returns the step size.
    fn learning_rate(&self) -> f32;
    /// Returns how many steps were done.
    fn count(&self) -> u64;
    /// Stores the state; `suffix` tells several optimizers of one checkpoint apart.
    fn put(&self, checkpoint: &mut Checkpoint, suffix: &str);
    /// Restores what [`Self::put`] stored for parameters of these lengths; the count becomes the checkpoint's update.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        lengths: &[usize],
    ) -> Result<(), TiltError>;
}

/// Returns the share of the step size at an update: cosine from 1 to 0.02, so that late updates average noise away.
pub fn cosine_decay(update: u64, updates: u64) -> f32 {
    let share = (update as f64 / updates.max(1) as f64).min(1.0);
    (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())) as f32
}

/// Settings of Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Step size η of an update.
    pub learning_rate: f32,
    /// Decoupled weight decay, per update, times the learning rate (arXiv:1711.05101).
    pub weight_decay: f32,
    /// Gradients with a larger joint norm are scaled down to it; 0 switches clipping off.
    pub max_gradient_norm: f32,
}

impl AdamConfig {
    /// Returns plain Adam with this step size: no decay, no clipping.
    pub fn plain(learning_rate: f32) -> Self {
        Self {
            learning_rate,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        }
    }

    /// Returns the factor that brings a gradient of this norm down to the limit.
    pub fn clip(&self, norm: f64) -> f32 {
        let limit = f64::from(self.max_gradient_norm);
        if limit > 0.0 && norm > limit {
            (limit / norm) as f32
        } else {
            1.0
        }
    }
}

/// Adam (Kingma and Ba 2015, arXiv:1412.6980) in plain tensor operations, with joint global-norm clipping.
pub struct Adam {
    config: AdamConfig,
    moments: Vec<[Tensor<1>; 2]>,
    count: u64,
}

const FIRST: f32 = 0.9;
const SECOND: f32 = 0.999;

impl Adam {
    /// Returns an optimizer that has done nothing yet.
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            moments: Vec::new(),
            count: 0,
        }
    }
}

/// Returns the joint norm of a gradient, summed in f64 over the parameters.
pub fn norm(gradient: &[Option<Tensor<1>>]) -> f64 {
    let square = |g: &Tensor<1>| host64((g.clone() * g.clone()).sum())[0];
    gradient.iter().flatten().map(square).sum::<f64>().sqrt()
}

/// Returns whether every entry of a gradient is finite.
pub(crate) fn finite(gradient: &[Option<Tensor<1>>]) -> bool {
    gradient.iter().flatten().all(|g| {
        // One number comes back from another device: a NaN or an infinity survives the sum of magnitudes.
        let sum = || host(g.clone().abs().sum())[0].is_finite();
        with_values(g, all_finite).unwrap_or_else(sum)
    })
}

/// Whether all values are finite, a block at a time: without a way out between two of them, the compiler tests several at once.
fn all_finite(values: &[f32]) -> bool {
    let mut blocks = values.chunks(64);
    blocks.all(|block| block.iter().fold(true, |all, v| all & v.is_finite()))
}

impl Optimizer for Adam {
    fn step(&mut self, parameters: Vec<Tensor<1>>, gradient: Vec<Option<Tensor<1>>>) -> Stepped {
        if self.moments.is_empty() {
            let zeros = |p: &Tensor<1>| [p.zeros_like(), p.zeros_like()];
            self.moments = parameters.iter().map(zeros).collect();
        }
        self.count += 1;
        let norm = norm(&gradient);
        let (scale, count) = (self.config.clip(norm), self.count as f64);
        let rate = f64::from(self.config.learning_rate) / (1.0 - f64::from(FIRST).powf(count));
        let correction = (1.0 / (1.0 - f64::from(SECOND).powf(count)).sqrt()) as f32;
        let decay = 1.0 - self.config.learning_rate * self.config.weight_decay;
        let all = parameters.into_iter().zip(gradient).zip(&mut self.moments);
        let stepped = all.map(|((parameter, gradient), [first, second])| {
            let Some(gradient) = gradient else {
                return parameter;
            };
            let gradient = gradient * scale;
            *first = first.clone() * FIRST + gradient.clone() * (1.0 - FIRST);
            *second = second.clone() * SECOND + gradient.clone() * gradient * (1.0 - SECOND);
            let size = second.clone().sqrt() * correction + 1e-8;
            parameter * decay - first.clone() / size * rate as f32
        });
        let parameters = stepped.collect();
        Stepped { parameters, norm }
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.config.learning_rate = learning_rate;
    }

    fn learning_rate(&self) -> f32 {
        self.config.learning_rate
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        for (i, [first, second]) in self.moments.iter().enumerate() {
            let tensors = &mut checkpoint.tensors;
            tensors.insert(format!("first{suffix}.{i}"), host(first.clone()));
            tensors.insert(format!("second{suffix}.{i}"), host(second.clone()));
        }
        let device = self.moments.first().map(|m| m[0].device());
        debug_assert!(device.is_none_or(|d| !d.is_autodiff()));
    }

    fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        lengths: &[usize],
    ) -> Result<(), TiltError> {
        let device = self
            .moments
            .first()
            .map_or_else(Device::flex, |m| m[0].device());
        let read = |i: usize, length: usize| -> Result<[Tensor<1>; 2], TiltError> {
            let first = checkpoint.tensor(path, &format!("first{suffix}.{i}"), length)?;
            let second = checkpoint.tensor(path, &format!("second{suffix}.{i}"), length)?;
            Ok([vector(first, &device), vector(second, &device)])
        };
        let moments = lengths.iter().enumerate().map(|(i, &n)| read(i, n));
        self.moments = moments.collect::<Result<_, _>>()?;
        self.count = checkpoint.update;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_that_is_not_finite_is_found_wherever_it_lies() {
        let device = Device::flex();
        let found = |values: Vec<f32>| finite(&[None, Some(vector(values, &device))]);
        for length in [0, 1, 63, 64, 65, 130] {
            assert!(found(vec![f32::MAX; length]), "{length}");
            for (at, bad) in (0..length)
                .flat_map(|at| [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|bad| (at, bad)))
            {
                let mut values = vec![-1.0; length];
                values[at] = bad;
                assert!(!found(values), "{bad} at {at} of {length}");
            }
        }
    }

    /// Three steps on two parameters against the formula in f64, with clipping and decay; one parameter without a gradient.
    #[test]
    fn adam_agrees_with_its_formula_and_leaves_alone_what_has_no_gradient() {
        let device = Device::flex();
        let config = AdamConfig {
            learning_rate: 0.1,
            weight_decay: 0.2,
            max_gradient_norm: 1.0,
        };
        let mut adam = Adam::new(config);
        let mut found = vec![vector(vec![1.0, -2.0], &device), vector(vec![5.0], &device)];
        let (mut p, mut m, mut v) = ([1.0f64, -2.0], [0.0f64; 2], [0.0f64; 2]);
        for step in 1..=3 {
            let g = [0.3 * f64::from(step), -4.0];
            let tensor = vector(g.map(|x| x as f32).to_vec(), &device);
            let stepped = adam.step(found, vec![Some(tensor), None]);
            found = stepped.parameters;
            let size = (g[0] * g[0] + g[1] * g[1]).sqrt();
            assert!((stepped.norm - size).abs() < 1e-6);
            for i in 0..2 {
                let g = g[i] / size;
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (first, second) = (1.0 - 0.9f64.powi(step), 1.0 - 0.999f64.powi(step));
                p[i] -= 0.1 * 0.2 * p[i];
                p[i] -= 0.1 * (m[i] / first) / ((v[i] / second).sqrt() + 1e-8);
            }
        }
        for (f, p) in host64(found[0].clone()).iter().zip(p) {
            assert!((f - p).abs() < 1e-5, "{f} {p}");
        }
        assert_eq!(host(found[1].clone()), [5.0]);
    }
}
