//! Tiles of a matrix product in AVX-512 registers: up to fourteen rows times 32 columns, twelve times 16, three times 64, or one
//! row times 256.
//!
//! Written with intrinsics because the accumulators must stay in registers, which the compiler does not do reliably with arrays of
//! floats. The order of operations is that of the portable tile.

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
};

use super::instructions::Instructions;
use super::narrow;
use super::operand::{Columns, Left};
use super::right::Right;

const LANES: usize = 16;
/// At most so many rows are multiplied by four panels at once.
const FEW: usize = 3;
/// Panels that a single row is multiplied by at once where their rows lie side by side: weights are then read in the order of memory,
/// every page once.
const WIDE: usize = 16;

/// Computes `out = a · b` or, with `accumulate`, `out += a · b`.
///
/// # Shapes
/// `left` has `m` rows, `right` is [k, n], `out` is [m, n].
///
/// # Panics
/// When a slice is shorter than its shape, or the CPU has no AVX-512.
pub(super) fn product(
    m: usize,
    left: Left<'_>,
    right: Right<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    assert!(is_x86_feature_detected!("avx512f"));
    let [_, n] = right.shape();
    let mut first = 0;
    while first < n {
        let least = if right.is_plain() { 12 } else { FEW };
        if n - first <= LANES / 2 && m > least && Instructions::Avx2.available() {
            // Half a register is enough, and two of them are multiplied at once; columns that lie unpacked are packed for it.
            return narrow::product_from(first, m, left, right, out, accumulate);
        }
        // A few rows alone would not keep the multipliers busy: they take twice as many columns.
        let panels = match (n - first) / LANES {
            WIDE.. if m == 1 && right.is_plain() => WIDE,
            4.. if m <= FEW => 4,
            2.. => 2,
            _ => 1,
        };
        let columns = right.columns(first, panels * LANES);
        let to = (&mut out[first..], n);
        // SAFETY: asserted above.
        unsafe {
            match panels {
                WIDE => wide_row(left, columns, to.0, accumulate),
                4 => panel::<FEW, 4>(left, m, columns, to, accumulate),
                2 => panel::<14, 2>(left, m, columns, to, accumulate),
                _ => panel::<12, 1>(left, m, columns, to, accumulate),
            }
        }
        first += panels * LANES;
    }
}

/// Multiplies one row by 256 columns that lie side by side, cut where lines of the cache begin: no load straddles two of them.
///
/// # Panics
/// When a slice is too short.
#[target_feature(enable = "avx512f")]
fn wide_row(left: Left<'_>, right: Columns<'_>, out: &mut [f32], accumulate: bool) {
    let Columns { k, step, .. } = right;
    assert!(right.readable == WIDE * LANES && right.valid == WIDE * LANES && right.jump == LANES);
    assert!(left.values.len() > (k - 1) * left.steps[1]);
    assert!(right.values.len() >= (k - 1) * step + WIDE * LANES && out.len() >= WIDE * LANES);
    let from = right.values.as_ptr();
    // Columns before the first line that begins inside; as many are missing from the last block.
    let lead = from.align_offset(LANES * size_of::<f32>()) % LANES;
    let (low, high) = ((1u16 << lead) - 1, u16::MAX >> lead);
    let (first, last) = (from.wrapping_add(lead), (WIDE - 1) * LANES);
    let mut sums = [_mm512_setzero_ps(); WIDE + 1];
    for j in 0..k {
        let value = _mm512_set1_ps(left.values[j * left.steps[1]]);
        let at = first.wrapping_add(j * step);
        // SAFETY: row j holds 256 columns, asserted above; the masks leave out what lies before and behind them.
        unsafe {
            let columns = _mm512_maskz_loadu_ps(low, from.wrapping_add(j * step));
            sums[WIDE] = _mm512_fmadd_ps(value, columns, sums[WIDE]);
            for (c, sum) in sums[..WIDE - 1].iter_mut().enumerate() {
                *sum = _mm512_fmadd_ps(value, _mm512_loadu_ps(at.wrapping_add(c * LANES)), *sum);
            }
            let columns = _mm512_maskz_loadu_ps(high, at.wrapping_add(last));
            sums[WIDE - 1] = _mm512_fmadd_ps(value, columns, sums[WIDE - 1]);
        }
    }
    let to = out.as_mut_ptr();
    for (c, &sum) in sums.iter().enumerate() {
        let (place, mask) = match c {
            WIDE => (to, low),
            _ if c == WIDE - 1 => (to.wrapping_add(lead + c * LANES), high),
            _ => (to.wrapping_add(lead + c * LANES), u16::MAX),
        };
        // SAFETY: 256 values, asserted above.
        unsafe { store(place, mask, sum, accumulate) };
    }
}

/// Stores the lanes of the mask, or adds them to what is there.
///
/// # Safety
/// They can be read and written.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(place: *mut f32, mask: u16, sum: __m512, accumulate: bool) {
    // SAFETY: the caller vouches for it.
    unsafe {
        let sum = if accumulate {
            _mm512_add_ps(_mm512_maskz_loadu_ps(mask, place), sum)
        } else {
            sum
        };
        _mm512_mask_storeu_ps(place, mask, sum);
    }
}

/// Multiplies `rows` rows of `left` by a panel of 16 · C columns.
///
/// `out` starts at the panel's first column of row 0, its rows lie `stride` apart.
///
/// # Panics
/// When a slice is too short.
#[target_feature(enable = "avx512f")]
fn panel<const R: usize, const C: usize>(
    left: Left<'_>,
    rows: usize,
    right: Columns<'_>,
    (out, stride): (&mut [f32], usize),
    accumulate: bool,
) {
    let Columns { k, valid, .. } = right;
    if rows == 0 || valid == 0 {
        return;
    }
    let last = (rows - 1) * left.steps[0] + k.saturating_sub(1) * left.steps[1];
    assert!(k == 0 || left.values.len() > last);
    let reach = (C - 1) * right.jump + right.readable - (C - 1) * LANES;
    assert!(k == 0 || right.values.len() >= (k - 1) * right.step + reach);
    assert!(right.readable <= C * LANES);
    assert!(out.len() >= (rows - 1) * stride + valid && valid <= C * LANES);
    // As many tiles as R rows need, of nearly equal height: a low tile at the end would wait for the panel.
    let tiles = rows.div_ceil(R);
    let mut row = 0;
    for index in 0..tiles {
        let end = rows * (index + 1) / tiles;
        let from = Left {
            values: left.values.get(row * left.steps[0]..).unwrap_or_default(),
            steps: left.steps,
        };
        let to = (&mut out[row * stride..], stride);
        // SAFETY: the assertions above hold for every row and every reduced index; each tile covers rows below `rows`.
        unsafe { tile_of::<R, C>(end - row, from, right, to, accumulate) };
        row = end;
    }
}

/// One tile of `rows` ≤ R ≤ 12 rows.
///
/// # Safety
/// As for [`tile`].
#[target_feature(enable = "avx512f")]
unsafe fn tile_of<const R: usize, const C: usize>(
    rows: usize,
    left: Left<'_>,
    right: Columns<'_>,
    (out, stride): (&mut [f32], usize),
    accumulate: bool,
) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match rows {
                // Heights above R are never asked for; the guard keeps them from being compiled.
                $($height if $height <= R => {
                    // SAFETY: the caller vouches for it.
                    unsafe { tile::<$height, C>(left, right, (out, stride), accumulate) }
                })*
                _ => unreachable!("a tile has at most {R} rows"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// Lanes of column block `c` that exist.
#[inline(always)]
fn lanes(valid: usize, c: usize) -> u16 {
    let present = valid.saturating_sub(c * LANES).min(LANES);
    (((1u32 << present) - 1) & 0xffff) as u16
}

/// One tile of R rows.
///
/// # Safety
/// `left` must hold R rows of k values, `right` what it says, and `out` R rows of `valid` ≤ 16 · C values.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const R: usize, const C: usize>(
    left: Left<'_>,
    right: Columns<'_>,
    (out, stride): (&mut [f32], usize),
    accumulate: bool,
) {
    let [row_step, column_step] = left.steps;
    let (values, panel, out) = (
        left.values.as_ptr(),
        right.values.as_ptr(),
        out.as_mut_ptr(),
    );
    let mut sums = [[_mm512_setzero_ps(); C]; R];
    macro_rules! reduce {
        ($load:expr) => {
            for j in 0..right.k {
                let mut columns: [__m512; C] = [_mm512_setzero_ps(); C];
                for (c, column) in columns.iter_mut().enumerate() {
                    // SAFETY: row j of the panel holds `columns` values; the mask leaves out the others.
                    *column = unsafe { $load(panel.wrapping_add(j * right.step + c * right.jump), c) };
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: r < R and j < k, which the caller vouches for.
                    let value = _mm512_set1_ps(unsafe { *values.add(r * row_step + j * column_step) });
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm512_fmadd_ps(value, column, *sum);
                    }
                }
            }
        };
    }
    if right.readable == C * LANES {
        reduce!(|from, _| _mm512_loadu_ps(from));
    } else {
        reduce!(|from, c| _mm512_maskz_loadu_ps(lanes(right.readable, c), from));
    }
    for (r, sums) in sums.iter().enumerate() {
        for (c, &sum) in sums.iter().enumerate() {
            let mask = lanes(right.valid, c);
            let place = out.wrapping_add(r * stride + c * LANES);
            // SAFETY: the mask leaves out columns from `valid` on; the caller vouches for the rest.
            unsafe { store(place, mask, sum, accumulate) };
        }
    }
}
