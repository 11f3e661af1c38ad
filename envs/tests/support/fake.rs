//! A GPU's driver that is none: its memory is this process's, its kernels are the twin's functions, and it fails where it is
//! told to.
#![allow(dead_code)]

use super::twin;
use libloading::Library;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tiltrl_envs::gpu::Refusal;
use tiltrl_envs::gpu::driver::{Address, Argument, Device, Driver, Kernel};
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{GpuError, Mode};

/// What a test looks at while the driver belongs to the environments.
#[derive(Default)]
pub struct Ledger {
    /// Bytes that are allocated now.
    pub allocated: usize,
    /// The device that was opened.
    pub opened: Option<usize>,
    /// Kernels launched.
    pub launches: usize,
}

pub struct Fake {
    pub version: Result<u32, GpuError>,
    pub devices: Vec<Device>,
    /// Bytes of memory.
    pub memory: usize,
    /// The call that fails, and with what.
    pub failing: Option<Refusal>,
    pub ledger: Arc<Mutex<Ledger>>,
    /// The program whose twin stands for its PTX.
    pub program: Option<(Program, Mode)>,
    pub library: Option<Library>,
    pub blocks: HashMap<u64, Box<[u64]>>,
}

pub fn card(ordinal: usize, name: &str, capability: (u32, u32)) -> Device {
    Device {
        ordinal,
        name: name.into(),
        capability,
        processors: 132,
        memory: 80 << 30,
    }
}

impl Fake {
    pub fn new() -> Self {
        Self {
            version: Ok(13_000),
            devices: vec![card(0, "Fake H100", (9, 0))],
            memory: 1 << 30,
            failing: None,
            ledger: Arc::default(),
            program: None,
            library: None,
            blocks: HashMap::new(),
        }
    }

    fn may(&self, call: &'static str) -> Result<(), Refusal> {
        match self.failing {
            Some(refusal) if refusal.call == call => Err(refusal),
            _ => Ok(()),
        }
    }

    fn bytes(&mut self, address: Address) -> &mut [u8] {
        let block = self
            .blocks
            .get_mut(&address.0)
            .expect("memory that was allocated");
        // SAFETY: numbers of eight bytes are bytes.
        unsafe { std::slice::from_raw_parts_mut(block.as_mut_ptr().cast(), block.len() * 8) }
    }
}

impl Driver for Fake {
    fn version(&self) -> Result<u32, GpuError> {
        self.version.clone()
    }

    fn devices(&self) -> Result<Vec<Device>, Refusal> {
        self.may("cuDeviceGetCount")?;
        Ok(self.devices.clone())
    }

    fn open(&mut self, ordinal: usize) -> Result<(), Refusal> {
        self.may("cuDevicePrimaryCtxRetain")?;
        self.ledger.lock().unwrap().opened = Some(ordinal);
        Ok(())
    }

    fn load(
        &mut self,
        ptx: &str,
        kernels: &[&str],
        _registers: Option<u32>,
    ) -> Result<Vec<Kernel>, Refusal> {
        self.may("cuModuleLoadDataEx")?;
        if let Some((program, mode)) = &self.program {
            assert_eq!(Some(ptx), program.ptx(*mode), "the PTX of another program");
            let path = twin::build(program, *mode, &[]);
            // SAFETY: the library is the twin; loading it runs nothing of its own.
            self.library = Some(unsafe { Library::new(path) }.unwrap());
        }
        let kernel = |name: &&str| match &self.library {
            // SAFETY: the symbol is only looked up.
            Some(library) => unsafe { *library.get::<usize>(name.as_bytes()).unwrap() as u64 },
            None => 1,
        };
        for name in kernels {
            assert!(
                ptx.contains(&format!(".entry {name}(")),
                "{name} is not in the PTX"
            );
        }
        Ok(kernels.iter().map(kernel).map(Kernel).collect())
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, Refusal> {
        self.may("cuMemAlloc")?;
        let mut ledger = self.ledger.lock().unwrap();
        let block = vec![0_u64; bytes.div_ceil(8)].into_boxed_slice();
        if ledger.allocated + block.len() * 8 > self.memory {
            return Err(Refusal {
                call: "cuMemAlloc",
                code: 2,
            });
        }
        ledger.allocated += block.len() * 8;
        let address = block.as_ptr() as u64;
        self.blocks.insert(address, block);
        Ok(Address(address))
    }

    fn free(&mut self, address: Address) {
        let block = self
            .blocks
            .remove(&address.0)
            .expect("memory that was allocated");
        self.ledger.lock().unwrap().allocated -= block.len() * 8;
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), Refusal> {
        self.may("cuMemcpyHtoD")?;
        self.bytes(to)[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.may("cuMemcpyDtoH")?;
        let length = bytes.len();
        bytes.copy_from_slice(&self.bytes(from)[..length]);
        Ok(())
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        blocks: u32,
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), Refusal> {
        self.may("cuLaunchKernel")?;
        self.ledger.lock().unwrap().launches += 1;
        let word = |k: usize| match arguments[k] {
            Argument::Pointer(Address(value)) | Argument::Long(value) => value,
            Argument::Int(value) => value as u64,
        };
        let last = word(arguments.len() - 1) as usize;
        assert!(
            (blocks * threads) as usize >= last,
            "every environment has a thread"
        );
        // SAFETY: the functions are twin.cpp's, whose parameters are eight- and four-byte integers and pointers in this
        // order; the calling convention of x86-64 and AArch64 passes each in a word of its own.
        unsafe {
            match arguments.len() {
                9 => {
                    type Begin = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, i32);
                    let begin: Begin = std::mem::transmute(kernel.0);
                    begin(
                        word(0),
                        word(1),
                        word(2),
                        word(3),
                        word(4),
                        word(5),
                        word(6),
                        word(7),
                        last as i32,
                    );
                }
                11 => {
                    type Advance =
                        unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, i32, i32);
                    let advance: Advance = std::mem::transmute(kernel.0);
                    let bonus = word(9) as i32;
                    advance(
                        word(0),
                        word(1),
                        word(2),
                        word(3),
                        word(4),
                        word(5),
                        word(6),
                        word(7),
                        word(8),
                        bonus,
                        last as i32,
                    );
                }
                number => panic!("no kernel has {number} parameters"),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Refusal> {
        self.may("cuCtxSynchronize")
    }
}
