//! Products with a single column: values of critics and their gradients.

use multiversion::multiversion;

use super::layout::{BLOCK, Layout};
use crate::math::{fused, multiply_add};

/// The product with a single column: sums over a row in sixteen lanes, or over rows for many elements at once.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn column(
    [m, k]: [usize; 2],
    values: &[f32],
    layout: Layout,
    b: &[f32],
    out: &mut [f32],
    accumulate: bool,
) {
    const FUSED: bool = fused!();
    let out = &mut out[..m];
    if k == 0 && !accumulate {
        out.fill(0.0);
    }
    if layout == Layout::Transposed {
        if !accumulate {
            out.fill(0.0);
        }
        for (row, &factor) in values.chunks_exact(m).zip(b) {
            for (o, &x) in out.iter_mut().zip(row) {
                *o = multiply_add::<FUSED>(factor, x, *o);
            }
        }
        return;
    }
    for (o, row) in out.iter_mut().zip(values.chunks_exact(k.max(1))) {
        let mut lanes = [0.0f32; BLOCK];
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        let (columns, others) = b[..k].as_chunks::<BLOCK>();
        for (x, y) in blocks.iter().zip(columns) {
            for c in 0..BLOCK {
                lanes[c] = multiply_add::<FUSED>(x[c], y[c], lanes[c]);
            }
        }
        let rest: f32 = rest.iter().zip(others).map(|(x, y)| x * y).sum();
        let sum = lanes.iter().sum::<f32>() + rest;
        *o = if accumulate { *o + sum } else { sum };
    }
}
