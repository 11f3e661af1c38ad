//! `Lanes<L>`: the same number of `L` environments side by side.
//!
//! The engine is written once over `Lanes<L>`. With `L = 1` it steps one environment; with `L = 8` it steps eight, and
//! the compiler turns each operation into vector instructions. Every operation works on each lane alone and in the same
//! order for every `L`, so a lane's bytes do not depend on how many neighbours it has. Fused multiply-add is left out on
//! purpose: with it the bytes would depend on the processor.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// `L` numbers, one for each environment that is stepped at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
pub struct Lanes<const L: usize>(pub [f64; L]);

impl<const L: usize> Lanes<L> {
    /// Zero in every lane.
    pub const ZERO: Self = Self([0.0; L]);

    /// The same number in every lane.
    #[inline(always)]
    pub fn splat(value: f64) -> Self {
        Self([value; L])
    }

    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = [0.0; L];
        for lane in 0..L {
            out[lane] = operation(self.0[lane], other.0[lane]);
        }
        Self(out)
    }

    /// Applies a function to every lane.
    #[inline(always)]
    pub fn map(self, operation: impl Fn(f64) -> f64) -> Self {
        let mut out = [0.0; L];
        for lane in 0..L {
            out[lane] = operation(self.0[lane]);
        }
        Self(out)
    }

    /// The larger of the two, lane by lane. A NaN on the left is kept.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    /// The smaller of the two, lane by lane. A NaN on the left is kept.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    /// The absolute value.
    #[inline(always)]
    pub fn abs(self) -> Self {
        self.map(f64::abs)
    }

    /// The square root (IEEE 754 rounds it exactly, so it is the same everywhere).
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }

    /// `then` where `self < bound`, else `otherwise`.
    #[inline(always)]
    pub fn select_below(self, bound: Self, then: Self, otherwise: Self) -> Self {
        let mut out = otherwise.0;
        for lane in 0..L {
            out[lane] = if self.0[lane] < bound.0[lane] {
                then.0[lane]
            } else {
                otherwise.0[lane]
            };
        }
        Self(out)
    }

    /// `self` where `residual` is negative, else zero: the weight of a one-sided constraint.
    #[inline(always)]
    pub fn where_negative(self, residual: Self) -> Self {
        residual.select_below(Self::ZERO, self, Self::ZERO)
    }

    /// Whether `self < bound` in any lane.
    #[inline(always)]
    pub fn any_below(self, bound: Self) -> bool {
        let mut any = false;
        for lane in 0..L {
            any |= self.0[lane] < bound.0[lane];
        }
        any
    }
}

macro_rules! lane_operator {
    ($trait:ident, $method:ident, $operator:tt) => {
        impl<const L: usize> $trait for Lanes<L> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, |a, b| a $operator b)
            }
        }
        impl<const L: usize> $trait<f64> for Lanes<L> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                self.map(|a| a $operator other)
            }
        }
    };
}
lane_operator!(Add, add, +);
lane_operator!(Sub, sub, -);
lane_operator!(Mul, mul, *);
lane_operator!(Div, div, /);

impl<const L: usize> AddAssign for Lanes<L> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const L: usize> SubAssign for Lanes<L> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const L: usize> Neg for Lanes<L> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}
