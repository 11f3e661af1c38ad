//! Environments on an NVIDIA GPU: one thread per robot, the whole robot in registers, nothing but the driver to install.
//!
//! The physics is a second text of the engine, in the subset of C that CUDA C++, OpenCL C and C++ share (`envs/gpu/kernels`).
//! Its numbers are tables that [`program::Program::source`] makes from the compiled Rust [`crate::planar::model::Model`];
//! the compiled text (PTX) is in the repository. docs/gpu.md says how it is built, tested and extended.

mod actor;
mod balance;
mod classic;
mod closed_loop;
pub mod cuda;
pub mod devices;
pub mod driver;
mod environments;
mod error;
mod maze;
pub mod policy;
pub mod program;
mod tables;

pub use actor::NoiseKey;
pub use closed_loop::DeviceEpisode;
pub use environments::{DeviceEnvs, Status};
pub use error::{GpuError, Refusal};

/// Threads of a block, which is also what the kernels are compiled for. Small, because a robot fills up to 255 registers: at
/// 168 an SM holds twelve warps (three on each quarter of its registers), at more than 168 eight.
pub const BLOCK: usize = 64;

/// In which numbers a device computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// f32 as fast as it goes: multiplications and additions fused, division to two units in the last place.
    Fast,
    /// f32 with the bytes of the CPU's f32 engine: nothing fused, sines in f64.
    F32,
    /// f64 with the bytes of the CPU's engine: nothing fused.
    F64,
}

impl Mode {
    /// All modes, the fastest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::F32, Self::F64];

    /// C's name of the number.
    pub fn real(self) -> &'static str {
        match self {
            Self::Fast | Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    /// Bytes of a number.
    pub fn width(self) -> usize {
        match self {
            Self::Fast | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The options with which NVRTC compiles this mode.
    pub fn compiler_options(self) -> &'static [&'static str] {
        match self {
            Self::Fast => &[
                "--fmad=true",
                "--prec-div=false",
                "--prec-sqrt=false",
                "--ftz=true",
            ],
            Self::F32 | Self::F64 => &[
                "--fmad=false",
                "--prec-div=true",
                "--prec-sqrt=true",
                "--ftz=false",
            ],
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}
