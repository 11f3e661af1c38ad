//! A number that counts what is done with it: the engine, run with it, says how many operations a robot costs.

use crate::planar::lanes::Real;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// How many operations there were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Operations {
    /// Additions, subtractions, multiplications, divisions and square roots.
    pub arithmetic: u64,
    /// The divisions and square roots among them, which take many times as long.
    pub divisions: u64,
    /// Comparisons: of `min`, `max`, selections and tests.
    pub comparisons: u64,
}

thread_local! {
    static COUNT: Cell<Operations> = const { Cell::new(Operations { arithmetic: 0, divisions: 0, comparisons: 0 }) };
}

/// Does the work and returns what it took on this thread.
pub fn count(work: impl FnOnce()) -> Operations {
    COUNT.set(Operations::default());
    work();
    COUNT.get()
}

fn note(arithmetic: u64, divisions: u64, comparisons: u64) {
    let before = COUNT.get();
    COUNT.set(Operations {
        arithmetic: before.arithmetic + arithmetic,
        divisions: before.divisions + divisions,
        comparisons: before.comparisons + comparisons,
    });
}

/// A number whose operations are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted<T>(pub T);

macro_rules! counted_operator {
    ($trait:ident, $method:ident, $operator:tt, $divisions:expr) => {
        impl<T: Real> $trait for Counted<T> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                note(1, $divisions, 0);
                Self(self.0 $operator other.0)
            }
        }
    };
}
counted_operator!(Add, add, +, 0);
counted_operator!(Sub, sub, -, 0);
counted_operator!(Mul, mul, *, 0);
counted_operator!(Div, div, /, 1);

impl<T: Real> Neg for Counted<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<T: Real> PartialOrd for Counted<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        note(0, 0, 1);
        self.0.partial_cmp(&other.0)
    }
}

impl<T: Real> Real for Counted<T> {
    const ZERO: Self = Self(T::ZERO);
    const ONE: Self = Self(T::ONE);
    const SOLVER_TOLERANCE: f64 = T::SOLVER_TOLERANCE;
    const LINE_TOLERANCE: f64 = T::LINE_TOLERANCE;
    const MAX_NEWTON_STEPS: usize = T::MAX_NEWTON_STEPS;
    const MAX_LINE_SEARCH: usize = T::MAX_LINE_SEARCH;
    fn of(value: f64) -> Self {
        Self(T::of(value))
    }
    fn to_f64(self) -> f64 {
        self.0.to_f64()
    }
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    fn sqrt(self) -> Self {
        note(1, 1, 0);
        Self(self.0.sqrt())
    }
}

#[test]
fn operations_are_counted_by_kind() {
    let (a, b) = (Counted(2.0), Counted(3.0));
    let operations = count(|| {
        assert_eq!(((a + b) * b - a) / b, Counted(13.0 / 3.0));
        assert!(a < b && a.sqrt() < -(-b).abs() + b + b);
    });
    let expected = Operations {
        arithmetic: 7,
        divisions: 2,
        comparisons: 2,
    };
    assert_eq!(operations, expected);
}
