//! What the host asks of a GPU's driver, as a trait, so that every answer of a driver can be tested without one.

use super::error::{GpuError, Refusal};

/// A device as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number, counted from zero.
    pub ordinal: usize,
    /// The maker's name for it.
    pub name: String,
    /// Compute capability, (major, minor).
    pub capability: (u32, u32),
    /// Number of streaming multiprocessors.
    pub processors: usize,
    /// Memory in bytes.
    pub memory: u64,
}

impl std::fmt::Display for Device {
    /// `cuda:0  NVIDIA H100 80GB HBM3, compute capability 9.0, 132 SMs, 79.6 GiB`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.capability;
        let gibibytes = self.memory as f64 / (1_u64 << 30) as f64;
        write!(
            f,
            "cuda:{}  {}, compute capability {major}.{minor}, {} SMs, {gibibytes:.1} GiB",
            self.ordinal, self.name, self.processors
        )
    }
}

/// Memory on the device; zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

/// A kernel that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(pub u64);

/// One argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A pointer into the device's memory.
    Pointer(Address),
    /// A 64-bit number.
    Long(u64),
    /// A 32-bit number.
    Int(i32),
}

/// A GPU's driver. One object talks to one device at a time, the one opened last.
pub trait Driver {
    /// The version of CUDA that the driver speaks, 1000·major + 10·minor.
    ///
    /// # Errors
    /// If there is no driver, or what it answers.
    fn version(&self) -> Result<u32, GpuError>;

    /// The devices.
    ///
    /// # Errors
    /// What the driver answers.
    fn devices(&self) -> Result<Vec<Device>, Refusal>;

    /// Makes a device the one that the other calls mean.
    ///
    /// # Errors
    /// What the driver answers.
    fn open(&mut self, ordinal: usize) -> Result<(), Refusal>;

    /// Compiles PTX for the open device, with at most so many registers a thread, and finds its kernels.
    ///
    /// # Errors
    /// What the driver answers.
    fn load(
        &mut self,
        ptx: &str,
        kernels: &[&str],
        registers: Option<u32>,
    ) -> Result<Vec<Kernel>, Refusal>;

    /// Memory of this many bytes, all zero.
    ///
    /// # Errors
    /// What the driver answers.
    fn allocate(&mut self, bytes: usize) -> Result<Address, Refusal>;

    /// Gives memory back.
    fn free(&mut self, address: Address);

    /// Copies to the device.
    ///
    /// # Errors
    /// What the driver answers.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), Refusal>;

    /// Copies from the device, after everything launched so far is done.
    ///
    /// # Errors
    /// What the driver answers.
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), Refusal>;

    /// Starts a kernel on `blocks` blocks of `threads` threads, after what was launched before.
    ///
    /// # Errors
    /// What the driver answers.
    fn launch(
        &mut self,
        kernel: Kernel,
        blocks: u32,
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), Refusal>;

    /// Waits until everything launched is done.
    ///
    /// # Errors
    /// What the driver answers.
    fn wait(&mut self) -> Result<(), Refusal>;
}
