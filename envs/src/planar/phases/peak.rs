//! What one core can compute at most: the measure that the engine's phases are held against.
#![allow(unsafe_code)]

/// Billions of additions and multiplications a second on one core with AVX-512: fused multiply-adds, and the two apart.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    pub fused: f64,
    pub apart: f64,
}

/// The peak in f64 and in f32; `None` without AVX-512.
pub fn measure() -> Option<[Peak; 2]> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the feature.
        return unsafe {
            Some([
                Peak {
                    fused: best(|| avx512::fused_f64()),
                    apart: best(|| avx512::apart_f64()),
                },
                Peak {
                    fused: best(|| avx512::fused_f32()),
                    apart: best(|| avx512::apart_f32()),
                },
            ])
        };
    }
    None
}

#[cfg(target_arch = "x86_64")]
fn best(rate: impl Fn() -> f64) -> f64 {
    (0..30).map(|_| rate()).fold(0.0, f64::max)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;
    use std::hint::black_box;
    use std::time::Instant;

    const ROUNDS: usize = 200_000;
    /// Enough independent sums to hide the latency of two units with four cycles each.
    const SUMS: usize = 16;

    macro_rules! peak {
        ($name:ident, $type:ty, $vector:ty, $splat:ident, $operation:expr) => {
            /// Billions of operations a second.
            #[target_feature(enable = "avx512f")]
            pub fn $name() -> f64 {
                let [factor, summand] = black_box([0.999, 0.001]).map(|x: $type| $splat(x));
                let mut sums = black_box([$splat(1.0); SUMS]);
                let start = Instant::now();
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = $operation(*sum, factor, summand);
                    }
                }
                black_box(sums);
                let numbers = size_of::<$vector>() / size_of::<$type>();
                (2 * ROUNDS * SUMS * numbers) as f64 / start.elapsed().as_secs_f64() * 1e-9
            }
        };
    }
    peak!(fused_f64, f64, __m512d, _mm512_set1_pd, _mm512_fmadd_pd);
    peak!(fused_f32, f32, __m512, _mm512_set1_ps, _mm512_fmadd_ps);
    peak!(
        apart_f64,
        f64,
        __m512d,
        _mm512_set1_pd,
        |x, factor, summand| { _mm512_add_pd(_mm512_mul_pd(x, factor), summand) }
    );
    peak!(
        apart_f32,
        f32,
        __m512,
        _mm512_set1_ps,
        |x, factor, summand| { _mm512_add_ps(_mm512_mul_ps(x, factor), summand) }
    );
}
