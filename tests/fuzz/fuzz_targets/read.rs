//! Any bytes as a data file: read, or refused with a reason; no panic, no endless loop, no memory without bound.
//!
//! The first byte chooses the file's extension, the second the options; the rest is the file.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tiltrl::data::{BothFlags, Dataset, ReadOptions};

const EXTENSIONS: [&str; 4] = ["hdf5", "h5", "npz", "csv"];

fuzz_target!(|input: &[u8]| {
    let [kind, options, file @ ..] = input else {
        return;
    };
    let extension = EXTENSIONS[usize::from(*kind) % EXTENSIONS.len()];
    let folder = std::env::var_os("FUZZ_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("tiltrl-fuzz-{}.{extension}", std::process::id()));
    std::fs::write(&path, file).expect("the folder is writable");
    let options = ReadOptions {
        horizon: (options & 1 > 0).then_some(5),
        both_flags: if options & 2 > 0 { BothFlags::Timeout } else { BothFlags::Terminal },
        ..ReadOptions::default()
    };
    if let Ok(data) = Dataset::read_with(&[path], &options) {
        let _ = tiltrl::data::summarize(&data, None);
    }
});
