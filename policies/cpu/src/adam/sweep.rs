//! The loops of Adam over plain slices.

use multiversion::multiversion;
use tiltrl_tilt::optimizer::AdamConfig;

/// Numbers of one sweep.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    scale: f32,
    rate: f32,
    correction: f32,
    decay: f32,
}

impl Factors {
    /// Returns the numbers of step `count` of a gradient of this norm.
    pub(super) fn new(config: &AdamConfig, count: u64, norm: f64) -> Self {
        let correction = [0.9f64, 0.999].map(|beta| 1.0 - beta.powf(count as f64));
        Self {
            scale: config.clip(norm),
            rate: (f64::from(config.learning_rate) / correction[0]) as f32,
            correction: (1.0 / correction[1].sqrt()) as f32,
            decay: 1.0 - config.learning_rate * config.weight_decay,
        }
    }
}

/// Returns Σ g², summed in f64 over fixed blocks.
pub(super) fn squared_norm(values: &[f32]) -> f64 {
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
pub(super) fn sweep(
    parameters: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    factors: Factors,
) {
    for (((p, &g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
        *p = stepped(*p, g, (m, v), factors);
    }
}

/// As [`sweep`], with the new parameters in the gradient's place.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn sweep_over(
    parameters: &[f32],
    gradient: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    factors: Factors,
) {
    for (((&p, g), m), v) in parameters.iter().zip(gradient).zip(first).zip(second) {
        *g = stepped(p, *g, (m, v), factors);
    }
}

/// The new value of one parameter; its moments move.
#[inline(always)]
fn stepped(p: f32, g: f32, (m, v): (&mut f32, &mut f32), factors: Factors) -> f32 {
    let Factors {
        scale,
        rate,
        correction,
        decay,
    } = factors;
    let g = g * scale;
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.999 * *v + 0.001 * g * g;
    p * decay - rate * *m / (v.sqrt() * correction + 1e-8)
}

/// Moves `average` towards `values`: average ← decay · average + (1 − decay) · values.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn moving_average(average: &mut [f32], values: &[f32], decay: f32) {
    for (a, &v) in average.iter_mut().zip(values) {
        *a = decay * *a + (1.0 - decay) * v;
    }
}
