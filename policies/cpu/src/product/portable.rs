//! Tiles of a matrix product in plain Rust, for instruction sets without tiles of their own.

use multiversion::multiversion;

use super::layout::BLOCK;
use super::operand::{Columns, Left};
use super::packing;
use super::right::Right;
use crate::math::{fused, multiply_add};

/// The sums of one tile: R rows of the left operand times N columns of a panel.
///
/// `left(j)` gives the R values of reduced index j; the rows of `panel` lie `step` apart.
#[inline(always)]
fn reduce<const R: usize, const N: usize, const FUSED: bool>(
    left: impl Fn(usize) -> [f32; R],
    (panel, step): (&[f32], usize),
) -> [[f32; N]; R] {
    let mut sums = [[0.0f32; N]; R];
    for (j, row) in panel.chunks(step).enumerate() {
        // A panic and not a `break`: a second way out of the loop would make the compiler keep the sums in memory.
        let row: &[f32; N] = row.first_chunk().expect("whole tiles");
        let values = left(j);
        for r in 0..R {
            for c in 0..N {
                sums[r][c] = multiply_add::<FUSED>(values[r], row[c], sums[r][c]);
            }
        }
    }
    sums
}

/// Stores a tile. Nothing here indexes the sums by a variable: they must stay in registers.
#[inline(always)]
fn store<const R: usize, const N: usize>(
    sums: [[f32; N]; R],
    (out, stride, valid): (&mut [f32], usize, usize),
    accumulate: bool,
) {
    for (r, line) in sums.iter().enumerate() {
        let row = &mut out[r * stride..];
        if let (true, Some(row)) = (valid >= N, row.first_chunk_mut::<N>()) {
            for c in 0..N {
                row[c] = if accumulate {
                    row[c] + line[c]
                } else {
                    line[c]
                };
            }
        } else {
            for c in 0..N {
                if c < valid {
                    row[c] = if accumulate {
                        row[c] + line[c]
                    } else {
                        line[c]
                    };
                }
            }
        }
    }
}

/// One tile of R rows, the first of which starts `values`.
#[inline(always)]
fn rows_of<const R: usize, const FUSED: bool>(
    values: &[f32],
    steps: [usize; 2],
    panel: (&[f32], usize),
    out: (&mut [f32], usize, usize),
    accumulate: bool,
) {
    if let [step, 1] = steps {
        let k = panel.0.len().div_ceil(panel.1);
        let rows: [&[f32]; R] = std::array::from_fn(|r| &values[r * step..r * step + k]);
        let value = |j: usize| std::array::from_fn(|r| rows[r][j]);
        store(reduce::<R, BLOCK, FUSED>(value, panel), out, accumulate);
    } else {
        let value = |j: usize| {
            *values[j * steps[1]..]
                .first_chunk::<R>()
                .unwrap_or(&[0.0; R])
        };
        store(reduce::<R, BLOCK, FUSED>(value, panel), out, accumulate);
    }
}

/// All rows times a block of sixteen columns that can be read; `out` starts at their first column.
#[inline(always)]
fn panel<const FUSED: bool>(
    m: usize,
    left: Left<'_>,
    columns: Columns<'_>,
    (out, n): (&mut [f32], usize),
    accumulate: bool,
) {
    let Columns {
        values,
        k,
        step,
        valid,
        ..
    } = columns;
    let mut row = 0;
    while row < m {
        let panel = (&values[..(k - 1) * step + BLOCK], step);
        let out = (&mut out[row * n..], n, valid);
        macro_rules! rows {
            ($count:literal) => {{
                let from = &left.values[row * left.steps[0]..];
                rows_of::<$count, FUSED>(from, left.steps, panel, out, accumulate);
                row += $count;
            }};
        }
        match m - row {
            4.. => rows!(4),
            2.. => rows!(2),
            _ => rows!(1),
        }
    }
}

/// Computes `out = a · b` or, with `accumulate`, `out += a · b`.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn product(m: usize, left: &Left, right: &Right, out: &mut [f32], accumulate: bool) {
    const FUSED: bool = fused!();
    let [k, n] = right.shape();
    for first in (0..n).step_by(BLOCK) {
        let columns = right.columns(first, BLOCK);
        let out = (&mut out[first..], n);
        if columns.readable == BLOCK {
            panel::<FUSED>(m, *left, columns, out, accumulate);
            continue;
        }
        let mut padded = vec![0.0; k * BLOCK];
        packing::copy(columns.values, n, columns.valid, &mut padded);
        let columns = Columns {
            values: &padded,
            step: BLOCK,
            ..columns
        };
        panel::<FUSED>(m, *left, columns, out, accumulate);
    }
}
