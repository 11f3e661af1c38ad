//! Sizes of tiles, and how a long reduction is cut.

use std::ops::Range;

/// Rows of a tile, and columns of an accumulator.
pub(super) const SIDE: usize = 16;
/// Reduced indices that a tile holds.
pub(super) const DEPTH: usize = 32;
/// Numbers whose sum is a value.
pub(super) const PARTS: usize = 3;
/// Lines of the tiles of one block of rows or columns and one step of the reduced index.
pub(super) const STEP: usize = PARTS * SIDE;

/// Returns the number of steps of the reduced index.
pub(super) fn steps(k: usize) -> usize {
    k.div_ceil(DEPTH)
}

/// Steps of the left operand's tiles (two blocks of rows) that the first cache holds beside those of the right operand.
pub(super) const CHUNK: usize = 4;

/// Returns the steps, in chunks of nearly equal length.
pub(super) fn chunks(steps: usize) -> impl Iterator<Item = Range<usize>> {
    let chunks = steps.div_ceil(CHUNK);
    (0..chunks).map(move |chunk| steps * chunk / chunks..steps * (chunk + 1) / chunks)
}
