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
