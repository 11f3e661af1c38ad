//! A GPU's driver that is none: its memory is this process's, its kernels are the twin's functions, and it fails where it is
//! told to.
#![allow(dead_code)]

use super::twin;
use libloading::Library;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tiltrl_envs::gpu::Refusal;
use tiltrl_envs::gpu::driver::{Address, Argument, Device, Driver, Kernel};
use tiltrl_envs::gpu::policy::{KERNELS, THREADS};
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{GpuError, Mode};

/// What a test looks at while the driver belongs to the environments.
#[derive(Default)]
pub struct Ledger {
    /// Bytes that are allocated now.
    pub allocated: usize,
    /// The device that was opened.
    pub opened: Option<usize>,
    /// Kernels launched so far.
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
    /// The program whose twin stands for its PTX; without one, kernels are loaded but do not run.
    pub program: Option<(Program, Mode)>,
    pub libraries: Vec<Library>,
    /// The names of the kernels found.
    pub kernels: HashMap<u64, String>,
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
            libraries: Vec::new(),
            kernels: HashMap::new(),
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
        for name in kernels {
            assert!(
                ptx.contains(&format!(".entry {name}(")),
                "{name} is not in the PTX"
            );
        }
        let Some((program, mode)) = &self.program else {
            return Ok(kernels.iter().map(|_| Kernel(1)).collect());
        };
        let path = match KERNELS.iter().find(|kernel| kernel.ptx == ptx) {
            Some(kernel) => twin::build_policy(kernel),
            None => {
                assert_eq!(Some(ptx), program.ptx(*mode), "the PTX of another program");
                twin::build(program, *mode, &[])
            }
        };
        // SAFETY: the library is the twin; loading it runs nothing of its own.
        let library = unsafe { Library::new(path) }.unwrap();
        let mut found = Vec::new();
        for name in kernels {
            // SAFETY: the symbol is only looked up.
            let address = unsafe { *library.get::<usize>(name.as_bytes()).unwrap() as u64 };
            self.kernels.insert(address, (*name).into());
            found.push(Kernel(address));
        }
        self.libraries.push(library);
        Ok(found)
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
        let count = word(arguments.len() - 1);
        let (w, last) = (word, count as i32);
        let name = self.kernels.get(&kernel.0).map_or("", String::as_str);
        // SAFETY: the functions are the twins', whose parameters are eight- and four-byte integers and pointers in this
        // order; the calling convention of x86-64 and AArch64 passes each in a word of its own.
        unsafe {
            match (name, arguments.len()) {
                ("begin", 9) => {
                    type Begin = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, i32);
                    let begin: Begin = std::mem::transmute(kernel.0);
                    assert!(u64::from(blocks * threads) >= count);
                    begin(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7), last);
                }
                ("advance", 11) => {
                    type Advance =
                        unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, i32, i32);
                    let advance: Advance = std::mem::transmute(kernel.0);
                    assert!(u64::from(blocks * threads) >= count);
                    let (bonus, r) = (w(9) as i32, w(8));
                    advance(
                        w(0),
                        w(1),
                        w(2),
                        w(3),
                        w(4),
                        w(5),
                        w(6),
                        w(7),
                        r,
                        bonus,
                        last,
                    );
                }
                ("act", 9) => {
                    type Act = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, i32);
                    let act: Act = std::mem::transmute(kernel.0);
                    assert_eq!(threads as usize, THREADS);
                    assert!(u64::from(blocks) * 16 >= count, "every row has a block");
                    act(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7), last);
                }
                (name, number) => panic!("no kernel {name} has {number} parameters"),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Refusal> {
        self.may("cuCtxSynchronize")
    }
}
