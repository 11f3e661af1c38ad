//! Transposes in AVX-512 registers, or in those of AVX2.

pub(crate) mod avx2;

use std::arch::x86_64::{
    __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_maskz_loadu_ps,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd,
    _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

const SIDE: usize = 16;

/// Sixteen rows of sixteen values.
pub(crate) type Block = [__m512; SIDE];

/// Writes the transpose of `columns` [≤ 16, k] to `panel` [k, 16]; missing columns become zero.
///
/// # Panics
/// When the panel is shorter, or the CPU has no AVX-512.
pub(crate) fn transpose(k: usize, columns: &[f32], panel: &mut [f32]) {
    assert!(is_x86_feature_detected!("avx512f"));
    // SAFETY: asserted above.
    unsafe { transpose_blocks(k, columns, panel) }
}

/// As [`transpose`], block by block: whole ones without a mask.
#[target_feature(enable = "avx512f")]
fn transpose_blocks(k: usize, columns: &[f32], panel: &mut [f32]) {
    let (rows, _) = panel.as_chunks_mut::<SIDE>();
    let whole = if columns.len() >= SIDE * k {
        k / SIDE
    } else {
        0
    };
    let (blocks, rest) = rows[..k].split_at_mut(whole * SIDE);
    let (blocks, _) = blocks.as_chunks_mut::<SIDE>();
    for (index, out) in blocks.iter_mut().enumerate() {
        let mut block = [_mm512_setzero_ps(); SIDE];
        for (c, line) in block.iter_mut().enumerate() {
            let from = &columns[c * k + index * SIDE..][..SIDE];
            // SAFETY: sixteen values.
            *line = unsafe { _mm512_loadu_ps(from.as_ptr()) };
        }
        for (out, line) in out.iter_mut().zip(transposed(block)) {
            // SAFETY: a row of the panel holds sixteen values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), line) };
        }
    }
    for (index, out) in rest.chunks_mut(SIDE).enumerate() {
        let first = (whole + index) * SIDE;
        let mask = ((1u32 << out.len()) - 1) as u16;
        let mut block = [_mm512_setzero_ps(); SIDE];
        for (line, column) in block.iter_mut().zip(columns.chunks_exact(k)) {
            let from = &column[first..][..out.len()];
            // SAFETY: the mask leaves out what lies behind the column.
            *line = unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr()) };
        }
        for (out, line) in out.iter_mut().zip(transposed(block)) {
            // SAFETY: a row of the panel holds sixteen values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), line) };
        }
    }
}

/// Returns the transpose of sixteen rows of sixteen values.
#[target_feature(enable = "avx512f")]
pub(crate) fn transposed(rows: Block) -> Block {
    let mut a = rows;
    // Pairs of rows, then fours, by lanes of four values.
    for i in 0..SIDE / 2 {
        a[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    let mut b = a;
    for i in 0..SIDE / 4 {
        for half in 0..2 {
            let (x, y) = (
                _mm512_castps_pd(a[4 * i + half]),
                _mm512_castps_pd(a[4 * i + half + 2]),
            );
            b[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            b[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    // Now b[4 i + c] holds rows 4 i … 4 i + 3 of columns c, 4 + c, 8 + c and 12 + c: a transpose of four by four lanes.
    let mut out = b;
    for c in 0..4 {
        let low = _mm512_shuffle_f32x4::<0x88>(b[c], b[4 + c]);
        let high = _mm512_shuffle_f32x4::<0xdd>(b[c], b[4 + c]);
        let low_of_rest = _mm512_shuffle_f32x4::<0x88>(b[8 + c], b[12 + c]);
        let high_of_rest = _mm512_shuffle_f32x4::<0xdd>(b[8 + c], b[12 + c]);
        out[c] = _mm512_shuffle_f32x4::<0x88>(low, low_of_rest);
        out[4 + c] = _mm512_shuffle_f32x4::<0x88>(high, high_of_rest);
        out[8 + c] = _mm512_shuffle_f32x4::<0xdd>(low, low_of_rest);
        out[12 + c] = _mm512_shuffle_f32x4::<0xdd>(high, high_of_rest);
    }
    out
}
