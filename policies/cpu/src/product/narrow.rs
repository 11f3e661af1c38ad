//! Tiles of a matrix product in 256-bit registers (AVX2 with FMA: sixteen of them) or pairs of 128-bit ones (NEON: thirty-two).
//!
//! A strip is eight columns: one register, or two. A tile's sums fill at most twelve strips: six rows times two strips; where at most
//! eight columns are left, eight rows times one; where there are at most two rows, as many rows times four; and one row times eight
//! where the panels lie side by side. What remains holds a row of the panel and a value of the left operand. Written with intrinsics because the sums must stay in registers. The order
//! of operations is that of the portable tile.

#[cfg(target_arch = "x86_64")]
#[path = "narrow/avx2.rs"]
mod unit;
#[cfg(target_arch = "aarch64")]
#[path = "narrow/neon.rs"]
mod unit;

use std::cell::RefCell;

use super::instructions::Instructions;
use super::layout::BLOCK;
use super::operand::{Columns, Left};
use super::packing;
use super::right::Right;

/// Columns of a strip.
const STRIP: usize = 8;
/// Rows of the usual tile.
const ROWS: usize = 6;
/// At most so many rows are multiplied by two panels at once.
const FEW: usize = 2;
/// From so many rows on a right operand that lies unpacked is packed panel by panel: it is read once for every tile, and rows far
/// apart share few lines of the first cache.
const LEAST_ROWS: usize = 3 * ROWS;
/// Reduced indices between two jumps of the loop over them.
const UNROLL: usize = 4;

/// Values of the left operand that all columns are multiplied by before the next ones: half of a small second cache.
const LEFT: usize = 1 << 15;

thread_local! {
    /// A packed panel of the right operand.
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Computes `out = a · b` or, with `accumulate`, `out += a · b`.
///
/// # Shapes
/// `left` has `m` rows, `right` is [k, n], `out` is [m, n].
///
/// # Panics
/// When a slice is shorter than its shape, or the CPU lacks the instructions.
pub(super) fn product(
    m: usize,
    left: Left<'_>,
    right: Right<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    product_from(0, m, left, right, out, accumulate);
}

/// As [`product`], of the columns from `first` on, the first of a panel.
pub(super) fn product_from(
    first: usize,
    m: usize,
    left: Left<'_>,
    right: Right<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    assert!(Instructions::Avx2.available() || Instructions::Neon.available());
    let [k, n] = right.shape();
    let blocks = m.div_ceil((LEFT / k.max(1)).max(16 * ROWS));
    PANEL.with_borrow_mut(|panel| {
        for index in 0..blocks {
            let row = first_row(m, blocks, index);
            let left = Left {
                values: left.values.get(row * left.steps[0]..).unwrap_or_default(),
                ..left
            };
            let rows = first_row(m, blocks, index + 1) - row;
            let out = &mut out[row * n..];
            // SAFETY: the CPU has the instructions, asserted above.
            unsafe { block(rows, left, (right, first), (out, accumulate), panel) };
        }
    });
}

/// The first row of part `index` of `parts` of nearly equal height.
fn first_row(rows: usize, parts: usize, index: usize) -> usize {
    rows * index / parts
}

/// All columns from `first` on of `m` rows.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn block(
    m: usize,
    left: Left<'_>,
    (right, mut first): (Right<'_>, usize),
    (out, accumulate): (&mut [f32], bool),
    panel: &mut Vec<f32>,
) {
    let [_, n] = right.shape();
    while first < n {
        let panels = match (n - first) / BLOCK {
            4.. if m == 1 && right.is_plain() => 4,
            2.. if m <= FEW => 2,
            _ => 1,
        };
        let columns = right.columns(first, panels * BLOCK);
        let columns = match right {
            Right::Plain(..) | Right::PlainOnUnit(..)
                if m >= LEAST_ROWS || columns.valid < BLOCK =>
            {
                pack_columns(columns, panel)
            }
            _ => columns,
        };
        let to = (&mut out[first..], n);
        match columns.valid {
            valid if valid <= STRIP => tiles::<8, 1>(m, left, columns, to, accumulate),
            valid if valid <= BLOCK => tiles::<ROWS, 2>(m, left, columns, to, accumulate),
            valid if valid <= 2 * BLOCK => tiles::<FEW, 4>(m, left, columns, to, accumulate),
            _ => tiles::<1, 8>(m, left, columns, to, accumulate),
        }
        first += panels * BLOCK;
    }
}

/// Copies a block of columns to a panel of their own.
fn pack_columns<'a>(columns: Columns<'_>, panel: &'a mut Vec<f32>) -> Columns<'a> {
    let Columns { k, step, valid, .. } = columns;
    if panel.len() < k * BLOCK {
        panel.resize(k * BLOCK, 0.0);
    }
    let values = &mut panel[..k * BLOCK];
    packing::copy(columns.values, step, valid, values);
    Columns {
        values,
        step: BLOCK,
        ..columns
    }
}

/// Multiplies `rows` rows by S strips of columns; `out` starts at their first column of row 0, its rows lie `stride` apart.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
fn tiles<const R: usize, const S: usize>(
    rows: usize,
    left: Left<'_>,
    columns: Columns<'_>,
    (out, stride): (&mut [f32], usize),
    accumulate: bool,
) {
    let Columns { k, valid, .. } = columns;
    if rows == 0 || valid == 0 {
        return;
    }
    let last = (rows - 1) * left.steps[0] + k.saturating_sub(1) * left.steps[1];
    assert!(k == 0 || left.values.len() > last);
    let reach = (S - 1) / 2 * columns.jump + (S - 1) % 2 * STRIP + STRIP;
    assert!(k == 0 || columns.values.len() >= (k - 1) * columns.step + reach);
    assert!(valid <= S * STRIP && out.len() >= (rows - 1) * stride + valid);
    // Tiles of nearly equal height: a low one at the end would wait for the panel.
    let tiles = rows.div_ceil(R);
    for index in 0..tiles {
        let row = first_row(rows, tiles, index);
        let height = first_row(rows, tiles, index + 1) - row;
        let from = left.values.as_ptr().wrapping_add(row * left.steps[0]);
        let to = (out[row * stride..].as_mut_ptr(), stride, accumulate);
        // SAFETY: the assertions above hold for every row and reduced index; the tile covers rows below `rows`.
        unsafe {
            match left.steps {
                [step, 1] => tile_of::<R, S, false>(height, (from, step), columns, to),
                [_, step] => tile_of::<R, S, true>(height, (from, step), columns, to),
            }
        }
    }
}

/// One tile of `height` ≤ R ≤ 8 rows.
///
/// # Safety
/// As for [`tile`].
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn tile_of<const R: usize, const S: usize, const BESIDE: bool>(
    height: usize,
    left: (*const f32, usize),
    columns: Columns<'_>,
    to: (*mut f32, usize, bool),
) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match height {
                // Heights above R are never asked for; the guard keeps them from being compiled.
                $($height if $height <= R => {
                    // SAFETY: the caller vouches for it.
                    unsafe { tile::<$height, S, BESIDE>(left, columns, to) }
                })*
                _ => unreachable!("a tile has at most {R} rows"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8)
}

/// Adds the products of reduced index `j` to a tile's sums.
///
/// A macro, and the sums' array never lent to a function: the compiler would keep it in memory.
macro_rules! multiply {
    ($sums:ident, ($left:ident, $left_step:ident), ($panel:ident, $step:ident, $jump:ident), $j:expr) => {{
        let j = $j;
        let row = $panel.wrapping_add(j * $step);
        if R == 1 {
            // Each strip is used once: there are not registers for all of them.
            let at = if BESIDE { j * $left_step } else { j };
            // SAFETY: j < k, which the caller vouches for.
            let factor = unit::splat(unsafe { *$left.add(at) });
            for (s, sum) in $sums[0].iter_mut().enumerate() {
                // SAFETY: j < k, and the caller vouches for S strips.
                let strip = unsafe { unit::load(row.wrapping_add(s / 2 * $jump + s % 2 * STRIP)) };
                *sum = unit::multiply_add(factor, strip, *sum);
            }
        } else {
            let mut strips = [unit::zero(); S];
            for (s, strip) in strips.iter_mut().enumerate() {
                // SAFETY: j < k, and the caller vouches for S strips.
                *strip = unsafe { unit::load(row.wrapping_add(s / 2 * $jump + s % 2 * STRIP)) };
            }
            for (r, sums) in $sums.iter_mut().enumerate() {
                let at = if BESIDE {
                    j * $left_step + r
                } else {
                    r * $left_step + j
                };
                // SAFETY: r < R and j < k, which the caller vouches for.
                let factor = unit::splat(unsafe { *$left.add(at) });
                for (sum, &strip) in sums.iter_mut().zip(&strips) {
                    *sum = unit::multiply_add(factor, strip, *sum);
                }
            }
        }
    }};
}

/// One tile of R rows, given the first value of the left operand and the distance of its rows or, when they lie side by side
/// (`BESIDE`), of its reduced indices.
///
/// # Safety
/// `left` must hold R rows of k values, `columns` S strips of k rows, and the output R rows of `valid` ≤ 8 · S values.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn tile<const R: usize, const S: usize, const BESIDE: bool>(
    (left, apart): (*const f32, usize),
    columns: Columns<'_>,
    (out, stride, accumulate): (*mut f32, usize, bool),
) {
    let (k, step, jump) = (columns.k, columns.step, columns.jump);
    let panel = columns.values.as_ptr();
    let mut sums = [[unit::zero(); S]; R];
    let whole = k - k % UNROLL;
    for j in (0..whole).step_by(UNROLL) {
        multiply!(sums, (left, apart), (panel, step, jump), j);
        multiply!(sums, (left, apart), (panel, step, jump), j + 1);
        multiply!(sums, (left, apart), (panel, step, jump), j + 2);
        multiply!(sums, (left, apart), (panel, step, jump), j + 3);
    }
    for j in whole..k {
        multiply!(sums, (left, apart), (panel, step, jump), j);
    }
    for (r, sums) in sums.iter().enumerate() {
        for (s, &sum) in sums.iter().enumerate() {
            let place = out.wrapping_add(r * stride + s * STRIP);
            let present = columns.valid.saturating_sub(s * STRIP).min(STRIP);
            // SAFETY: `present` values of this strip exist in row r < R, which the caller vouches for.
            unsafe { write(place, present, sum, accumulate) };
        }
    }
}

/// Stores the first `present` values of a strip, or adds them to what is there.
///
/// # Safety
/// So many values can be read and written.
#[inline]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write(place: *mut f32, present: usize, sum: unit::Strip, accumulate: bool) {
    // SAFETY: the caller vouches for it.
    unsafe {
        if present < STRIP {
            return write_part(place, present, sum, accumulate);
        }
        let sum = if accumulate {
            unit::add(unit::load(place), sum)
        } else {
            sum
        };
        unit::store(place, sum);
    }
}

/// As [`write`], for a strip that is not whole: four values, two, and one.
///
/// # Safety
/// As for [`write`].
// Inlined, it would take the sums out of their registers.
#[inline(never)]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
unsafe fn write_part(place: *mut f32, present: usize, sum: unit::Strip, accumulate: bool) {
    let mut values = [0.0f32; STRIP];
    // SAFETY: eight values; `present` of them exist at `place`.
    let (values, out) = unsafe {
        unit::store(values.as_mut_ptr(), sum);
        (
            &values[..present],
            std::slice::from_raw_parts_mut(place, present),
        )
    };
    let mut at = 0;
    macro_rules! values {
        ($($count:literal)*) => {
            $(if present & $count != 0 {
                let to: &mut [f32; $count] = (&mut out[at..at + $count]).try_into().expect("whole");
                for (to, value) in to.iter_mut().zip(&values[at..at + $count]) {
                    *to = if accumulate { *to + value } else { *value };
                }
                at += $count;
            })*
        };
    }
    values!(4 2 1);
    debug_assert_eq!(at, present);
}
