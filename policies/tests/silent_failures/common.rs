//! Shared by all files of this suite.

use burn::tensor::{Device, Tensor};
use tiltrl_policies::kernels::adam::AdamConfig;
use tiltrl_policies::nets::host;
use tiltrl_policies::schedule::{Prediction, Schedule, ScheduleKind};

/// Adam without weight decay and clipping.
pub fn adam(learning_rate: f32) -> AdamConfig {
    AdamConfig {
        learning_rate,
        weight_decay: 0.0,
        max_gradient_norm: 0.0,
    }
}

/// A cosine schedule that predicts ε.
pub fn cosine(steps: usize) -> Schedule {
    Schedule::new(ScheduleKind::Cosine, steps, Prediction::Epsilon).expect("memoryless")
}

/// Conditions of a world that has none.
pub fn none(paths: usize) -> Tensor<2> {
    Tensor::zeros([paths, 1], &Device::flex())
}

/// The first coordinate of every sample.
pub fn first(sample: &Tensor<2>) -> Vec<f64> {
    let width = sample.dims()[1];
    host(sample.clone())
        .chunks_exact(width)
        .map(|row| f64::from(row[0]))
        .collect()
}

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
