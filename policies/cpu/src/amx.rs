//! Products on the matrix unit of recent x86 servers (AMX), as exact as products in f32.
//!
//! The unit multiplies numbers of 8 significant bits (bfloat16) and adds in f32. A value of 24 bits is the sum of three such
//! numbers, x = x₀ + x₁ + x₂ with |xᵢ| ≤ 2⁻⁸ⁱ |x|; of the nine products of two values, x₁y₂, x₂y₁ and x₂y₂ are left out: half a
//! unit in the last place of f32 each at the very most, usually far less. Sums are shorter than the vector unit's (32 terms are
//! added to each other before they meet the total), so that for values of like magnitude the error against f64 is the smaller one.
//! Values below 1e-33 keep fewer bits, since the unit takes denormals for zero; from 3.39e38 on they become NaN.
//!
//! Every element is summed in the same order whatever the number of rows: a row's bytes depend neither on the other rows nor on
//! threads. They differ from those of the vector units. Henry, Tang and Heinecke 2019 (arXiv:1904.06376) describe the method.

mod sizes;
mod split;
mod tiles;

use std::cell::RefCell;

use crate::product::layout::Operand;
use sizes::{SIDE, STEP, steps};
pub(crate) use split::Line;

/// Least reduced size and columns: below, padding costs more than the unit brings.
const LEAST: [usize; 2] = [24, 16];
/// Least rows of a product whose right operand must be split for it alone.
const LEAST_ROWS: usize = 48;

/// Whether this process may use the unit: asks the operating system for it.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && tiles::permitted()
}

/// Whether a product with a right operand of this shape, split beforehand, is worth running on the unit.
pub(crate) fn suits([k, n]: [usize; 2]) -> bool {
    k >= LEAST[0] && n >= LEAST[1]
}

/// Whether a product with a right operand that is split for it alone is worth running on the unit.
pub(crate) fn suits_once(m: usize, shape: [usize; 2]) -> bool {
    m >= LEAST_ROWS && suits(shape)
}

/// Splits the right operand [k, n], stored as [k, n] or, when `Transposed`, as [n, k].
pub(crate) fn split_right([k, n]: [usize; 2], matrix: Operand<'_>, lines: &mut Vec<Line>) {
    // Two blocks of columns are multiplied at once; a missing one is all zeros.
    let blocks = n.div_ceil(2 * SIDE) * 2;
    lines.resize(blocks * steps(k) * STEP, Line::default());
    assert!(is_x86_feature_detected!("avx512f"));
    // SAFETY: asserted above.
    unsafe { split::right([k, n], matrix, lines) }
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Split and packed by [`split_right`].
    Split(&'a [Line]),
    /// Values [k, n], row-major.
    Plain(&'a [f32]),
}

thread_local! {
    static SCRATCH: RefCell<(tiles::Scratch, Vec<Line>)> = RefCell::default();
}

/// Computes `output = a · b` or, with `accumulate`, `output += a · b`; see [`super::product::matmul`].
///
/// # Panics
/// When a slice is shorter than its shape.
pub(crate) fn matmul(
    [m, k, n]: [usize; 3],
    a: Operand<'_>,
    b: Right<'_>,
    output: &mut [f32],
    accumulate: bool,
) {
    assert!(is_x86_feature_detected!("avx512f"));
    SCRATCH.with_borrow_mut(|(scratch, lines)| {
        let right = match b {
            Right::Split(lines) => lines,
            Right::Plain(values) => {
                split_right([k, n], Operand::plain(values), lines);
                lines
            }
        };
        // SAFETY: asserted above; only a proof of the unit ([`crate::arithmetic::Unit`]) leads here.
        unsafe { tiles::multiply([m, k, n], a, right, output, accumulate, scratch) };
    });
}
