//! Adam with decoupled weight decay, joint global-norm clipping and an exponential moving average, in one sweep.
//!
//! Kingma and Ba 2015 (arXiv:1412.6980); Loshchilov and Hutter 2019 (arXiv:1711.05101).

use std::path::Path;

use burn::tensor::Tensor;
use multiversion::multiversion;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer, Stepped};

use crate::host::HostVector;

/// Parameters of a sweep's block: five vectors of them are 20 KB.
const BLOCK: usize = 1024;

/// What follows parameters: average ← decay · average + (1 − decay) · parameters.
pub struct Average<'a> {
    /// The average, of the parameters' length.
    pub values: &'a mut [f32],
    /// Share of the average that stays, in [0, 1).
    pub decay: f32,
}

/// Moments of one flat parameter vector.
#[derive(Clone, Debug, Default, PartialEq)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Numbers of one sweep.
#[derive(Clone, Copy)]
struct Factors {
    scale: f32,
    rate: f32,
    correction: f32,
    decay: f32,
}

impl Factors {
    fn new(config: &AdamConfig, count: u64, norm: f64) -> Self {
        let correction = [0.9f64, 0.999].map(|beta| 1.0 - beta.powf(count as f64));
        Self {
            scale: config.clip(norm),
            rate: (f64::from(config.learning_rate) / correction[0]) as f32,
            correction: (1.0 / correction[1].sqrt()) as f32,
            decay: 1.0 - config.learning_rate * config.weight_decay,
        }
    }
}

impl Moments {
    fn new(length: usize) -> Self {
        Self {
            first: vec![0.0; length],
            second: vec![0.0; length],
        }
    }

    /// One sweep, block by block, so that the average finds the new parameters in the first cache.
    fn sweep(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        factors: Factors,
        mut average: Option<Average<'_>>,
    ) {
        assert_eq!(parameters.len(), gradient.len());
        assert_eq!(parameters.len(), self.first.len());
        if let Some(average) = &average {
            assert_eq!(parameters.len(), average.values.len());
        }
        let blocks = parameters.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
        let moments = self
            .first
            .chunks_mut(BLOCK)
            .zip(self.second.chunks_mut(BLOCK));
        for (index, ((p, g), (m, v))) in blocks.zip(moments).enumerate() {
            sweep(p, g, m, v, factors);
            if let Some(average) = &mut average {
                let start = index * BLOCK;
                let values = &mut average.values[start..start + p.len()];
                moving_average(values, p, average.decay);
            }
        }
    }
}

/// Adam of one flat parameter vector, for networks whose parameters lie in one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlatAdam {
    pub config: AdamConfig,
    moments: Moments,
    pub count: u64,
}

impl FlatAdam {
    /// Returns an optimizer that has done nothing yet.
    pub(crate) fn new(config: AdamConfig, length: usize) -> Self {
        Self {
            config,
            moments: Moments::new(length),
            count: 0,
        }
    }

    /// Updates `parameters` in place and returns the gradient's norm before clipping.
    pub(crate) fn step(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        average: Option<Average<'_>>,
    ) -> f64 {
        self.count += 1;
        let norm = squared_norm(gradient).sqrt();
        let factors = Factors::new(&self.config, self.count, norm);
        self.moments.sweep(parameters, gradient, factors, average);
        norm
    }

    pub(crate) fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        self.moments.put(checkpoint, suffix);
        let key = format!("count{suffix}");
        checkpoint.settings.insert(key, self.count.into());
    }

    pub(crate) fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
    ) -> Result<(), TiltError> {
        let length = self.moments.first.len();
        self.moments = Moments::get(checkpoint, path, suffix, length)?;
        let count = checkpoint.settings.get(&format!("count{suffix}"));
        self.count = count.and_then(|c| c.as_u64()).unwrap_or(checkpoint.update);
        Ok(())
    }
}

impl Moments {
    fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        let mut insert = |name: &str, values: &[f32]| {
            let name = format!("{name}{suffix}");
            checkpoint.tensors.insert(name, values.to_vec());
        };
        insert("first", &self.first);
        insert("second", &self.second);
    }

    fn get(
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        length: usize,
    ) -> Result<Self, TiltError> {
        Ok(Self {
            first: checkpoint.tensor(path, &format!("first{suffix}"), length)?,
            second: checkpoint.tensor(path, &format!("second{suffix}"), length)?,
        })
    }
}

/// Adam of a model's parameters on the CPU: tensors of the CPU backend are stepped where they lie, others on a copy.
#[derive(Clone, Debug)]
pub struct HostAdam {
    config: AdamConfig,
    moments: Vec<Moments>,
    count: u64,
}

impl HostAdam {
    /// Returns an optimizer that has done nothing yet.
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            moments: Vec::new(),
            count: 0,
        }
    }

    /// As [`Optimizer::step`], and in the same sweep `averages`, one per parameter, follow with `decay`.
    pub fn step_averaged(
        &mut self,
        parameters: Vec<Tensor<1>>,
        gradient: Vec<Option<Tensor<1>>>,
        averages: &mut [Vec<f32>],
        decay: f32,
    ) -> Stepped {
        if self.moments.is_empty() {
            let new = |p: &Tensor<1>| Moments::new(p.dims()[0]);
            self.moments = parameters.iter().map(new).collect();
        }
        self.count += 1;
        let gradient: Vec<Option<HostVector>> = gradient
            .into_iter()
            .map(|g| g.map(HostVector::of))
            .collect();
        let squares = gradient.iter().flatten().map(|g| squared_norm(g.values()));
        let norm = squares.sum::<f64>().sqrt();
        let factors = Factors::new(&self.config, self.count, norm);
        let mut averages = averages.iter_mut();
        let all = parameters.into_iter().zip(&gradient).zip(&mut self.moments);
        let stepped = all.map(|((parameter, gradient), moments)| {
            let values = averages.next();
            let Some(gradient) = gradient else {
                return parameter;
            };
            let device = parameter.device();
            let mut owned = HostVector::of(parameter);
            let average = values.map(|values| Average { values, decay });
            moments.sweep(owned.values_mut(), gradient.values(), factors, average);
            owned.into_tensor().to_device(&device)
        });
        let parameters = stepped.collect();
        Stepped { parameters, norm }
    }
}

impl Optimizer for HostAdam {
    fn step(&mut self, parameters: Vec<Tensor<1>>, gradient: Vec<Option<Tensor<1>>>) -> Stepped {
        self.step_averaged(parameters, gradient, &mut [], 0.0)
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
        for (i, moments) in self.moments.iter().enumerate() {
            moments.put(checkpoint, &format!("{suffix}.{i}"));
        }
    }

    fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        lengths: &[usize],
    ) -> Result<(), TiltError> {
        let lengths = lengths.iter().enumerate();
        let moments = lengths
            .map(|(i, &length)| Moments::get(checkpoint, path, &format!("{suffix}.{i}"), length));
        self.moments = moments.collect::<Result<_, _>>()?;
        self.count = checkpoint.update;
        Ok(())
    }
}

/// Returns Σ g², summed in f64 over fixed blocks.
fn squared_norm(values: &[f32]) -> f64 {
    values
        .chunks(4096)
        .map(|block| f64::from(block_norm(block)))
        .sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn block_norm(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|v| v * v).sum();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v * v;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn sweep(
    parameters: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    factors: Factors,
) {
    let Factors {
        scale,
        rate,
        correction,
        decay,
    } = factors;
    for (((p, &g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g * scale;
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *p = *p * decay - rate * *m / (v.sqrt() * correction + 1e-8);
    }
}

/// Moves `average` towards `values`: average ← decay · average + (1 − decay) · values.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn moving_average(average: &mut [f32], values: &[f32], decay: f32) {
    for (a, &v) in average.iter_mut().zip(values) {
        *a = decay * *a + (1.0 - decay) * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_gradient() {
        let config = AdamConfig {
            learning_rate: 0.1,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        };
        let mut adam = FlatAdam::new(config, 2);
        let mut parameters = [1.0, -1.0];
        let norm = adam.step(&mut parameters, &[3.0, -4.0], None);
        assert!((norm - 5.0).abs() < 1e-9);
        assert!((parameters[0] - 0.9).abs() < 1e-5 && (parameters[1] + 0.9).abs() < 1e-5);
    }

    #[test]
    fn clipping_scales_all_parameters_by_one_factor() {
        let config = AdamConfig {
            learning_rate: 0.1,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
        };
        let mut adam = FlatAdam::new(config, 2);
        adam.step(&mut [0.0, 0.0], &[30.0, -40.0], None);
        assert!(
            (adam.moments.first[0] - 0.06).abs() < 1e-6
                && (adam.moments.first[1] + 0.08).abs() < 1e-6
        );
    }
}
