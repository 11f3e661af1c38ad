//! Sine and cosine of many angles at once, without branches.
//!
//! Cody–Waite reduction to [−π/4, π/4] and the kernel polynomials of FreeBSD's msun (`k_sin.c`, `k_cos.c`). The result
//! is within 2.3e-16 of libm's for the angles that joints reach (|angle| < 200 rad is tested; the reduction holds to
//! 1e5), does not depend on the system's libm, and takes eight angles at once.

use super::lanes::{Lanes, Real};

pub(crate) const TWO_OVER_PI: f64 = std::f64::consts::FRAC_2_PI;
// π/2 in three parts; the first two have 33 significant bits, so that k·part is exact for |k| < 2^20.
pub(crate) const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
pub(crate) const HALF_PI_MIDDLE: f64 = 6.077_100_506_303_966e-11;
pub(crate) const HALF_PI_LOW: f64 = 2.022_266_248_795_950_6e-21;
// Adding and subtracting 1.5·2^52 rounds to the nearest integer.
pub(crate) const ROUNDER: f64 = 6_755_399_441_055_744.0;

pub(crate) const SIN: [f64; 6] = [
    -1.666_666_666_666_663_2e-1,
    8.333_333_333_322_49e-3,
    -1.984_126_982_985_795e-4,
    2.755_731_370_707_006_8e-6,
    -2.505_076_025_340_686_3e-8,
    1.589_690_995_211_55e-10,
];
pub(crate) const COS: [f64; 6] = [
    4.166_666_666_666_66e-2,
    -1.388_888_888_887_411e-3,
    2.480_158_728_947_673e-5,
    -2.755_731_435_139_066_3e-7,
    2.087_572_321_298_175e-9,
    -1.135_964_755_778_819_5e-11,
];

/// Sine and cosine of `angle` in radians, in this order; computed in f64 for every `T`.
#[inline(always)]
pub fn sin_cos<const L: usize, T: Real>(angle: Lanes<L, T>) -> (Lanes<L, T>, Lanes<L, T>) {
    let (sine, cosine) = sin_cos_f64(Lanes(angle.0.map(T::to_f64)));
    (Lanes(sine.0.map(T::of)), Lanes(cosine.0.map(T::of)))
}

#[inline(always)]
fn sin_cos_f64<const L: usize>(angle: Lanes<L>) -> (Lanes<L>, Lanes<L>) {
    let quarter_turns = angle.map(|x| (x * TWO_OVER_PI + ROUNDER) - ROUNDER);
    let rest = (angle - quarter_turns * HALF_PI_HIGH) - quarter_turns * HALF_PI_MIDDLE;
    let tail = quarter_turns * HALF_PI_LOW;
    let reduced = rest - tail;
    let tail = (rest - reduced) - tail;
    let square = reduced * reduced;
    let cube = square * reduced;
    let [sine_first, sine_rest @ ..] = SIN;
    let sine_poly = polynomial(square, sine_rest);
    let sine = reduced - ((square * (tail * 0.5 - cube * sine_poly) - tail) - cube * sine_first);
    let cosine_poly = square * polynomial(square, COS);
    let half = square * 0.5;
    let head = Lanes::splat(1.0) - half;
    let cosine =
        head + (((Lanes::splat(1.0) - head) - half) + (square * cosine_poly - reduced * tail));
    turn(sine, cosine, quarter_turns)
}

/// c₀ + c₁x + c₂x² + … by Horner's rule.
#[inline(always)]
fn polynomial<const L: usize, const DEGREE: usize>(x: Lanes<L>, c: [f64; DEGREE]) -> Lanes<L> {
    let mut sum = Lanes::splat(c[DEGREE - 1]);
    for k in (0..DEGREE - 1).rev() {
        sum = sum * x + c[k];
    }
    sum
}

/// Turns (sine, cosine) of the reduced angle by a whole number of quarter turns.
#[inline(always)]
fn turn<const L: usize>(
    sine: Lanes<L>,
    cosine: Lanes<L>,
    quarter_turns: Lanes<L>,
) -> (Lanes<L>, Lanes<L>) {
    // quarter_turns mod 4 in {-2, -1, 0, 1, 2}, by exact floating-point steps.
    let modulo = quarter_turns.map(|k| k - 4.0 * ((k * 0.25 + ROUNDER) - ROUNDER));
    let (mut out_sine, mut out_cosine) = (sine, cosine);
    for lane in 0..L {
        let (s, c, m) = (sine.0[lane], cosine.0[lane], modulo.0[lane]);
        let odd = m == 1.0 || m == -1.0;
        let (swapped_sine, swapped_cosine) = if odd { (c, s) } else { (s, c) };
        let flip_sine = m == -1.0 || m == 2.0 || m == -2.0;
        let flip_cosine = m == 1.0 || m == 2.0 || m == -2.0;
        out_sine.0[lane] = if flip_sine {
            -swapped_sine
        } else {
            swapped_sine
        };
        out_cosine.0[lane] = if flip_cosine {
            -swapped_cosine
        } else {
            swapped_cosine
        };
    }
    (out_sine, out_cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_agree_with_libm_to_two_units_in_the_last_place() {
        let mut angle = -200.0_f64;
        let mut worst = 0.0_f64;
        while angle < 200.0 {
            let (sine, cosine) = sin_cos(Lanes([angle, -angle]));
            let (want_sine, want_cosine) = libm::sincos(angle);
            worst = worst
                .max((sine.0[0] - want_sine).abs())
                .max((cosine.0[0] - want_cosine).abs());
            assert_eq!(sine.0[1], -sine.0[0], "sine is odd at {angle}");
            assert_eq!(cosine.0[1], cosine.0[0], "cosine is even at {angle}");
            angle += 0.000_917;
        }
        assert!(worst <= 2.3e-16, "worst difference {worst:e}");
    }
}
