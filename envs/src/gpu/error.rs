//! What can go wrong with a GPU, in words that say what to do.

/// The oldest version of CUDA whose drivers take the PTX in this crate, 1000·major + 10·minor.
pub const OLDEST_DRIVER: u32 = 11_000;
/// The oldest compute capability for which the PTX is compiled (Turing, 2018).
pub const OLDEST_CAPABILITY: (u32, u32) = (7, 5);

/// A call that the driver refused: the call's name and CUDA's number of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The driver's function.
    pub call: &'static str,
    /// CUDA's number of the error, a `CUresult`.
    pub code: u32,
}

/// A GPU cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The driver's library is not on this machine.
    #[error(
        "there is no NVIDIA driver on this machine: {library} could not be loaded\n\
         hint: install it from your distribution (Debian, Ubuntu: `apt-get install nvidia-driver`) or from \
         https://www.nvidia.com/drivers; episodes need nothing of CUDA's toolkit. In a container start it with the GPU, as in \
         `docker run --gpus all`"
    )]
    MissingDriver {
        /// What was looked for.
        library: String,
    },
    /// The driver is too old.
    #[error(
        "NVIDIA's driver speaks CUDA {}.{}, and the kernels need {}.{} or later\nhint: update the driver (version 450 or later)",
        .found / 1000, .found % 1000 / 10, OLDEST_DRIVER / 1000, OLDEST_DRIVER % 1000 / 10
    )]
    OldDriver {
        /// What the driver speaks, 1000·major + 10·minor.
        found: u32,
    },
    /// The driver sees no device.
    #[error(
        "the NVIDIA driver is there, but it sees no GPU\nhint: `nvidia-smi` lists what it sees; CUDA_VISIBLE_DEVICES \
         may hide one; a container must be started with the GPU"
    )]
    NoDevice,
    /// Fewer devices than asked for.
    #[error("there is no device cuda:{asked}\nhint: choose one of these: {}", .found.join("; "))]
    NoSuchDevice {
        /// The number asked for.
        asked: usize,
        /// The devices there are, as they are listed.
        found: Vec<String>,
    },
    /// The device is older than the kernels.
    #[error(
        "{device} is too old: the kernels need compute capability {}.{} (Turing, 2018) or later\n\
         hint: choose another device, or the CPU",
        OLDEST_CAPABILITY.0, OLDEST_CAPABILITY.1
    )]
    OldDevice {
        /// The device as it is listed.
        device: String,
    },
    /// The device's memory is full.
    #[error(
        "the device's memory is full: {count} environments need {bytes} bytes on {device}\n\
         hint: take fewer environments, or end what else runs on the device (`nvidia-smi` lists it)"
    )]
    OutOfMemory {
        /// Environments asked for.
        count: usize,
        /// Bytes that they need together.
        bytes: usize,
        /// The device as it is listed.
        device: String,
    },
    /// The device has no kernels for this environment, or not for so many.
    #[error("`{id}` cannot run on a GPU: {reason}\nhint: {hint}")]
    Unsupported {
        /// Id of the environment.
        id: String,
        /// What stands in the way.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// A call of the driver failed in a way that has no variant of its own.
    #[error("the NVIDIA driver refused {call}: error {code} ({meaning})\nhint: {hint}")]
    Refused {
        /// The driver's function.
        call: &'static str,
        /// CUDA's number of the error, a `CUresult`.
        code: u32,
        /// CUDA's word for it.
        meaning: &'static str,
        /// What the user can do.
        hint: &'static str,
    },
}

/// CUDA's number for a memory that is full.
pub(super) const OUT_OF_MEMORY: u32 = 2;
/// CUDA's number for a driver that sees no device.
pub(super) const NO_DEVICE: u32 = 100;

impl From<Refusal> for GpuError {
    fn from(Refusal { call, code }: Refusal) -> Self {
        if code == NO_DEVICE {
            return Self::NoDevice;
        }
        let (meaning, hint) = match code {
            OUT_OF_MEMORY => ("out of memory", "take fewer environments"),
            34 | 36 => (
                "the library is a stand-in for compiling",
                "take CUDA's `stubs` folder out of LD_LIBRARY_PATH and install the driver",
            ),
            35 | 222 | 803 | 804 => (
                "the driver is too old, or not the kernel module's",
                "update the driver and restart the machine",
            ),
            46 | 201 | 216 => (
                "the device is busy or in exclusive use",
                "end what else runs on it (`nvidia-smi` lists it)",
            ),
            200 | 209 | 218 | 221 => (
                "it cannot compile the kernels for this device",
                "update the driver; if that does not help, report it with what `nvidia-smi` prints",
            ),
            214 => (
                "an uncorrectable memory error",
                "restart the device, or choose another",
            ),
            700 | 716 | 717 | 718 | 719 => (
                "a kernel failed; what the device held is lost",
                "start the program again; if it comes back, report it",
            ),
            702 => (
                "a kernel ran longer than the display lets it",
                "take fewer environments, or a device without a display",
            ),
            _ => (
                "see CUDA's documentation, CUresult",
                "`nvidia-smi` shows whether driver and device work at all",
            ),
        };
        Self::Refused {
            call,
            code,
            meaning,
            hint,
        }
    }
}
