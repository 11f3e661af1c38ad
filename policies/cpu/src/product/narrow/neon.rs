//! A strip as two registers of 128 bits.

use std::arch::aarch64::*;

pub(super) type Strip = [float32x4_t; 2];
pub(super) type Factor = float32x4_t;

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn zero() -> Strip {
    [vdupq_n_f32(0.0); 2]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn splat(value: f32) -> Factor {
    vdupq_n_f32(value)
}

/// # Safety
/// Eight values can be read.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load(from: *const f32) -> Strip {
    // SAFETY: the caller vouches for it.
    unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
}

/// # Safety
/// Eight values can be written.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store(to: *mut f32, [low, high]: Strip) {
    // SAFETY: the caller vouches for it.
    unsafe {
        vst1q_f32(to, low);
        vst1q_f32(to.add(4), high);
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn add(a: Strip, b: Strip) -> Strip {
    [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn multiply_add(factor: Factor, strip: Strip, sum: Strip) -> Strip {
    [
        vfmaq_f32(sum[0], factor, strip[0]),
        vfmaq_f32(sum[1], factor, strip[1]),
    ]
}
