//! How tiles read their operands.

/// The left operand from a tile's first row on: value (row, j) is at `row · steps[0] + j · steps[1]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    /// The matrix from the tile's first row on.
    pub values: &'a [f32],
    /// Distance of neighbouring rows, and of neighbouring reduced indices.
    pub steps: [usize; 2],
}

/// Blocks of sixteen columns of the right operand: row j of `k` of block c is at `j · step + c · jump`.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// The matrix from the first block on.
    pub values: &'a [f32],
    /// Rows, which the product sums over.
    pub k: usize,
    /// Distance of neighbouring rows.
    pub step: usize,
    /// Distance of neighbouring blocks.
    pub jump: usize,
    /// Columns that can be read.
    pub readable: usize,
    /// Columns of the product.
    pub valid: usize,
}
