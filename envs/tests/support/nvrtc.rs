//! NVIDIA's compilers without a GPU: NVRTC as a library, ptxas as a program.

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

/// The compilers' folder, from `NVIDIA_COMPILERS`; none is said aloud.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("NVIDIA_COMPILERS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: set NVIDIA_COMPILERS to what .ci/get-nvidia prints, to compile the kernels"
        );
    }
    folder
}

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// NVIDIA's run-time compiler, loaded from a folder.
pub struct Nvrtc {
    // NVRTC opens its built-in headers by name: they must be there before it.
    _builtins: Library,
    library: Library,
}

impl Nvrtc {
    pub fn new(folder: &Path) -> Self {
        let open = |name: &str| {
            let path = folder.join("lib").join(name);
            // SAFETY: NVIDIA's library; loading it has no effect but its own initialisation.
            unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) }
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self {
            _builtins: open("libnvrtc-builtins.so.13.0"),
            library: open("libnvrtc.so.13"),
        }
    }

    /// The PTX of a text and what the compiler said.
    pub fn compile(&self, text: &str, options: &[&str]) -> Result<(String, String), String> {
        let text = CString::new(text).unwrap();
        let options: Vec<_> = options.iter().map(|o| CString::new(*o).unwrap()).collect();
        let pointers: Vec<_> = options.iter().map(|o| o.as_ptr()).collect();
        let mut program = ptr::null_mut();
        // SAFETY: the signatures are nvrtc.h's; every pointer lives until the call returns.
        unsafe {
            let create = self.library.get::<Create>(b"nvrtcCreateProgram").unwrap();
            let name = c"kernels.cu".as_ptr();
            let status = create(
                &mut program,
                text.as_ptr(),
                name,
                0,
                ptr::null(),
                ptr::null(),
            );
            assert_eq!(status, 0, "nvrtcCreateProgram");
            let compile = self.library.get::<Compile>(b"nvrtcCompileProgram").unwrap();
            let status = compile(program, pointers.len() as c_int, pointers.as_ptr());
            let log = self.text(program, b"nvrtcGetProgramLogSize", b"nvrtcGetProgramLog");
            if status != 0 {
                return Err(log);
            }
            Ok((self.text(program, b"nvrtcGetPTXSize", b"nvrtcGetPTX"), log))
        }
    }

    fn text(&self, program: Program, size: &[u8], text: &[u8]) -> String {
        let mut length = 0;
        // SAFETY: as above; the buffer has the length that NVRTC asks for.
        unsafe {
            assert_eq!(
                self.library.get::<Size>(size).unwrap()(program, &mut length),
                0
            );
            let mut bytes = vec![0_u8; length];
            let fill = self.library.get::<Text>(text).unwrap();
            assert_eq!(fill(program, bytes.as_mut_ptr().cast()), 0);
            String::from_utf8(bytes)
                .unwrap()
                .trim_end_matches('\0')
                .to_string()
        }
    }
}

/// What ptxas says of one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub registers: usize,
    pub spilled_bytes: usize,
    pub local_bytes: usize,
}

/// Assembles PTX for an architecture (`sm_90`) and returns what the kernel `advance` uses.
pub fn assemble(folder: &Path, ptx: &Path, architecture: &str) -> Usage {
    assemble_entry(folder, ptx, architecture, "advance")
}

/// As [`assemble`], for another kernel.
pub fn assemble_entry(folder: &Path, ptx: &Path, architecture: &str, entry: &str) -> Usage {
    let output = Command::new(folder.join("bin/ptxas"))
        .args(["-v", &format!("-arch={architecture}"), "-o", "/dev/null"])
        .arg(ptx)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success(),
        "{} {architecture}: {said}",
        ptx.display()
    );
    let part = said
        .split(&format!("Compiling entry function '{entry}'"))
        .nth(1)
        .unwrap();
    let before = |word: &str| -> usize {
        let end = part
            .find(word)
            .unwrap_or_else(|| panic!("{word} in {said}"));
        let number = part[..end].trim_end().rsplit(|c: char| !c.is_ascii_digit());
        number.into_iter().next().unwrap().parse().unwrap()
    };
    Usage {
        registers: before(" registers"),
        spilled_bytes: before(" bytes spill stores") + before(" bytes spill loads"),
        local_bytes: before(" bytes stack frame"),
    }
}
