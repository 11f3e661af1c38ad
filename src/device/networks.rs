//! Networks on NVIDIA's cards: what burn's CUDA backend wants besides the driver. The feature `cuda-networks` brings both.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::error::Error;

/// What may be done where CUDA's compiler or its headers are missing.
const HINT: &str = "install CUDA's toolkit (Debian, Ubuntu: `apt-get install nvidia-cuda-toolkit`; others: \
                    https://developer.nvidia.com/cuda-downloads), not newer than the driver, and name its folder in CUDA_PATH; \
                    a build with `--features cuda` alone plays episodes without it";
/// A header that kernels include.
const HEADER: &str = "include/cuda_fp16.h";

/// Returns the device for tensors of the card of that number, which must be there.
///
/// # Errors
/// [`Error::Run`] where NVRTC or CUDA's headers are missing: burn's backend panics when it finds that out by itself.
pub fn device(ordinal: usize) -> Result<Device, Error> {
    match lacking() {
        None => Ok(Device::cuda(ordinal)),
        Some(what) => Err(Error::Run(format!(
            "--device cuda:{ordinal}: networks on a card need {what}\n  hint: {HINT}"
        ))),
    }
}

/// How networks stand on this machine's cards, for a list of devices.
pub fn state() -> String {
    match lacking() {
        None => "plays episodes and computes networks".into(),
        Some(what) => format!("plays episodes; networks need {what}; {HINT}"),
    }
}

/// What is missing, if something is.
fn lacking() -> Option<String> {
    // SAFETY: it only tries to load the library; cudarc panics in every other call if that fails.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        return Some(format!(
            "NVIDIA's run-time compiler: {before}nvrtc{after} could not be loaded"
        ));
    }
    lacking_headers(cubecl_cuda::install::cuda_path())
}

/// Whether the headers of CUDA lie in the folder that burn's backend looks in.
fn lacking_headers(folder: Option<PathBuf>) -> Option<String> {
    let header = folder.as_deref().map(|folder| folder.join(HEADER));
    if header.as_deref().is_some_and(Path::is_file) {
        return None;
    }
    Some(header.map_or_else(
        || "CUDA's headers: CUDA_PATH is not set, and there is no /usr/local/cuda".into(),
        |header| format!("CUDA's headers: there is no {}", header.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_looked_for_where_the_kernels_include_them() {
        let none = lacking_headers(None).expect("nowhere to look");
        assert!(none.contains("CUDA_PATH is not set"), "{none}");
        let folder = tempfile::tempdir().expect("a folder");
        let found = || lacking_headers(Some(folder.path().into()));
        assert!(found().expect("an empty folder").ends_with("cuda_fp16.h"));
        std::fs::create_dir(folder.path().join("include")).expect("writable");
        std::fs::write(folder.path().join(HEADER), "").expect("writable");
        assert_eq!(found(), None);
    }
}
