//! Values split into three bfloat16 numbers and laid out as tiles.
//!
//! A tile has sixteen lines of 64 bytes. On the left, line r holds 32 reduced indices of row r, those i and 16 + i side by side; on
//! the right, line i holds the reduced indices i and 16 + i of sixteen columns, side by side. A step is 32 reduced indices of sixteen
//! rows (columns): three tiles, one for each part. The steps of two blocks of rows (columns) that are multiplied together alternate.

use std::arch::x86_64::*;

use super::sizes::{DEPTH, SIDE, STEP, chunks, steps};
use crate::product::layout::{Layout, Operand};
use crate::transpose::{Block, transposed};

/// One line of a tile.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line([u32; SIDE]);

impl Default for Line {
    fn default() -> Self {
        Self([0; SIDE])
    }
}

/// The first `count` of sixteen lanes.
#[inline(always)]
fn mask(count: usize) -> u16 {
    ((1u32 << count.min(SIDE)) - 1) as u16
}

/// The values from `first` on, as many as `count` or sixteen; zero in the other lanes.
#[target_feature(enable = "avx512f")]
fn load(values: &[f32], first: usize, count: usize) -> __m512 {
    let present = &values[first..first + count.min(SIDE)];
    // SAFETY: the mask leaves out what lies behind the slice.
    unsafe { _mm512_maskz_loadu_ps(mask(count), present.as_ptr()) }
}

/// Sixteen rows of a matrix with rows of `width`, sixteen values each from `column` on; zero beyond its edges.
#[target_feature(enable = "avx512f")]
fn block(values: &[f32], [height, width]: [usize; 2], row: usize, column: usize) -> Block {
    let mut lines = [_mm512_setzero_ps(); SIDE];
    let count = width.saturating_sub(column);
    if count > 0 {
        for (r, line) in lines
            .iter_mut()
            .enumerate()
            .take(height.saturating_sub(row))
        {
            *line = load(values, (row + r) * width + column, count);
        }
    }
    lines
}

/// The three parts of two vectors, side by side: in every 32 bits first that of `low`, then that of `high`.
///
/// A bfloat16 number is the upper half of its f32. The first two parts are rounded to it, halves away from zero; what is left then
/// has eight significant bits or fewer. It is taken as it is, so that no NaN becomes a number.
#[target_feature(enable = "avx512f")]
fn parts(mut low: __m512, mut high: __m512) -> [__m512i; 3] {
    let upper = |x| _mm512_and_si512(x, _mm512_set1_epi32(0xffff_0000u32 as i32));
    let round = |x| {
        upper(_mm512_add_epi32(
            _mm512_castps_si512(x),
            _mm512_set1_epi32(0x8000),
        ))
    };
    let join = |low, high| _mm512_or_si512(_mm512_srli_epi32::<16>(low), high);
    let mut parts = [_mm512_setzero_si512(); 3];
    for part in &mut parts[..2] {
        let [l, h] = [round(low), round(high)];
        *part = join(l, h);
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(l));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(h));
    }
    parts[2] = join(_mm512_castps_si512(low), upper(_mm512_castps_si512(high)));
    parts
}

/// Writes line `at` of the three tiles of a step.
#[target_feature(enable = "avx512f")]
fn store(step: &mut [Line], at: usize, parts: [__m512i; 3]) {
    for (tile, part) in step.chunks_exact_mut(SIDE).zip(parts) {
        // SAFETY: a line is 512 bits.
        unsafe { _mm512_store_si512(tile[at].0.as_mut_ptr().cast(), part) };
    }
}

/// Splits thirty-two rows (those that exist) of a left operand [m, k], stored as [k, m] when `Transposed`, for steps from `first` on:
/// as many as `lines` hold. Lines of rows that do not exist are left as they are.
#[target_feature(enable = "avx512f")]
pub(super) fn left(
    [m, k]: [usize; 2],
    Operand { values, layout }: Operand<'_>,
    [row, first]: [usize; 2],
    lines: &mut [Line],
) {
    for (index, step) in lines.chunks_exact_mut(STEP).enumerate() {
        let (row, column) = (row + index % 2 * SIDE, (first + index / 2) * DEPTH);
        if row >= m {
            continue;
        }
        let rows = SIDE.min(m - row);
        match layout {
            Layout::Plain => {
                let masks = [0, SIDE].map(|half| mask(k.saturating_sub(column + half)));
                for (r, line) in values[row * k..(row + rows) * k]
                    .chunks_exact(k)
                    .enumerate()
                {
                    let at = line[column..].as_ptr();
                    // SAFETY: the masks leave out what lies behind the row.
                    let [low, high] = unsafe {
                        [
                            _mm512_maskz_loadu_ps(masks[0], at),
                            _mm512_maskz_loadu_ps(masks[1], at.wrapping_add(SIDE)),
                        ]
                    };
                    store(step, r, parts(low, high));
                }
            }
            Layout::Transposed => {
                let halves =
                    [column, column + SIDE].map(|at| transposed(block(values, [k, m], at, row)));
                for r in 0..rows {
                    store(step, r, parts(halves[0][r], halves[1][r]));
                }
            }
        }
    }
}

/// Splits a right operand [k, n], stored as [n, k] when `Transposed`.
///
/// The steps lie in the order of their use: chunks, in a chunk pairs of blocks of columns, in a pair steps.
#[target_feature(enable = "avx512f")]
pub(super) fn right([k, n]: [usize; 2], matrix: Operand<'_>, lines: &mut [Line]) {
    let mut steps_of_pairs = lines.chunks_exact_mut(2 * STEP);
    for chunk in chunks(steps(k)) {
        for column in (0..n).step_by(2 * SIDE) {
            for (step, lines) in chunk.clone().zip(&mut steps_of_pairs) {
                let (first, second) = lines.split_at_mut(STEP);
                right_step([k, n], matrix, [step * DEPTH, column], first);
                right_step([k, n], matrix, [step * DEPTH, column + SIDE], second);
            }
        }
    }
}

/// One step of one block of columns.
#[target_feature(enable = "avx512f")]
fn right_step(
    [k, n]: [usize; 2],
    Operand { values, layout }: Operand<'_>,
    [row, column]: [usize; 2],
    lines: &mut [Line],
) {
    match layout {
        Layout::Plain => {
            let mask = mask(n.saturating_sub(column));
            for line in 0..SIDE {
                let [low, high] = [row + line, row + line + SIDE].map(|row| {
                    let from = values.get(row * n + column..).filter(|_| row < k);
                    // SAFETY: the mask leaves out what lies behind the row.
                    from.map_or(_mm512_setzero_ps(), |from| unsafe {
                        _mm512_maskz_loadu_ps(mask, from.as_ptr())
                    })
                });
                store(lines, line, parts(low, high));
            }
        }
        Layout::Transposed => {
            let [low, high] =
                [row, row + SIDE].map(|row| transposed(block(values, [n, k], column, row)));
            for line in 0..SIDE {
                store(lines, line, parts(low[line], high[line]));
            }
        }
    }
}
