//! How matrices lie in memory.

/// Columns of a panel.
pub const BLOCK: usize = 16;

/// How a matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As stored.
    Plain,
    /// Transposed.
    Transposed,
}
