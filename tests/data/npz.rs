//! Npz archives made for tests: stored entries, as `numpy.savez` writes them.

use std::path::Path;

use flate2::Crc;

fn number(bytes: &[u8], at: usize, count: usize) -> usize {
    (bytes[at..at + count].iter().rev()).fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// The entries of an archive of stored entries that follow each other, as NumPy's do.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut entries, mut at) = (Vec::new(), 0);
    while archive[at..].starts_with(b"PK\x03\x04") {
        let (name, extra) = (number(archive, at + 26, 2), number(archive, at + 28, 2));
        let start = at + 30 + name + extra;
        // NumPy writes the 64-bit sizes, the unpacked one first.
        let size = number(archive, at + 30 + name + 4, 8);
        let text = String::from_utf8_lossy(&archive[at + 30..at + 30 + name]).into_owned();
        entries.push((text, archive[start..start + size].to_vec()));
        at = start + size;
    }
    entries
}

/// Writes an archive again with its arrays renamed.
pub fn repacked(from: &Path, to: &Path, rename: impl Fn(&str) -> String) {
    let entries = entries(&std::fs::read(from).expect("there"));
    let renamed = entries.into_iter().map(|(name, bytes)| {
        let name = name.trim_end_matches(".npy");
        (format!("{}.npy", rename(name)), bytes)
    });
    std::fs::write(to, packed(&renamed.collect::<Vec<_>>())).expect("writable");
}

/// Returns an archive with these files, stored, with 32-bit sizes.
pub fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut archive, mut table) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut checksum = Crc::new();
        checksum.update(bytes);
        let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        shared.extend(checksum.sum().to_le_bytes());
        shared.extend((bytes.len() as u32).to_le_bytes().repeat(2));
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        let offset = (archive.len() as u32).to_le_bytes();
        archive.extend([b"PK\x03\x04".as_slice(), &shared, name.as_bytes(), bytes].concat());
        table.extend(
            [
                b"PK\x01\x02\x14\x00".as_slice(),
                &shared,
                &[0; 10],
                &offset,
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = (files.len() as u16).to_le_bytes();
    let [size, offset] = [table.len(), archive.len()].map(|number| (number as u32).to_le_bytes());
    archive.extend(table);
    archive.extend(
        [
            b"PK\x05\x06\0\0\0\0".as_slice(),
            &count,
            &count,
            &size,
            &offset,
            &[0, 0],
        ]
        .concat(),
    );
    archive
}

#[test]
fn an_array_that_is_there_twice_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("twice.npz");
    let plain =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats/plain.npz");
    let mut files = entries(&std::fs::read(plain).expect("the fixture"));
    let rewards = files.iter().find(|(name, _)| name == "rewards.npy");
    let rewards = rewards.expect("it has rewards").clone();
    files.push(rewards);
    std::fs::write(&path, packed(&files)).expect("written");
    let error = tiltrl::data::Dataset::read(&[path]).expect_err("which one is meant?");
    assert!(
        error.to_string().contains("`rewards`: it is there twice"),
        "{error}"
    );
}
