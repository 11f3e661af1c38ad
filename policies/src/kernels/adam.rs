//! Adam with decoupled weight decay, joint global-norm clipping and an exponential moving average, in one sweep.
//!
//! Kingma and Ba 2015 (arXiv:1412.6980); Loshchilov and Hutter 2019 (arXiv:1711.05101).

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// Parameters of a sweep's block: five vectors of them are 20 KB.
const BLOCK: usize = 1024;

/// Settings of [`Adam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Step size.
    pub learning_rate: f32,
    /// Decoupled weight decay, per update, times the learning rate.
    pub weight_decay: f32,
    /// Gradients with a larger joint norm are scaled down to it; 0 switches clipping off.
    pub max_gradient_norm: f32,
}

/// Moments of every parameter and the number of updates done.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Settings.
    pub config: AdamConfig,
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub second: Vec<f32>,
    /// Updates done.
    pub count: u64,
}

impl Adam {
    /// Returns an optimizer that has done nothing yet.
    pub fn new(config: AdamConfig, num_parameters: usize) -> Self {
        Self {
            config,
            first: vec![0.0; num_parameters],
            second: vec![0.0; num_parameters],
            count: 0,
        }
    }

    /// Updates `parameters` in place and returns the gradient's norm before clipping.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) -> f64 {
        self.step_averaged(parameters, gradient, None)
    }

    /// As [`Self::step`], and in the same sweep average ← decay · average + (1 − decay) · parameters, for (average, decay).
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn step_averaged(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        mut average: Option<(&mut [f32], f32)>,
    ) -> f64 {
        assert_eq!(parameters.len(), gradient.len());
        assert_eq!(parameters.len(), self.first.len());
        self.count += 1;
        let norm = squared_norm(gradient).sqrt();
        let limit = f64::from(self.config.max_gradient_norm);
        let scale = if limit > 0.0 && norm > limit {
            (limit / norm) as f32
        } else {
            1.0
        };
        let correction = [
            1.0 - 0.9f64.powf(self.count as f64),
            1.0 - 0.999f64.powf(self.count as f64),
        ];
        let rate = f64::from(self.config.learning_rate) / correction[0];
        let factors = [
            scale,
            rate as f32,
            (1.0 / correction[1].sqrt()) as f32,
            1.0 - self.config.learning_rate * self.config.weight_decay,
        ];
        if let Some((average, _)) = &average {
            assert_eq!(parameters.len(), average.len());
        }
        // Block by block, so that the average finds the new parameters in the first cache.
        let blocks = parameters.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
        let moments = self
            .first
            .chunks_mut(BLOCK)
            .zip(self.second.chunks_mut(BLOCK));
        for (index, ((p, g), (m, v))) in blocks.zip(moments).enumerate() {
            sweep(p, g, m, v, factors);
            if let Some((average, decay)) = &mut average {
                let start = index * BLOCK;
                moving_average(&mut average[start..start + p.len()], p, *decay);
            }
        }
        norm
    }
}

/// Returns Σ g², summed in f64 over fixed blocks.
pub fn squared_norm(values: &[f32]) -> f64 {
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
    factors: [f32; 4],
) {
    let [scale, rate, correction, decay] = factors;
    for (((p, &g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g * scale;
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *p = *p * decay - rate * *m / (v.sqrt() * correction + 1e-8);
    }
}

/// Moves `average` towards `values`: average ← decay · average + (1 − decay) · values.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn moving_average(average: &mut [f32], values: &[f32], decay: f32) {
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
        let mut adam = Adam::new(config, 2);
        let mut parameters = [1.0, -1.0];
        let norm = adam.step(&mut parameters, &[3.0, -4.0]);
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
        let mut adam = Adam::new(config, 2);
        adam.step(&mut [0.0, 0.0], &[30.0, -40.0]);
        assert!((adam.first[0] - 0.06).abs() < 1e-6 && (adam.first[1] + 0.08).abs() < 1e-6);
    }
}
