//! How matrices lie in memory.

/// Columns of a panel.
pub(crate) const BLOCK: usize = 16;

/// How a matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row-major in the shape of the product.
    Plain,
    /// Row-major in the transposed shape.
    Transposed,
}

/// A matrix of a product, as it lies.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// All its numbers.
    pub(crate) values: &'a [f32],
    /// How they are read.
    pub(crate) layout: Layout,
}

impl<'a> Operand<'a> {
    /// Returns a matrix whose rows lie one after the other.
    pub(crate) fn plain(values: &'a [f32]) -> Self {
        Self {
            values,
            layout: Layout::Plain,
        }
    }

    /// Returns the transpose of such a matrix.
    pub(crate) fn transposed(values: &'a [f32]) -> Self {
        Self {
            values,
            layout: Layout::Transposed,
        }
    }
}
