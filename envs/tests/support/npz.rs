//! A reader for NumPy's compressed archives: just enough for the recordings that the tests replay.

use flate2::read::DeflateDecoder;
use std::io::Read;
use std::path::Path;

fn number(bytes: &[u8], at: usize, width: usize) -> usize {
    bytes[at..at + width]
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
}

/// The raw numbers of an array in an archive (`name` without `.npy`) and its shape.
pub fn array(path: &Path, name: &str) -> (Vec<u8>, Vec<usize>) {
    let file = std::fs::read(path).unwrap();
    let end = file
        .windows(4)
        .rposition(|window| window == b"PK\x05\x06")
        .expect("a zip file");
    let mut entry = number(&file, end + 16, 4);
    for _ in 0..number(&file, end + 10, 2) {
        let [name_length, extra, comment] = [28, 30, 32].map(|at| number(&file, entry + at, 2));
        if &file[entry + 46..entry + 46 + name_length] == format!("{name}.npy").as_bytes() {
            let header = number(&file, entry + 42, 4);
            let start = header + 30 + number(&file, header + 26, 2) + number(&file, header + 28, 2);
            let packed = &file[start..start + number(&file, entry + 20, 4)];
            let mut bytes = Vec::new();
            DeflateDecoder::new(packed).read_to_end(&mut bytes).unwrap();
            return split_header(bytes);
        }
        entry += 46 + name_length + extra + comment;
    }
    panic!("{} holds no array {name}", path.display());
}

fn split_header(bytes: Vec<u8>) -> (Vec<u8>, Vec<usize>) {
    let start = 10 + number(&bytes, 8, 2);
    let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
    let shape = header
        .split_once("'shape': (")
        .unwrap()
        .1
        .split_once(')')
        .unwrap()
        .0;
    let shape = shape
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    (bytes[start..].to_vec(), shape)
}

/// An f64 array's rows.
pub fn rows_f64(path: &Path, name: &str) -> Vec<Vec<f64>> {
    let (bytes, shape) = array(path, name);
    let numbers: Vec<f64> = bytes
        .chunks_exact(8)
        .map(|x| f64::from_le_bytes(x.try_into().unwrap()))
        .collect();
    numbers
        .chunks(shape.get(1).copied().unwrap_or(1))
        .map(<[f64]>::to_vec)
        .collect()
}

/// An f32 array's rows.
pub fn rows_f32(path: &Path, name: &str) -> Vec<Vec<f32>> {
    let (bytes, shape) = array(path, name);
    let numbers: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
        .collect();
    numbers
        .chunks(shape.get(1).copied().unwrap_or(1))
        .map(<[f32]>::to_vec)
        .collect()
}
