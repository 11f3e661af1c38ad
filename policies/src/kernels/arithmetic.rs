//! Which arithmetic this process's matrix products use.
//!
//! Results are the same bytes on all machines of one arithmetic. Every run records its own.

/// Environment variable that chooses [`F32`] where [`AMX`] would be used.
pub const VARIABLE: &str = "TILTRL_ARITHMETIC";
/// Fused multiply-adds of f32 on the vector units.
pub const F32: &str = "f32";
/// Six products of bfloat16 parts on the matrix unit, where the CPU has one: errors like those of [`F32`], usually smaller.
pub const AMX: &str = "amx-bf16x6";

/// Checks the environment variable.
///
/// # Errors
/// When it is neither unset, empty, [`F32`], nor an arithmetic that this machine has.
pub fn check() -> Result<(), String> {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    if asked.is_empty() || asked == arithmetic() {
        return Ok(());
    }
    Err(format!(
        "{VARIABLE}: {asked:?} is not an arithmetic of this machine\n  hint: unset it, or choose {F32} or, with a matrix unit, {AMX}"
    ))
}

/// Returns [`AMX`] or [`F32`].
pub fn arithmetic() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if super::amx::available() {
        return AMX;
    }
    F32
}
