//! Runs a piece of work with the widest vector instructions that the processor has.
//!
//! The compiler makes one copy of the work for each instruction set; the copies compute the same bytes, since only
//! the width differs: nothing is reassociated and no multiply is fused with an addition.
#![allow(unsafe_code)]

/// A computation of which a copy is compiled for each instruction set. Implementations mark `run` `#[inline(always)]`.
pub trait Work {
    /// The result, which is the same for every instruction set.
    type Output;
    /// Computes it; inlined into the copy for each instruction set.
    fn run(self) -> Self::Output;
}

/// Runs `work` of one robot: with AVX2 where the processor has it. Wider registers would stay empty.
#[inline]
pub fn run_alone<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature, checked on the line above.
        return unsafe { with_avx2(work) };
    }
    work.run()
}

/// Whether [`run_on_vectors`] has vector instructions for more than one robot at a time. Where it has not, robots are stepped one by one: no
/// copy for many is compiled for the oldest x86 processors, and the bytes are the same.
#[inline]
pub fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// Runs `work` with the widest vectors available, on processors for which [`has_vectors`] holds.
///
/// # Panics
/// On other processors.
#[inline]
pub fn run_on_vectors<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has the three features, checked on the lines above.
            return unsafe { with_avx512(work) };
        }
        assert!(has_vectors(), "a processor with AVX2");
        // SAFETY: the processor has the feature, checked on the line above.
        unsafe { with_avx2(work) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn with_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}
