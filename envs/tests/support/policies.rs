//! Policies with random weights.
#![allow(dead_code)]

use tiltrl_envs::gpu::policy::{Bend, PolicyLayer, PolicyStep, PolicyTables};
use tiltrl_envs::random::Stream;

/// Width of a step's embedding.
const EMBEDDING: usize = 16;

/// A policy of an environment with these widths of observation and action: hidden layers of these widths, so many steps, the
/// variance learned or not. Sums keep a deviation of about one from layer to layer.
pub fn random_policy(
    [observed, acted]: [usize; 2],
    hidden: &[usize],
    steps: usize,
    learned: bool,
) -> PolicyTables {
    let mut stream = Stream::new(11);
    let mut numbers = |count: usize, deviation: f64| -> Vec<f32> {
        let draw = |_| (deviation * stream.normal()) as f32;
        (0..count).map(draw).collect()
    };
    let outputs = if learned { 2 * acted } else { acted };
    let mut inputs = acted + EMBEDDING + observed;
    let mut layers = Vec::new();
    for &width in hidden.iter().chain([&outputs]) {
        layers.push(PolicyLayer {
            shape: [inputs, width],
            weight: numbers(inputs * width, 1.0 / (inputs as f64).sqrt()),
            bias: numbers(width, 0.1),
        });
        inputs = width;
    }
    let mut step = |k: usize| PolicyStep {
        state: 0.9,
        output: 0.4,
        sigma: 0.3 * (steps - 1 - k) as f32 / steps as f32,
        embedding: numbers(EMBEDDING, 1.0),
    };
    PolicyTables {
        steps: (0..steps).map(&mut step).collect(),
        observation: [vec![0.1; observed], vec![1.5; observed]],
        action: [vec![0.05; acted], vec![0.8; acted]],
        log_sigma_limit: learned.then_some(2.0),
        bend: Bend::Silu,
        layers,
    }
}

/// A key for the noise of each of `count` environments.
pub fn noise_keys(count: usize) -> Vec<[u8; 32]> {
    let key = |k: usize| std::array::from_fn(|byte| (31 * k + 7 * byte + k / 8) as u8);
    (0..count).map(key).collect()
}
