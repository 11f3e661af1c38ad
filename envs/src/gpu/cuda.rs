//! NVIDIA's driver, loaded at run time through cudarc. Whoever builds this needs nothing of CUDA.
#![allow(unsafe_code)]

use super::driver::{Address, Argument, Device, Driver, Kernel};
use super::error::Refusal;
use super::error::{GpuError, OLDEST_DRIVER};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use std::ffi::{CString, c_int, c_void};

/// NVIDIA's driver on this machine.
pub struct Cuda {
    contexts: Vec<(sys::CUdevice, sys::CUcontext)>,
    modules: Vec<sys::CUmodule>,
}

/// CUDA's answer with the call's name.
fn named<T>(call: &'static str, answer: Result<T, DriverError>) -> Result<T, Refusal> {
    answer.map_err(|DriverError(code)| Refusal {
        call,
        code: code as u32,
    })
}

impl Cuda {
    /// The driver of this machine.
    ///
    /// # Errors
    /// If there is none, if it is too old for the kernels, or if it cannot be started.
    pub fn new() -> Result<Self, GpuError> {
        // SAFETY: it only tries to load the library; cudarc panics in every other call if that fails.
        if !unsafe { sys::is_culib_present() } {
            let library = format!(
                "{}cuda{}",
                std::env::consts::DLL_PREFIX,
                std::env::consts::DLL_SUFFIX
            );
            return Err(GpuError::MissingDriver { library });
        }
        let driver = Self {
            contexts: Vec::new(),
            modules: Vec::new(),
        };
        let found = driver.version()?;
        if found < OLDEST_DRIVER {
            return Err(GpuError::OldDriver { found });
        }
        named("cuInit", result::init())?;
        Ok(driver)
    }

    /// Makes this object's device the thread's: another object may have opened another one since.
    fn enter(&self) -> Result<(), Refusal> {
        let Some((_, context)) = self.contexts.last() else {
            return Ok(());
        };
        // SAFETY: the context was retained by `open` and is released by `drop`.
        let answer = unsafe { result::ctx::set_current(*context) };
        named("cuCtxSetCurrent", answer)
    }
}

impl Driver for Cuda {
    fn version(&self) -> Result<u32, GpuError> {
        let mut version: c_int = 0;
        // SAFETY: the pointer is to a number that lives until the call returns.
        let answer = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
        named("cuDriverGetVersion", answer)?;
        Ok(version.max(0) as u32)
    }

    fn devices(&self) -> Result<Vec<Device>, Refusal> {
        use sys::CUdevice_attribute_enum as Attribute;
        let count = named("cuDeviceGetCount", result::device::get_count())?;
        let mut devices = Vec::new();
        for ordinal in 0..count {
            let device = named("cuDeviceGet", result::device::get(ordinal))?;
            let attribute = |attribute| {
                // SAFETY: the device is one that cuDeviceGet returned.
                let answer = unsafe { result::device::get_attribute(device, attribute) };
                named("cuDeviceGetAttribute", answer).map(|value| value.max(0) as u32)
            };
            let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
            let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
            devices.push(Device {
                ordinal: ordinal as usize,
                name: named("cuDeviceGetName", result::device::get_name(device))?,
                capability: (major, minor),
                processors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?
                    as usize,
                // SAFETY: as above.
                memory: named("cuDeviceTotalMem", unsafe {
                    result::device::total_mem(device)
                })? as u64,
            });
        }
        Ok(devices)
    }

    fn open(&mut self, ordinal: usize) -> Result<(), Refusal> {
        let device = named("cuDeviceGet", result::device::get(ordinal as c_int))?;
        // SAFETY: the device is one that cuDeviceGet returned; `drop` releases what is retained here.
        let context = named("cuDevicePrimaryCtxRetain", unsafe {
            result::primary_ctx::retain(device)
        })?;
        self.contexts.push((device, context));
        self.enter()
    }

    fn load(
        &mut self,
        ptx: &str,
        kernels: &[&str],
        registers: Option<u32>,
    ) -> Result<Vec<Kernel>, Refusal> {
        self.enter()?;
        let unreadable = |call| Refusal { call, code: 218 };
        let image = CString::new(ptx).map_err(|_| unreadable("cuModuleLoadDataEx"))?;
        // CUDA takes a number in place of an option's pointer; none of them is kept.
        let mut option = sys::CUjit_option::CU_JIT_MAX_REGISTERS;
        let mut value = registers.unwrap_or(0) as usize as *mut c_void;
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is a text that ends in zero, and there is one option and one value, or none.
        let answer = unsafe {
            sys::cuModuleLoadDataEx(
                &mut module,
                image.as_ptr().cast(),
                u32::from(registers.is_some()),
                &mut option,
                &mut value,
            )
        };
        named("cuModuleLoadDataEx", answer.result())?;
        self.modules.push(module);
        let find = |name: &&str| {
            let name = CString::new(*name).map_err(|_| unreadable("cuModuleGetFunction"))?;
            // SAFETY: the module is loaded, and stays so until `drop`.
            let function = unsafe { result::module::get_function(module, name) };
            Ok(Kernel(named("cuModuleGetFunction", function)? as u64))
        };
        kernels.iter().map(find).collect()
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, Refusal> {
        self.enter()?;
        // SAFETY: the memory is fresh; it is filled before anybody reads it.
        unsafe {
            let address = named("cuMemAlloc", result::malloc_sync(bytes.max(1)))?;
            named(
                "cuMemsetD8",
                result::memset_d8_sync(address, 0, bytes.max(1)),
            )?;
            Ok(Address(address))
        }
    }

    fn free(&mut self, address: Address) {
        // SAFETY: the address came from `allocate` and is given back once. A driver that refuses keeps it: no harm done.
        let _ = self
            .enter()
            .map(|()| unsafe { result::free_sync(address.0) });
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), Refusal> {
        self.enter()?;
        // SAFETY: the caller writes within what it allocated.
        named("cuMemcpyHtoD", unsafe {
            result::memcpy_htod_sync(to.0, bytes)
        })
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.enter()?;
        // SAFETY: the caller reads within what it allocated.
        named("cuMemcpyDtoH", unsafe {
            result::memcpy_dtoh_sync(bytes, from.0)
        })
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        blocks: u32,
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), Refusal> {
        self.enter()?;
        let mut pointers: Vec<*mut c_void> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Pointer(Address(value)) | Argument::Long(value) => {
                    std::ptr::from_ref(value).cast_mut().cast()
                }
                Argument::Int(value) => std::ptr::from_ref(value).cast_mut().cast(),
            })
            .collect();
        // SAFETY: the kernel is loaded and its parameters are these, in number, order and width; CUDA only reads them, and
        // before the call returns.
        let answer = unsafe {
            result::launch_kernel(
                kernel.0 as sys::CUfunction,
                (blocks, 1, 1),
                (threads, 1, 1),
                0,
                result::stream::null(),
                &mut pointers,
            )
        };
        named("cuLaunchKernel", answer)
    }

    fn wait(&mut self) -> Result<(), Refusal> {
        self.enter()?;
        named("cuCtxSynchronize", result::ctx::synchronize())
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // SAFETY: modules and contexts are those that this object loaded and retained, each released once. Answers do not
        // matter: the process gives everything back in the end.
        unsafe {
            for module in self.modules.drain(..) {
                let _ = result::module::unload(module);
            }
            for (device, _) in self.contexts.drain(..) {
                let _ = result::primary_ctx::release(device);
            }
        }
    }
}
