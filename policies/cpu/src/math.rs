//! Activations and their derivatives, written so that the compiler vectorises them for the CPU found at run time.
//!
//! The exponential is a power of two and a degree-5 polynomial; its relative error on [-87, 87] is below 2e-7 + 1.5e-8 |x|
//! (without fused multiply-add 2e-7 + 1.5e-7 |x|). Quotients are two steps from a guess in the exponent's bits (relative error
//! below 3e-7 for divisors from 1 to 1e37): a division takes longer than both. GELU is the exact form z · Φ(z), with Φ from Abramowitz and Stegun 7.1.26; its absolute
//! error is below 1e-6 · max(1, |z|), that of its derivative below 2e-6. All are tested against f64. Every instruction set with
//! fused multiply-add (`FUSED`) gives the same bytes; without it multiply and add round apart.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// Whether the version of a function that is being compiled has fused multiply-add.
macro_rules! fused {
    () => {{
        #[cfg(target_arch = "x86_64")]
        {
            multiversion::target::selected_target!().supports_feature_str("fma")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            cfg!(target_arch = "aarch64")
        }
    }};
}
pub(super) use fused;

/// The element-wise non-linearity of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(z, 0): negative inputs give 0.
    Relu,
    /// z · sigmoid(z)
    Silu,
    /// z · tanh(ln(1 + e^z))
    Mish,
    /// z · Φ(z), with Φ the distribution function of the standard normal (the exact form, not tanh's)
    Gelu,
}

#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Returns m and 2ⁿ with e^(sign · x) = m · 2ⁿ, for |x| ≤ 87; `sign` is 1 or −1.
// A fitted coefficient close to ln 2, not the constant.
#[allow(clippy::approx_constant)]
#[inline(always)]
fn exp_parts<const FUSED: bool>(x: f32, sign: f32) -> (f32, f32) {
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits of the mantissa; 127 more, and they are an exponent's.
    const SHIFT: f32 = 12_582_912.0 + 127.0;
    let rate = sign * std::f32::consts::LOG2_E;
    let shifted = multiply_add::<FUSED>(x, rate, SHIFT);
    let rest = multiply_add::<FUSED>(x, rate, SHIFT - shifted);
    let mut polynomial = 0.001_326_472_7f32;
    for coefficient in [0.009_671_513, 0.055_507_336, 0.240_222_42, 0.693_147, 1.0] {
        polynomial = multiply_add::<FUSED>(polynomial, rest, coefficient);
    }
    (polynomial, f32::from_bits(shifted.to_bits() << 23))
}

#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    let (m, scale) = exp_parts::<FUSED>(x.clamp(-87.0, 87.0), 1.0);
    m * scale
}

/// 1/d for d from 1 to 1e37.
#[inline(always)]
fn reciprocal<const FUSED: bool>(d: f32) -> f32 {
    // Negating the exponent's bits is within 5 % of the reciprocal; the first step squares the error, the second cubes it.
    let r = f32::from_bits(0x7ef3_11c3u32.wrapping_sub(d.to_bits()));
    let error = multiply_add::<FUSED>(-d, r, 1.0);
    let r = multiply_add::<FUSED>(r, error, r);
    let error = multiply_add::<FUSED>(-d, r, 1.0);
    multiply_add::<FUSED>(r, multiply_add::<FUSED>(error, error, error), r)
}

/// 1/(1 + e^−z)
#[inline(always)]
fn sigmoid<const FUSED: bool>(z: f32) -> f32 {
    let (m, scale) = exp_parts::<FUSED>(z.clamp(-87.0, 87.0), -1.0);
    reciprocal::<FUSED>(multiply_add::<FUSED>(m, scale, 1.0))
}

/// Returns e^z, tanh(ln(1 + e^z)) and the reciprocal of its divisor.
#[inline(always)]
fn mish_ratio<const FUSED: bool>(z: f32) -> (f32, f32, f32) {
    let e = exp::<FUSED>(z.min(20.0));
    let n = e * (e + 2.0);
    let inverse = reciprocal::<FUSED>(n + 2.0);
    (e, n * inverse, inverse)
}

/// Returns Φ(z) and e^{−z²/2}.
#[inline(always)]
fn normal<const FUSED: bool>(z: f32) -> (f32, f32) {
    let density = exp::<FUSED>(-0.5 * z * z);
    let slope = 0.3275911 * std::f32::consts::FRAC_1_SQRT_2;
    let t = reciprocal::<FUSED>(multiply_add::<FUSED>(slope, z.abs(), 1.0));
    let mut series = 1.061_405_4f32;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        series = multiply_add::<FUSED>(series, t, coefficient);
    }
    let tail = 0.5 * t * series * density;
    (if z < 0.0 { tail } else { 1.0 - tail }, density)
}

#[inline(always)]
pub(super) fn relu(z: f32) -> f32 {
    z.max(0.0)
}

#[inline(always)]
pub(super) fn relu_slope(z: f32) -> f32 {
    if z > 0.0 { 1.0 } else { 0.0 }
}

#[inline(always)]
pub(super) fn silu<const FUSED: bool>(z: f32) -> f32 {
    z * sigmoid::<FUSED>(z)
}

#[inline(always)]
pub(super) fn silu_slope<const FUSED: bool>(z: f32) -> f32 {
    let s = sigmoid::<FUSED>(z);
    let y = z * s;
    // s (1 + z (1 − s))
    multiply_add::<FUSED>(s, 1.0 - y, y)
}

#[inline(always)]
pub(super) fn mish<const FUSED: bool>(z: f32) -> f32 {
    z * mish_ratio::<FUSED>(z).1
}

#[inline(always)]
pub(super) fn mish_slope<const FUSED: bool>(z: f32) -> f32 {
    let (e, t, inverse) = mish_ratio::<FUSED>(z);
    multiply_add::<FUSED>(z * 4.0 * e * (e + 1.0) * inverse, inverse, t)
}

#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(z: f32) -> f32 {
    z * normal::<FUSED>(z).0
}

#[inline(always)]
pub(super) fn gelu_slope<const FUSED: bool>(z: f32) -> f32 {
    let (below, density) = normal::<FUSED>(z);
    multiply_add::<FUSED>(z * density, 0.398_942_3, below)
}

/// Writes e^x of each element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn exp_slice(input: &[f32], output: &mut [f32]) {
    const FUSED: bool = fused!();
    for (y, &x) in output.iter_mut().zip(input) {
        *y = exp::<FUSED>(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ(z) in f64, by Simpson's rule from 0.
    fn distribution(z: f64) -> f64 {
        let n = 2000;
        let h = z / f64::from(n);
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let inner: f64 = (1..n)
            .map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 })
            .sum();
        0.5 + (density(0.0) + density(z) + inner) * h / 3.0
    }

    #[test]
    fn exponential_is_within_its_stated_error() {
        let input: Vec<f32> = (-8000..8000).map(|i| i as f32 * 0.01).collect();
        let mut output = vec![0.0; input.len()];
        exp_slice(&input, &mut output);
        for (&x, &y) in input.iter().zip(&output) {
            let exact = f64::from(x).exp();
            for (y, per_unit) in [
                (y, 1.5e-7),
                (exp::<true>(x), 1.5e-8),
                (exp::<false>(x), 1.5e-7),
            ] {
                let error = (f64::from(y) / exact - 1.0).abs();
                let bound = 2e-7 + per_unit * f64::from(x.abs());
                assert!(error < bound, "exp({x}) = {y}: {error:e}");
            }
        }
    }

    #[test]
    fn quotients_are_within_their_stated_error() {
        for i in 0..20_000 {
            let d = 10f32.powf(i as f32 * 37.0 / 20_000.0);
            for r in [reciprocal::<true>(d), reciprocal::<false>(d)] {
                let error = f64::from(d) * f64::from(r) - 1.0;
                assert!(error.abs() < 3e-7, "1/{d} = {r}");
            }
        }
    }

    #[test]
    fn silu_and_mish_are_near_f64_and_end_well() {
        for i in -2000..2000 {
            let z = i as f32 * 0.05;
            let x = f64::from(z);
            let tanh = ((x.exp() + 1.0).powi(2) - 1.0) / ((x.exp() + 1.0).powi(2) + 1.0);
            let tanh = if x > 20.0 { 1.0 } else { tanh };
            let pairs = [
                (silu::<true>(z), x / (1.0 + (-x).exp())),
                (mish::<true>(z), x * tanh),
            ];
            for (found, exact) in pairs {
                let error = (f64::from(found) - exact).abs();
                assert!(error < 1e-6 * x.abs().max(1.0), "{z}: {found} {exact}");
            }
            assert!(silu_slope::<true>(z).is_finite() && mish_slope::<true>(z).is_finite());
        }
    }

    #[test]
    fn gelu_and_its_slope_are_within_their_stated_errors() {
        for i in -1300..1300 {
            let z = i as f32 * 0.01;
            let (x, below) = (f64::from(z), distribution(f64::from(z)));
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!(
                (f64::from(gelu::<true>(z)) - x * below).abs() < 1e-6 * x.abs().max(1.0),
                "gelu({z})"
            );
            assert!(
                (f64::from(gelu_slope::<true>(z)) - below - x * density).abs() < 2e-6,
                "slope at {z}"
            );
        }
    }

    #[test]
    fn slopes_agree_with_central_differences() {
        type Scalar = fn(f32) -> f32;
        let pairs: [(Scalar, Scalar); 7] = [
            (relu, relu_slope),
            (silu::<true>, silu_slope::<true>),
            (mish::<true>, mish_slope::<true>),
            (gelu::<true>, gelu_slope::<true>),
            (silu::<false>, silu_slope::<false>),
            (mish::<false>, mish_slope::<false>),
            (gelu::<false>, gelu_slope::<false>),
        ];
        for (index, (value, slope)) in pairs.into_iter().enumerate() {
            for i in -60..60 {
                let z = i as f32 * 0.17 + 0.05;
                let h = 1e-2f32;
                let numeric = (value(z + h) - value(z - h)) / (2.0 * h);
                assert!(
                    (numeric - slope(z)).abs() < 2e-3,
                    "{index} at {z}: {numeric} {}",
                    slope(z)
                );
            }
        }
    }
}
