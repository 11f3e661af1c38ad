//! The same in 256-bit registers: eight rows of eight values at a time.

use std::arch::x86_64::{
    __m256, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
    _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use super::SIDE;

const HALF: usize = SIDE / 2;

/// Writes the transpose of the first 8 · (k / 8) values of sixteen `columns` [16, k] to `panel` [k, 16]; returns how many.
///
/// # Panics
/// When a slice is shorter, or the CPU has no AVX2.
pub(crate) fn transpose_whole(k: usize, columns: &[f32], panel: &mut [f32]) -> usize {
    assert!(is_x86_feature_detected!("avx2"));
    let whole = k - k % HALF;
    assert!(columns.len() >= SIDE * k && panel.len() >= SIDE * whole);
    for row in (0..whole).step_by(HALF) {
        for column in [0, HALF] {
            let from = &columns[column * k + row..][..(HALF - 1) * k + HALF];
            let to = &mut panel[row * SIDE + column..][..(HALF - 1) * SIDE + HALF];
            // SAFETY: asserted above, and the slices hold eight rows of eight values.
            unsafe { block((from.as_ptr(), k), to.as_mut_ptr()) };
        }
    }
    whole
}

/// Writes the transpose of eight rows of eight values, which lie `step` apart, to rows that lie sixteen apart.
///
/// # Safety
/// So much can be read and written, and the CPU has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn block((from, step): (*const f32, usize), to: *mut f32) {
    let mut rows = [_mm256_setzero_ps(); HALF];
    for (r, row) in rows.iter_mut().enumerate() {
        // SAFETY: the caller vouches for it.
        *row = unsafe { _mm256_loadu_ps(from.add(r * step)) };
    }
    for (r, row) in transposed(rows).into_iter().enumerate() {
        // SAFETY: the caller vouches for it.
        unsafe { _mm256_storeu_ps(to.add(r * SIDE), row) };
    }
}

/// Returns the transpose of eight rows of eight values.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: [__m256; HALF]) -> [__m256; HALF] {
    // Pairs of rows, then fours, by halves of four values; then the halves.
    let mut pairs = rows;
    for i in 0..HALF / 2 {
        pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in 0..HALF / 4 {
        for half in 0..2 {
            let (low, high) = (pairs[4 * i + half], pairs[4 * i + half + 2]);
            fours[4 * i + 2 * half] = _mm256_shuffle_ps::<0x44>(low, high);
            fours[4 * i + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(low, high);
        }
    }
    let mut out = fours;
    for c in 0..HALF / 2 {
        out[c] = _mm256_permute2f128_ps::<0x20>(fours[c], fours[HALF / 2 + c]);
        out[HALF / 2 + c] = _mm256_permute2f128_ps::<0x31>(fours[c], fours[HALF / 2 + c]);
    }
    out
}
