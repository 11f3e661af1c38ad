//! The right operand of a product: packed beforehand, or as it lies.

use super::layout::{BLOCK, Operand};
use super::operand::Columns;
use super::packing;
#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::arithmetic::Arithmetic;

/// The right operand [k, n] of a product, cut into panels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    k: usize,
    n: usize,
    arithmetic: Arithmetic,
    /// Panels [k, 16]; empty where the matrix unit is used.
    pub(super) values: Vec<f32>,
    /// The same for the matrix unit, where it is used.
    #[cfg(target_arch = "x86_64")]
    pub(super) lines: Vec<amx::Line>,
}

impl Packed {
    /// Returns an empty matrix that packs for products in this arithmetic.
    pub(crate) fn on(arithmetic: Arithmetic) -> Self {
        Self {
            arithmetic,
            ..Self::default()
        }
    }

    /// Returns whether the matrix is packed for the matrix unit.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn on_unit(&self) -> bool {
        matches!(self.arithmetic, Arithmetic::MatrixUnit(_)) && amx::suits([self.k, self.n])
    }

    /// Returns rows and columns.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.k, self.n]
    }

    /// Packs `matrix`, stored as [k, n] or, when `Transposed`, as [n, k]; reuses the buffer.
    ///
    /// # Panics
    /// When `matrix` is shorter than its shape.
    pub(crate) fn pack(&mut self, [k, n]: [usize; 2], matrix: Operand<'_>) {
        assert!(matrix.values.len() >= k * n);
        (self.k, self.n) = (k, n);
        #[cfg(target_arch = "x86_64")]
        if self.on_unit() {
            self.values.clear();
            return amx::split_right([k, n], matrix, &mut self.lines);
        }
        packing::pack([k, n], matrix, &mut self.values);
    }

    /// Returns a packed matrix.
    pub(crate) fn new(arithmetic: Arithmetic, shape: [usize; 2], matrix: Operand<'_>) -> Self {
        let mut packed = Self::on(arithmetic);
        packed.pack(shape, matrix);
        packed
    }
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Packed beforehand: for operands that are used again.
    Packed(&'a Packed),
    /// Values [k, n] as they lie: for operands that are used once.
    Plain(&'a [f32], [usize; 2]),
    /// As `Plain`, on the matrix unit where the product suits it.
    PlainOnUnit(&'a [f32], [usize; 2]),
}

impl<'a> Right<'a> {
    /// Returns values [k, n] as they lie, for a product in this arithmetic.
    pub(crate) fn plain(arithmetic: Arithmetic, values: &'a [f32], shape: [usize; 2]) -> Self {
        match arithmetic {
            Arithmetic::F32 => Self::Plain(values, shape),
            Arithmetic::MatrixUnit(_) => Self::PlainOnUnit(values, shape),
        }
    }

    /// Returns rows and columns.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self {
            Right::Packed(packed) => packed.shape(),
            Right::Plain(_, shape) | Right::PlainOnUnit(_, shape) => *shape,
        }
    }

    /// Returns whether the rows lie one after the other.
    pub(super) fn is_plain(&self) -> bool {
        !matches!(self, Right::Packed(_))
    }

    /// Returns at most `count` columns from `first` on, the first of a panel.
    pub(crate) fn columns(self, first: usize, count: usize) -> Columns<'a> {
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
