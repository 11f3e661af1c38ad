//! Which arithmetic matrix products use.
//!
//! Results are the same bytes on all machines of one arithmetic. Every run records its own.

use std::fmt;

/// Arithmetic of matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// Fused multiply-adds of f32 on the vector units.
    #[default]
    F32,
    /// Six products of bfloat16 parts on the matrix unit: errors like those of f32, usually smaller.
    MatrixUnit(Unit),
}

/// Proof that this process may use the CPU's matrix unit: only [`Arithmetic::best`] and [`Arithmetic::named`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(());

const F32: &str = "f32";
const MATRIX_UNIT: &str = "amx-bf16x6";

impl Arithmetic {
    /// Returns the fastest that this machine has; asks the operating system for the matrix unit.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::amx::available() {
            return Self::MatrixUnit(Unit(()));
        }
        Self::F32
    }

    /// Returns the arithmetic of that name, as it is displayed; an empty name is [`Self::best`].
    ///
    /// # Errors
    /// When the name is unknown or the machine does not have it.
    pub fn named(name: &str) -> Result<Self, String> {
        let best = Self::best();
        match name {
            F32 => Ok(Self::F32),
            _ if name.is_empty() || name == best.to_string() => Ok(best),
            _ => Err(format!(
                "{name:?} is not an arithmetic of this machine\n  hint: choose {F32} or, with a matrix unit, {MATRIX_UNIT}"
            )),
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => F32,
            Self::MatrixUnit(_) => MATRIX_UNIT,
        })
    }
}
