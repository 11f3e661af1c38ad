//! Any bytes under any name: the reader of data answers with rows or with an error, and never panics.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tiltrl::data::{Dataset, read_attributes};

/// Names that files of data have; the first byte of an input picks one.
const NAMES: [&str; 4] = ["data.hdf5", "data.npz", "data.csv", "data"];

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let folder = PathBuf::from("/dev/shm").join(format!("tiltrl-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in memory");
    let path = folder.join(NAMES[usize::from(*first) % NAMES.len()]);
    std::fs::write(&path, bytes).expect("written");
    let _ = read_attributes(&path);
    if let Ok(data) = Dataset::read(std::slice::from_ref(&path)) {
        let rows = data.len();
        assert!(rows > 0, "an empty data set is an error");
        assert_eq!(data.observations.nrows(), rows);
        assert_eq!(data.actions.nrows(), rows);
        assert!(data.observations.iter().all(|value| value.is_finite()));
        let transitions = data.into_transitions();
        assert!(transitions.len() <= rows);
    }
    let _ = std::fs::remove_file(&path);
});
