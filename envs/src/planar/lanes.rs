//! `Lanes<L>`: the same number of `L` environments side by side.
//!
//! The engine is written once over `Lanes<L, T>`. With `L = 1` it steps one environment; with `L = 8` it steps eight, and
//! the compiler turns each operation into vector instructions. Every operation works on each lane alone and in the same
//! order for every `L`, so a lane's bytes do not depend on how many neighbours it has. Fused multiply-add is left out on
//! purpose: with it the bytes would depend on the processor. `T` is f64; with f32 twice as many fit a register, at the price
//! of digits.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A number that the engine can compute with: f64, or f32 where speed counts more than the last digits.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;
    /// The solver ends where the gradient is below this share of the largest force.
    const SOLVER_TOLERANCE: f64;
    /// The line search ends at this share of the slope that it began with.
    const LINE_TOLERANCE: f64;
    /// Newton steps at most.
    const MAX_NEWTON_STEPS: usize;
    /// Steps of a line search at most.
    const MAX_LINE_SEARCH: usize;
    /// The nearest number to an f64.
    fn of(value: f64) -> Self;
    /// The number in f64.
    fn to_f64(self) -> f64;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($type:ty, $solver:expr, $line:expr, $newton:expr, $search:expr) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const SOLVER_TOLERANCE: f64 = $solver;
            const LINE_TOLERANCE: f64 = $line;
            const MAX_NEWTON_STEPS: usize = $newton;
            const MAX_LINE_SEARCH: usize = $search;
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$type>::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$type>::sqrt(self)
            }
        }
    };
}
real!(f64, 2e-14, 1e-9, 50, 40);
// f32 rounds at 6e-8 of a force: asking for more than this would never end.
real!(f32, 3e-6, 1e-4, 8, 10);

/// `L` numbers, one for each environment that is stepped at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
pub struct Lanes<const L: usize, T = f64>(pub [T; L]);

impl<const L: usize, T: Real> Lanes<L, T> {
    /// Zero in every lane.
    pub const ZERO: Self = Self([T::ZERO; L]);

    /// The same number in every lane.
    #[inline(always)]
    pub fn splat(value: f64) -> Self {
        Self([T::of(value); L])
    }

    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(T, T) -> T) -> Self {
        let mut out = [T::ZERO; L];
        for lane in 0..L {
            out[lane] = operation(self.0[lane], other.0[lane]);
        }
        Self(out)
    }

    /// Applies a function to every lane.
    #[inline(always)]
    pub fn map(self, operation: impl Fn(T) -> T) -> Self {
        let mut out = [T::ZERO; L];
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
        self.map(T::abs)
    }

    /// The square root (IEEE 754 rounds it exactly, so it is the same everywhere).
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        self.map(T::sqrt)
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
        impl<const L: usize, T: Real> $trait for Lanes<L, T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, |a, b| a $operator b)
            }
        }
        impl<const L: usize, T: Real> $trait<f64> for Lanes<L, T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                let other = T::of(other);
                self.map(|a| a $operator other)
            }
        }
    };
}
lane_operator!(Add, add, +);
lane_operator!(Sub, sub, -);
lane_operator!(Mul, mul, *);
lane_operator!(Div, div, /);

impl<const L: usize, T: Real> AddAssign for Lanes<L, T> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const L: usize, T: Real> SubAssign for Lanes<L, T> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const L: usize, T: Real> Neg for Lanes<L, T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}
