//! OpenCL on the processor as a driver: the host's calls reach kernels that another compiler made and that run as work items.

use libloading::Library;
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use tiltrl_envs::gpu::driver::{Address, Argument, Device, Driver, Kernel};
use tiltrl_envs::gpu::policy::KERNELS;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{GpuError, Mode, Refusal};

type Handle = *mut c_void;
type Get = unsafe extern "C" fn(u32, *mut Handle, *mut u32) -> i32;
type GetDevices = unsafe extern "C" fn(Handle, u64, u32, *mut Handle, *mut u32) -> i32;
type MakeContext =
    unsafe extern "C" fn(*const isize, u32, *const Handle, Handle, Handle, *mut i32) -> Handle;
type MakeQueue = unsafe extern "C" fn(Handle, Handle, u64, *mut i32) -> Handle;
type MakeProgram =
    unsafe extern "C" fn(Handle, u32, *const *const c_char, *const usize, *mut i32) -> Handle;
type Build = unsafe extern "C" fn(Handle, u32, *const Handle, *const c_char, Handle, Handle) -> i32;
type BuildInfo = unsafe extern "C" fn(Handle, Handle, u32, usize, *mut c_void, *mut usize) -> i32;
type MakeKernel = unsafe extern "C" fn(Handle, *const c_char, *mut i32) -> Handle;
type MakeBuffer = unsafe extern "C" fn(Handle, u64, usize, *mut c_void, *mut i32) -> Handle;
type SetArgument = unsafe extern "C" fn(Handle, u32, usize, *const c_void) -> i32;
type Sizes = *const usize;
type Launch =
    unsafe extern "C" fn(Handle, Handle, u32, Sizes, Sizes, Sizes, u32, Sizes, Sizes) -> i32;
type Copy =
    unsafe extern "C" fn(Handle, Handle, u32, usize, usize, Handle, u32, Sizes, Sizes) -> i32;
type Of = unsafe extern "C" fn(Handle) -> i32;

const ON_THE_PROCESSOR: u64 = 2;
const BUILD_LOG: u32 = 0x1183;
const READ_WRITE_COPY: u64 = 1 | 32;

/// The first OpenCL device that is a processor, for one program of environments; kernels of policies it knows too.
pub struct OpenCl {
    library: Library,
    device: Handle,
    context: Handle,
    queue: Handle,
    program: (Program, Mode),
}

macro_rules! call {
    ($library:expr, $name:literal, $kind:ty) => {
        // The signatures are cl.h's.
        *$library.get::<$kind>($name.as_bytes()).unwrap()
    };
}

fn answer(call: &'static str, code: i32) -> Result<(), Refusal> {
    assert_eq!(code, 0, "{call}");
    Ok(())
}

impl OpenCl {
    pub fn new(path: &Path, program: Program, mode: Mode) -> Self {
        // SAFETY: OpenCL's own library and calls; every pointer lives until its call returns.
        unsafe {
            let library = Library::new(path).unwrap();
            let (mut platforms, mut count) = ([ptr::null_mut(); 8], 0);
            let get = call!(library, "clGetPlatformIDs", Get);
            let found = get(8, platforms.as_mut_ptr(), &mut count);
            assert!(found == 0 && count > 0, "no OpenCL platform: {found}");
            let get = call!(library, "clGetDeviceIDs", GetDevices);
            let mut device = ptr::null_mut();
            let any = platforms[..count.min(8) as usize]
                .iter()
                .any(|p| get(*p, ON_THE_PROCESSOR, 1, &mut device, ptr::null_mut()) == 0);
            assert!(any, "no OpenCL device on the processor");
            let (mut error, null) = (0, ptr::null_mut());
            let make = call!(library, "clCreateContext", MakeContext);
            let context = make(ptr::null(), 1, &device, null, null, &mut error);
            assert_eq!(error, 0, "clCreateContext");
            let make = call!(library, "clCreateCommandQueue", MakeQueue);
            let queue = make(context, device, 0, &mut error);
            assert_eq!(error, 0, "clCreateCommandQueue");
            Self {
                library,
                device,
                context,
                queue,
                program: (program, mode),
            }
        }
    }

    /// Compiles a text.
    fn build(&self, text: &str) -> Handle {
        let (source, mut error, null) = (CString::new(text).unwrap(), 0, ptr::null_mut());
        // SAFETY: as above.
        unsafe {
            let make = call!(self.library, "clCreateProgramWithSource", MakeProgram);
            let program = make(self.context, 1, &source.as_ptr(), ptr::null(), &mut error);
            assert_eq!(error, 0, "clCreateProgramWithSource");
            let build = call!(self.library, "clBuildProgram", Build);
            let options = c"-cl-std=CL1.2".as_ptr();
            if build(program, 1, &self.device, options, null, null) != 0 {
                let mut log = vec![0_u8; 4000];
                let info = call!(self.library, "clGetProgramBuildInfo", BuildInfo);
                let (size, to) = (log.len(), log.as_mut_ptr().cast());
                info(program, self.device, BUILD_LOG, size, to, ptr::null_mut());
                panic!("{}", String::from_utf8_lossy(&log));
            }
            program
        }
    }
}

impl Driver for OpenCl {
    fn version(&self) -> Result<u32, GpuError> {
        Ok(13_000)
    }

    fn devices(&self) -> Result<Vec<Device>, Refusal> {
        Ok(vec![Device {
            ordinal: 0,
            name: "OpenCL on the processor".into(),
            capability: (9, 0),
            processors: 1,
            memory: 1 << 30,
        }])
    }

    fn open(&mut self, _ordinal: usize) -> Result<(), Refusal> {
        Ok(())
    }

    fn load(
        &mut self,
        ptx: &str,
        kernels: &[&str],
        _registers: Option<u32>,
    ) -> Result<Vec<Kernel>, Refusal> {
        let (program, mode) = &self.program;
        let text = match KERNELS.iter().find(|kernel| kernel.ptx == ptx) {
            Some(kernel) => kernel.opencl_source(),
            None => {
                assert_eq!(Some(ptx), program.ptx(*mode), "the PTX of another program");
                program.opencl_source(*mode).unwrap()
            }
        };
        let program = self.build(&text);
        let mut found = Vec::new();
        for name in kernels {
            let (name, mut error) = (CString::new(*name).unwrap(), 0);
            // SAFETY: as above.
            let kernel = unsafe {
                let make = call!(self.library, "clCreateKernel", MakeKernel);
                make(program, name.as_ptr(), &mut error)
            };
            answer("clCreateKernel", error)?;
            found.push(Kernel(kernel as u64));
        }
        Ok(found)
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, Refusal> {
        let (mut zeros, mut error) = (vec![0_u8; bytes.max(1)], 0);
        let from = zeros.as_mut_ptr().cast();
        // SAFETY: as above; the zeros are copied.
        let buffer = unsafe {
            let make = call!(self.library, "clCreateBuffer", MakeBuffer);
            make(self.context, READ_WRITE_COPY, zeros.len(), from, &mut error)
        };
        answer("clCreateBuffer", error)?;
        Ok(Address(buffer as u64))
    }

    fn free(&mut self, address: Address) {
        // SAFETY: the address is a buffer's handle.
        let code = unsafe {
            let release = call!(self.library, "clReleaseMemObject", Of);
            release(address.0 as Handle)
        };
        assert_eq!(code, 0, "clReleaseMemObject");
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), Refusal> {
        let from = bytes.as_ptr().cast_mut().cast();
        // SAFETY: as above; the call waits.
        let code = unsafe {
            let copy = call!(self.library, "clEnqueueWriteBuffer", Copy);
            let (buffer, none) = (to.0 as Handle, ptr::null());
            copy(self.queue, buffer, 1, 0, bytes.len(), from, 0, none, none)
        };
        answer("clEnqueueWriteBuffer", code)
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), Refusal> {
        let (length, to) = (bytes.len(), bytes.as_mut_ptr().cast());
        // SAFETY: as above; the queue works in order and the call waits.
        let code = unsafe {
            let copy = call!(self.library, "clEnqueueReadBuffer", Copy);
            let (buffer, none) = (from.0 as Handle, ptr::null());
            copy(self.queue, buffer, 1, 0, length, to, 0, none, none)
        };
        answer("clEnqueueReadBuffer", code)
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        blocks: u32,
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), Refusal> {
        let kernel = kernel.0 as Handle;
        let (group, none) = (threads as usize, ptr::null());
        let all = blocks as usize * group;
        // SAFETY: as above; a buffer's handle stands where the kernel has a pointer.
        let code = unsafe {
            let set = call!(self.library, "clSetKernelArg", SetArgument);
            for (k, argument) in arguments.iter().enumerate() {
                let (size, at): (usize, *const c_void) = match argument {
                    Argument::Pointer(Address(handle)) => (8, ptr::from_ref(handle).cast()),
                    Argument::Long(number) => (8, ptr::from_ref(number).cast()),
                    Argument::Int(number) => (4, ptr::from_ref(number).cast()),
                };
                assert_eq!(set(kernel, k as u32, size, at), 0, "argument {k}");
            }
            let launch = call!(self.library, "clEnqueueNDRangeKernel", Launch);
            launch(self.queue, kernel, 1, none, &all, &group, 0, none, none)
        };
        answer("clEnqueueNDRangeKernel", code)
    }

    fn wait(&mut self) -> Result<(), Refusal> {
        // SAFETY: as above.
        let code = unsafe { call!(self.library, "clFinish", Of)(self.queue) };
        answer("clFinish", code)
    }
}
