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

mod column;
mod instructions;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod narrow;
pub(super) mod operand;
mod packing;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_instructions;

pub use instructions::Instructions;
use operand::{Columns, Left};

use crate::arithmetic::Arithmetic;
#[cfg(target_arch = "x86_64")]
use crate::{amx, wide};

/// Columns of a panel.
const BLOCK: usize = 16;

/// How a matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As stored.
    Plain,
    /// Transposed.
    Transposed,
}

/// The right operand [k, n] of a product, cut into panels.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    k: usize,
    n: usize,
    arithmetic: Arithmetic,
    /// Panels [k, 16]; empty where the matrix unit is used.
    values: Vec<f32>,
    /// The same for the matrix unit, where it is used.
    #[cfg(target_arch = "x86_64")]
    lines: Vec<amx::Line>,
}

impl Packed {
    /// Returns an empty matrix that packs for products in this arithmetic.
    pub fn on(arithmetic: Arithmetic) -> Self {
        Self {
            arithmetic,
            ..Self::default()
        }
    }

    /// Whether the matrix is packed for the matrix unit.
    #[cfg(target_arch = "x86_64")]
    fn on_unit(&self) -> bool {
        matches!(self.arithmetic, Arithmetic::MatrixUnit(_)) && amx::suits([self.k, self.n])
    }

    /// Returns rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.k, self.n]
    }

    /// Packs `matrix`, stored as [k, n] or, when `Transposed`, as [n, k]; reuses the buffer.
    ///
    /// # Panics
    /// When `matrix` is shorter than its shape.
    pub fn pack(&mut self, [k, n]: [usize; 2], matrix: (&[f32], Layout)) {
        assert!(matrix.0.len() >= k * n);
        (self.k, self.n) = (k, n);
        #[cfg(target_arch = "x86_64")]
        if self.on_unit() {
            self.values.clear();
            return amx::split_right([k, n], matrix, &mut self.lines);
        }
        packing::pack([k, n], matrix, &mut self.values);
    }

    /// Returns a packed matrix.
    pub fn new(arithmetic: Arithmetic, shape: [usize; 2], matrix: (&[f32], Layout)) -> Self {
        let mut packed = Self::on(arithmetic);
        packed.pack(shape, matrix);
        packed
    }
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Packed beforehand: for operands that are used again.
    Packed(&'a Packed),
    /// Values [k, n] as they lie: for operands that are used once.
    Plain(&'a [f32], [usize; 2]),
    /// As `Plain`, on the matrix unit where the product suits it.
    PlainOnUnit(&'a [f32], [usize; 2]),
}

impl<'a> Right<'a> {
    /// Returns values [k, n] as they lie, for a product in this arithmetic.
    pub fn plain(arithmetic: Arithmetic, values: &'a [f32], shape: [usize; 2]) -> Self {
        match arithmetic {
            Arithmetic::F32 => Self::Plain(values, shape),
            Arithmetic::MatrixUnit(_) => Self::PlainOnUnit(values, shape),
        }
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        match self {
            Right::Packed(packed) => packed.shape(),
            Right::Plain(_, shape) | Right::PlainOnUnit(_, shape) => *shape,
        }
    }

    /// At most `count` columns from `first` on, the first of a panel.
    pub(super) fn columns(self, first: usize, count: usize) -> Columns<'a> {
        let [k, n] = self.shape();
        let valid = count.min(n - first);
        match self {
            // A panel is padded with zeros, so that all of it can be read.
            Right::Packed(packed) => Columns {
                values: &packed.values[first * k..],
                k,
                step: BLOCK,
                jump: k * BLOCK,
                readable: valid.next_multiple_of(BLOCK),
                valid,
            },
            Right::Plain(values, _) | Right::PlainOnUnit(values, _) => Columns {
                values: values.get(first..).unwrap_or_default(),
                k,
                step: n,
                jump: BLOCK,
                readable: valid,
                valid,
            },
        }
    }
}

impl<'a> From<&'a Packed> for Right<'a> {
    fn from(packed: &'a Packed) -> Self {
        Right::Packed(packed)
    }
}

/// Computes `output = a · b` or, with `accumulate`, `output += a · b`.
///
/// # Shapes
/// `a` is stored as [m, k] (or [k, m] when `Transposed`), `b` is [k, n], `output` is [m, n].
///
/// # Panics
/// When a slice is shorter than its shape.
pub fn matmul<'a>(
    m: usize,
    (a, layout): (&[f32], Layout),
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
                if layout == Layout::Transposed && amx::suits_once(m, [k, n]) =>
            {
                Some(amx::Right::Plain(values))
            }
            _ => None,
        };
        if let Some(right) = right {
            return amx::matmul([m, k, n], (a, layout), right, output, accumulate);
        }
    }
    matmul_with(Instructions::best(), m, (a, layout), b, output, accumulate);
}

/// As [`matmul`], with the given instructions and never on the matrix unit: for tests and measurements too.
///
/// # Panics
/// When a slice is shorter than its shape, the CPU lacks the instructions, or `b` is packed for the matrix unit.
pub fn matmul_with<'a>(
    instructions: Instructions,
    m: usize,
    (a, layout): (&[f32], Layout),
    b: impl Into<Right<'a>>,
    output: &mut [f32],
    accumulate: bool,
) {
    let b = b.into();
    let [k, n] = b.shape();
    assert!(instructions.available(), "no {instructions:?} here");
    assert!(a.len() >= m * k && output.len() >= m * n);
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
        return column::column([m, k], (a, layout), values, output, accumulate);
    }
    let left = Left {
        values: a,
        steps: match layout {
            Layout::Plain => [k, 1],
            Layout::Transposed => [1, m],
        },
    };
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => wide::product(m, left, b, output, accumulate),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        Instructions::Avx2 | Instructions::Neon => narrow::product(m, left, b, output, accumulate),
        _ => portable::product(m, &left, &b, output, accumulate),
    }
}
