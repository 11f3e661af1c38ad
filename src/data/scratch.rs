//! Numbers of a data set: in memory, or, where they are many, in a nameless file that is mapped into it.
//!
//! Pages of a mapped file leave memory when it is short and come back when they are read, so that files larger than memory can be
//! read. The file has no name (it is gone when the process ends, however it ends) and its room on the disk is taken before it is
//! mapped: a full disk is an error, never a signal.

use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use memmap2::MmapMut;

/// Bytes from which an array lies in a scratch file: those of a data set are few, so that what stays in memory is below half a GiB.
pub(super) const IN_MEMORY: usize = 1 << 27;
/// Zeros written at once.
const BLOCK: usize = 1 << 20;

/// A row of numbers that may be longer than memory.
pub struct Floats(Stored);

enum Stored {
    Memory(Vec<f32>),
    Scratch { map: MmapMut, len: usize },
}

impl Floats {
    /// Returns `len` zeros: in memory below `in_memory` bytes, else in a scratch file.
    ///
    /// # Errors
    /// When there is no memory or no room on the disk.
    pub(super) fn zeros(len: usize, in_memory: usize) -> io::Result<Self> {
        let bytes = len
            .checked_mul(size_of::<f32>())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if bytes >= in_memory.max(1) {
            return Ok(Self(Stored::Scratch {
                map: mapped(bytes)?,
                len,
            }));
        }
        let mut zeros = Vec::new();
        zeros
            .try_reserve_exact(len)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        zeros.resize(len, 0.0);
        Ok(Self(Stored::Memory(zeros)))
    }

    /// Returns whether the numbers lie in a scratch file.
    pub fn on_disk(&self) -> bool {
        matches!(self.0, Stored::Scratch { .. })
    }

    /// Keeps the first `len` numbers.
    pub(super) fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Stored::Memory(values) => values.truncate(len),
            Stored::Scratch { len: own, .. } => *own = len.min(*own),
        }
    }

    /// Returns `len` zeros where these numbers lie; in memory where the disk has no room for them.
    fn zeros_beside(&self, len: usize) -> Self {
        match &self.0 {
            Stored::Scratch { .. } => Self::zeros(len, 0).unwrap_or_else(|_| vec![0.0; len].into()),
            Stored::Memory(_) => vec![0.0; len].into(),
        }
    }

    /// Returns a copy of the rows at `rows`, of `width` numbers each, in that order, where this one lies.
    pub(super) fn gather(&self, rows: &[usize], width: usize) -> Self {
        let mut gathered = self.zeros_beside(rows.len() * width);
        for (to, &row) in gathered.chunks_exact_mut(width.max(1)).zip(rows) {
            to.copy_from_slice(&self[row * width..(row + 1) * width]);
        }
        gathered
    }

    /// Moves the rows at `rows` (ascending) to the front and gives back the rest of the memory.
    pub(super) fn compact(&mut self, rows: &[usize], width: usize) {
        if rows.len() * width == self.len() {
            return;
        }
        for (to, &row) in rows.iter().enumerate() {
            self.copy_within(row * width..(row + 1) * width, to * width);
        }
        self.truncate(rows.len() * width);
        if let Stored::Memory(values) = &mut self.0 {
            values.shrink_to_fit();
        }
    }

    /// Puts the numbers of `other` behind these.
    ///
    /// # Errors
    /// When there is no memory or no room on the disk.
    pub(super) fn append(&mut self, other: &[f32], in_memory: usize) -> io::Result<()> {
        let own = self.len();
        let mut joined = Self::zeros(own + other.len(), in_memory)?;
        joined[..own].copy_from_slice(self);
        joined[own..].copy_from_slice(other);
        *self = joined;
        Ok(())
    }
}

/// Returns zeros that lie in a file without a name, at least one byte of them.
///
/// # Errors
/// When there is no folder for it, or no room on the disk.
#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe where others can change it"
)]
fn mapped(bytes: usize) -> io::Result<MmapMut> {
    let folder = folder();
    let hint = |error: io::Error| {
        let wanted = bytes.div_ceil(1 << 20);
        let text = format!(
            "a scratch file of {wanted} MiB in {}: {error}\n  hint: TMPDIR names another folder",
            folder.display()
        );
        io::Error::new(error.kind(), text)
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(hint)?;
    take_room(&mut file, bytes.max(1)).map_err(hint)?;
    // SAFETY: the file has no name and this process never opens it again, so nothing else can write to it or cut it short.
    unsafe { MmapMut::map_mut(&file) }.map_err(hint)
}

/// Writes zeros, so that no page of the file is missing on the disk.
fn take_room(file: &mut File, bytes: usize) -> io::Result<()> {
    let zeros = vec![0; BLOCK.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let block = left.min(BLOCK);
        file.write_all(&zeros[..block])?;
        left -= block;
    }
    Ok(())
}

/// The folder of scratch files: `TMPDIR`, else /var/tmp, which is on a disk where /tmp is memory, else the system's.
fn folder() -> PathBuf {
    let disk = PathBuf::from("/var/tmp");
    match std::env::var_os("TMPDIR") {
        None if disk.is_dir() => disk,
        _ => std::env::temp_dir(),
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Stored::Memory(values) => values,
            Stored::Scratch { map, len } => bytemuck::cast_slice(&map[..len * size_of::<f32>()]),
        }
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Stored::Memory(values) => values,
            Stored::Scratch { map, len } => {
                bytemuck::cast_slice_mut(&mut map[..*len * size_of::<f32>()])
            }
        }
    }
}

impl AsRef<[f32]> for Floats {
    fn as_ref(&self) -> &[f32] {
        self
    }
}

impl From<Vec<f32>> for Floats {
    fn from(values: Vec<f32>) -> Self {
        Self(Stored::Memory(values))
    }
}

impl Default for Floats {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Floats {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(formatter)
    }
}

impl Clone for Floats {
    /// Returns a copy that lies where this one does; in memory where the disk has no room for another.
    fn clone(&self) -> Self {
        let mut copy = self.zeros_beside(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same numbers whether they lie in memory or on disk.
    #[test]
    fn a_scratch_file_is_as_good_as_memory() {
        let values: Vec<f32> = (0..3_000_u16).map(f32::from).collect();
        let both = [usize::MAX, 0].map(|in_memory| {
            let mut found = Floats::zeros(values.len(), in_memory).expect("room");
            assert_eq!(found.on_disk(), in_memory == 0);
            assert!(found.iter().all(|&value| value == 0.0));
            found.copy_from_slice(&values);
            let copy = found.clone();
            assert_eq!(copy.on_disk(), found.on_disk());
            let picked = copy.gather(&[2, 0], 3);
            assert_eq!(*picked, [6.0, 7.0, 8.0, 0.0, 1.0, 2.0]);
            found.compact(&[1, 3], 3);
            assert_eq!(*found, [3.0, 4.0, 5.0, 9.0, 10.0, 11.0]);
            found.append(&[1.0], in_memory).expect("room");
            found
        });
        assert_eq!(both[0], both[1]);
        assert_eq!(both[1].len(), 7);
    }

    #[test]
    fn nothing_is_nothing_on_disk_too() {
        let mut empty = Floats::zeros(0, 0).expect("room");
        assert!(empty.is_empty());
        empty.append(&[2.0], 0).expect("room");
        assert_eq!(*empty, [2.0]);
    }
}
