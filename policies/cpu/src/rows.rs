//! What follows a matrix product in a hidden layer, one pass over each row while it is in the first cache:
//! bias, layer normalisation, activation; and the same backwards with the gradients of all three.
//!
//! Sums over a row run in sixteen fixed lanes, so every instruction set gives the same bytes.

use multiversion::multiversion;

use crate::math::{
    Activation, fused, gelu, gelu_slope, mish, mish_slope, relu, relu_slope, silu, silu_slope,
};

const EPSILON: f32 = 1e-5;
const LANES: usize = 16;

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    lanes.iter().sum()
}

/// Σ term(v), by sixteen sums side by side.
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest: f32 = blocks.remainder().iter().map(|&v| term(v)).sum();
    for block in blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane += term(v);
        }
    }
    total(lanes) + rest
}

/// Σ a b
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    total(lanes) + rest
}

/// Turns products into hidden values.
///
/// `z` [rows, width] holds h W. With `hidden` of the same size, it keeps what [`backward`] needs (the normalised rows, or
/// the pre-activations) and `hidden` gets the values; with an empty `hidden`, it gets the values itself. `norm` is gain and
/// shift, or empty; `inverse` `[rows]` gets 1/std when it is not empty.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn forward(
    activation: Activation,
    bias: &[f32],
    norm: &[f32],
    z: &mut [f32],
    hidden: &mut [f32],
    inverse: &mut [f32],
) {
    const FUSED: bool = fused!();
    match activation {
        Activation::Relu => forward_with(relu, bias, norm, z, hidden, inverse),
        Activation::Silu => forward_with(silu::<FUSED>, bias, norm, z, hidden, inverse),
        Activation::Mish => forward_with(mish::<FUSED>, bias, norm, z, hidden, inverse),
        Activation::Gelu => forward_with(gelu::<FUSED>, bias, norm, z, hidden, inverse),
    }
}

#[inline(always)]
fn forward_with(
    value: impl Fn(f32) -> f32 + Copy,
    bias: &[f32],
    norm: &[f32],
    z: &mut [f32],
    hidden: &mut [f32],
    inverse: &mut [f32],
) {
    let width = bias.len();
    let (gain, shift) = norm.split_at(norm.len() / 2);
    let (mut hidden, mut inverse) = (hidden.chunks_exact_mut(width), inverse.iter_mut());
    for row in z.chunks_exact_mut(width) {
        let out = hidden.next();
        if norm.is_empty() {
            match out {
                Some(out) => {
                    for ((h, z), b) in out.iter_mut().zip(row).zip(bias) {
                        *z += b;
                        *h = value(*z);
                    }
                }
                None => {
                    for (z, b) in row.iter_mut().zip(bias) {
                        *z = value(*z + b);
                    }
                }
            }
            continue;
        }
        for (z, b) in row.iter_mut().zip(bias) {
            *z += b;
        }
        let scale = normalize(row);
        if let Some(slot) = inverse.next() {
            *slot = scale;
        }
        let affine = gain.iter().zip(shift);
        match out {
            Some(out) => {
                for ((h, &n), (g, s)) in out.iter_mut().zip(&*row).zip(affine) {
                    *h = value(n * g + s);
                }
            }
            None => {
                for (n, (g, s)) in row.iter_mut().zip(affine) {
                    *n = value(*n * g + s);
                }
            }
        }
    }
}

/// Replaces a row by (z − mean)/std and returns 1/std.
#[inline(always)]
fn normalize(row: &mut [f32]) -> f32 {
    let width = row.len() as f32;
    let mean = sum(row, |z| z) / width;
    let variance = sum(row, |z| (z - mean) * (z - mean)) / width;
    let scale = 1.0 / (variance + EPSILON).sqrt();
    for z in row.iter_mut() {
        *z = (*z - mean) * scale;
    }
    scale
}

/// Turns gradients of hidden values into gradients of the products, in place.
///
/// `delta` and `z` [rows, width]; `z` and `inverse` as [`forward`] kept them; `norm` is gain and shift, or empty.
/// Adds the gradients of the bias and of `norm` to `own`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn backward(
    activation: Activation,
    norm: &[f32],
    z: &[f32],
    inverse: &[f32],
    delta: &mut [f32],
    own: [&mut [f32]; 2],
) {
    const FUSED: bool = fused!();
    match activation {
        Activation::Relu => backward_with(relu_slope, norm, z, inverse, delta, own),
        Activation::Silu => backward_with(silu_slope::<FUSED>, norm, z, inverse, delta, own),
        Activation::Mish => backward_with(mish_slope::<FUSED>, norm, z, inverse, delta, own),
        Activation::Gelu => backward_with(gelu_slope::<FUSED>, norm, z, inverse, delta, own),
    }
}

#[inline(always)]
fn backward_with(
    slope: impl Fn(f32) -> f32 + Copy,
    norm: &[f32],
    z: &[f32],
    inverse: &[f32],
    delta: &mut [f32],
    own: [&mut [f32]; 2],
) {
    let [bias_gradient, norm_gradient] = own;
    let width = bias_gradient.len();
    let (gain, shift) = norm.split_at(norm.len() / 2);
    let (gain_gradient, shift_gradient) = norm_gradient.split_at_mut(norm.len() / 2);
    let mut scales = inverse.iter();
    for (row, kept) in delta.chunks_exact_mut(width).zip(z.chunks_exact(width)) {
        if norm.is_empty() {
            for ((d, &z), b) in row.iter_mut().zip(kept).zip(bias_gradient.iter_mut()) {
                *d *= slope(z);
                *b += *d;
            }
        } else {
            let own = gain_gradient.iter_mut().zip(shift_gradient.iter_mut());
            let affine = gain.iter().zip(shift);
            for (((d, &n), (gain, shift)), (gain_own, shift_own)) in
                row.iter_mut().zip(kept).zip(affine).zip(own)
            {
                let slope = *d * slope(n * gain + shift);
                *gain_own += slope * n;
                *shift_own += slope;
                *d = slope * gain;
            }
            let scale = scales.next().copied().unwrap_or(1.0);
            let mean = sum(row, |d| d) / width as f32;
            let product = dot(row, kept) / width as f32;
            for (d, n) in row.iter_mut().zip(kept) {
                *d = scale * (*d - mean - n * product);
            }
            for (b, d) in bias_gradient.iter_mut().zip(&*row) {
                *b += d;
            }
        }
    }
}
