//! Row-major matrix products, the right operand packed beforehand or as it lies.
//!
//! A packed matrix is cut into panels of 16 columns, the last one padded with zeros; one panel, or two, of up to 256 rows fit the
//! first cache. A tile of a few rows times a few panels stays in registers for the whole reduction ([`Instructions`]). Every element
//! is one chain of multiply-adds over the reduced index, in order, whatever the number of rows (a single column read as it lies:
//! sixteen chains): a row's bytes depend neither on the other rows nor on threads, and are the same on every instruction set with
//! fused multiply-add.
//!
//! Where the CPU has a matrix unit, products of at least 24 reduced indices and 16 columns run there ([`Arithmetic::MatrixUnit`]). Their
//! bytes do not depend on other rows or threads either, but differ from those of f32.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod column;
mod instructions;
pub(crate) mod layout;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod narrow;
mod operand;
mod packing;
mod portable;
mod right;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_instructions;

pub(crate) use instructions::Instructions;
use layout::BLOCK;
pub(crate) use layout::{Layout, Operand};
use operand::Left;
pub(crate) use right::{Packed, Right};

#[cfg(target_arch = "x86_64")]
use crate::amx;

/// Computes `output = a · b` or, with `accumulate`, `output += a · b`.
///
/// # Shapes
/// `a` is stored as [m, k] (or [k, m] when `Transposed`), `b` is [k, n], `output` is [m, n].
///
/// # Panics
/// When a slice is shorter than its shape.
pub(crate) fn matmul<'a>(
    m: usize,
    a: Operand<'_>,
    b: impl Into<Right<'a>>,
    output: &mut [f32],
    accumulate: bool,
) {
    let b = b.into();
    if m == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    {
        let [k, n] = b.shape();
        let right = match b {
            Right::Packed(packed) if packed.on_unit() => Some(amx::Right::Split(&packed.lines)),
            Right::PlainOnUnit(values, _)
                if a.layout == Layout::Transposed && amx::suits_once(m, [k, n]) =>
            {
                Some(amx::Right::Plain(values))
            }
            _ => None,
        };
        if let Some(right) = right {
            return amx::matmul([m, k, n], a, right, output, accumulate);
        }
    }
    matmul_with(Instructions::best(), m, a, b, output, accumulate);
}

/// As [`matmul`], with the given instructions and never on the matrix unit: for tests and measurements too.
///
/// # Panics
/// When a slice is shorter than its shape, the CPU lacks the instructions, or `b` is packed for the matrix unit.
pub(crate) fn matmul_with<'a>(
    instructions: Instructions,
    m: usize,
    a: Operand<'_>,
    b: impl Into<Right<'a>>,
    output: &mut [f32],
    accumulate: bool,
) {
    let b = b.into();
    let [k, n] = b.shape();
    assert!(instructions.available(), "no {instructions:?} here");
    assert!(a.values.len() >= m * k && output.len() >= m * n);
    match b {
        Right::Packed(packed) => assert!(packed.values.len() >= k * n.next_multiple_of(BLOCK)),
        Right::Plain(values, _) | Right::PlainOnUnit(values, _) => {
            assert!(values.len() >= k * n);
        }
    }
    if m * n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            output[..m * n].fill(0.0);
        }
        return;
    }
    if let (Right::Plain(values, _) | Right::PlainOnUnit(values, _), 1) = (b, n) {
        return column::column([m, k], a.values, a.layout, values, output, accumulate);
    }
    let left = Left {
        values: a.values,
        steps: match a.layout {
            Layout::Plain => [k, 1],
            Layout::Transposed => [1, m],
        },
    };
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => avx512::product(m, left, b, output, accumulate),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Instructions::Avx2 | Instructions::Neon => narrow::product(m, left, b, output, accumulate),
        _ => portable::product(m, &left, &b, output, accumulate),
    }
}
