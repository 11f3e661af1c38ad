//! Instruction sets that products have tiles for.

/// Instructions that a product is computed with. All that have fused multiply-add give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// Thirty-two registers of 512 bits: tiles of fourteen rows times 32 columns.
    Avx512,
    /// Sixteen registers of 256 bits, with FMA: tiles of six rows times sixteen columns.
    Avx2,
    /// Thirty-two registers of 128 bits: tiles of six rows times sixteen columns.
    Neon,
    /// What the compiler makes of plain Rust: tiles of four rows times sixteen columns.
    Portable,
}

impl Instructions {
    /// All, the fastest first.
    pub(crate) const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Returns whether this CPU has them.
    pub(crate) fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Returns the fastest that this CPU has.
    pub(crate) fn best() -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|set| set.available()).unwrap_or(Self::Portable)
    }
}
