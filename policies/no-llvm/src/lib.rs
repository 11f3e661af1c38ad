//! What `cubecl-cuda` names of its LLVM compiler, without LLVM.
//!
//! With `cubecl-cuda`'s feature `cpp` kernels are CUDA C++ that NVRTC compiles, and nothing here is called but
//! [`PtxVersion::for_driver`](nvptx::ptx_version::PtxVersion::for_driver). Whoever asks for LLVM all the same gets an error that says so.

use std::ffi::c_char;
use std::fmt;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::BufferIOAttr;

use nvptx::ptx_version::PtxVersion;

/// The names of the target for NVIDIA's cards.
pub mod nvptx {
    /// The version of PTX that LLVM would write.
    pub mod ptx_version {
        use std::convert::Infallible;
        use std::fmt;

        /// A version of PTX; without LLVM there is none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(Infallible);

        impl PtxVersion {
            /// Returns none, whatever the driver takes: NVRTC writes the version of its own toolkit.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {}
            }
        }
    }
}

/// Names that do not belong to one target.
pub mod shared {
    /// What LLVM can compile of what a card can do.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A target of LLVM.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's cards.
            Nvptx,
        }

        /// Leaves a card's properties as they are: no kernel is compiled by LLVM.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}

/// What LLVM would compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's cards.
    Nvptx,
}

/// A compiler that refuses every kernel.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it is asked to compile for.
    pub target: LlvmTarget,
}

/// How a kernel is wanted; nothing reads it.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An architecture of other makers.
    pub arch: Option<()>,
    /// The card's architecture.
    pub sm_arch: Option<SmArch>,
    /// The newest version of PTX that the driver takes.
    pub ptx_version: Option<PtxVersion>,
    /// Whether parameters lie in constant memory.
    pub grid_constants: bool,
    /// The dependent fills the rest by default and wants something left to fill.
    pub rest: (),
}

/// A compiled kernel, of which there is none.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Its text for the driver.
    pub ptx: Vec<c_char>,
    /// Its text before the last stage.
    pub ir: String,
    /// Shared memory in bytes.
    pub shared_memory_size: usize,
    /// Which buffers it reads and writes.
    pub io: Vec<BufferIOAttr>,
}

/// What a compiler returns.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// A kernel for NVIDIA's cards.
    NvptxCode(NvptxModule),
    /// Nothing; the dependent matches more kinds than the one above.
    None,
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no LLVM in this build")
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _: KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM: select cubecl-cuda's feature cpp".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
