//! A strip as one register of 256 bits.

use std::arch::x86_64::*;

pub(super) type Strip = __m256;
pub(super) type Factor = __m256;

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn zero() -> Strip {
    _mm256_setzero_ps()
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn splat(value: f32) -> Factor {
    _mm256_set1_ps(value)
}

/// # Safety
/// Eight values can be read.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn load(from: *const f32) -> Strip {
    // SAFETY: the caller vouches for it.
    unsafe { _mm256_loadu_ps(from) }
}

/// # Safety
/// Eight values can be written.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store(to: *mut f32, strip: Strip) {
    // SAFETY: the caller vouches for it.
    unsafe { _mm256_storeu_ps(to, strip) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add(a: Strip, b: Strip) -> Strip {
    _mm256_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply_add(factor: Factor, strip: Strip, sum: Strip) -> Strip {
    _mm256_fmadd_ps(factor, strip, sum)
}
