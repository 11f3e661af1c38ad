//! Layer normalisation of rows, forward and backward, with sums in sixteen fixed lanes.

use multiversion::multiversion;

const EPSILON: f32 = 1e-5;
const LANES: usize = 16;

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(usize, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = values.len() / LANES * LANES;
    for (chunk, block) in values[..whole].chunks_exact(LANES).enumerate() {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += term(chunk * LANES + i, block[i]);
        }
    }
    let rest: f32 = values[whole..]
        .iter()
        .enumerate()
        .map(|(i, &v)| term(whole + i, v))
        .sum();
    lanes.iter().sum::<f32>() + rest
}

/// Replaces rows by gain · (z − mean)/std + shift; returns, when `keep`, the normalised rows and 1/std.
///
/// # Shapes
/// `rows` [rows, width]; `gain_shift` [2 · width].
pub fn normalize(rows: &mut [f32], gain_shift: &[f32], keep: bool) -> (Vec<f32>, Vec<f32>) {
    let width = gain_shift.len() / 2;
    let mut kept = vec![0.0; if keep { rows.len() } else { 0 }];
    let mut inverse = vec![0.0; if keep { rows.len() / width } else { 0 }];
    sweep(rows, gain_shift, &mut kept, &mut inverse);
    (kept, inverse)
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn sweep(rows: &mut [f32], gain_shift: &[f32], kept: &mut [f32], inverse: &mut [f32]) {
    let width = gain_shift.len() / 2;
    let (gain, shift) = gain_shift.split_at(width);
    let shift = &shift[..width];
    for (index, row) in rows.chunks_exact_mut(width).enumerate() {
        let mean = sum(row, |_, z| z) / width as f32;
        let variance = sum(row, |_, z| (z - mean) * (z - mean)) / width as f32;
        let scale = 1.0 / (variance + EPSILON).sqrt();
        for z in row.iter_mut() {
            *z = (*z - mean) * scale;
        }
        if !inverse.is_empty() {
            kept[index * width..(index + 1) * width].copy_from_slice(row);
            inverse[index] = scale;
        }
        for ((z, g), b) in row.iter_mut().zip(gain).zip(shift) {
            *z = *z * g + b;
        }
    }
}

/// Turns gradients of the normalised output into gradients of its input, in place, and adds those of gain and shift.
///
/// # Shapes
/// `delta` and `normalized` [rows, width], `inverse` `[rows]`, `gain` `[width]`, `gradient` [2 · width].
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn normalize_backward(
    delta: &mut [f32],
    normalized: &[f32],
    inverse: &[f32],
    gain: &[f32],
    gradient: &mut [f32],
) {
    let width = gain.len();
    let (gain_gradient, shift_gradient) = gradient.split_at_mut(width);
    let rows = delta
        .chunks_exact_mut(width)
        .zip(normalized.chunks_exact(width))
        .zip(inverse);
    for ((row, normalized), scale) in rows {
        for (((g, b), d), n) in gain_gradient
            .iter_mut()
            .zip(shift_gradient.iter_mut())
            .zip(row.iter())
            .zip(normalized)
        {
            *g += d * n;
            *b += d;
        }
        for (d, g) in row.iter_mut().zip(gain) {
            *d *= g;
        }
        let mean = sum(row, |_, d| d) / width as f32;
        let product = sum(row, |i, d| d * normalized[i]) / width as f32;
        for (d, n) in row.iter_mut().zip(normalized) {
            *d = scale * (*d - mean - n * product);
        }
    }
}
