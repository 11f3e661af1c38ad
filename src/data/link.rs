//! A link, and how the bytes of an HDF5 file are read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Nothing of a group's structure is larger; a header that says otherwise is damaged.
const LARGEST_BLOCK: u64 = 1 << 24;
/// Blocks of one group's structure; more than this goes round in circles.
const MOST_BLOCKS: usize = 1 << 14;

/// Where a name at the top of the file leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// To an object of this file.
    Hard,
    /// To a path in this file.
    Soft(String),
    /// To a path in another file.
    External { file: String, object: String },
    /// By a kind of link that only the program that wrote it knows.
    Other(u8),
}

/// One name at the top of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
}

/// The file, and how wide its addresses and lengths are.
pub(super) struct Bytes {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) base: u64,
    /// Bytes of an address.
    pub(super) offset: usize,
    /// Bytes of a length.
    pub(super) length: usize,
    pub(super) blocks: usize,
}

impl Bytes {
    /// Returns `count` bytes at `address`.
    pub(super) fn read(&mut self, address: u64, count: u64) -> Result<Vec<u8>, String> {
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return Err("it has no end".to_string());
        }
        let position = self
            .base
            .checked_add(address)
            .ok_or("an address beyond any file")?;
        let end = position.checked_add(count);
        if count > LARGEST_BLOCK || end.is_none_or(|end| end > self.size) {
            return Err(format!(
                "a block of {count} bytes at {position}, in a file of {}",
                self.size
            ));
        }
        let mut block = vec![0; count as usize];
        self.file
            .seek(SeekFrom::Start(position))
            .and_then(|_| self.file.read_exact(&mut block))
            .map_err(|error| format!("{count} bytes at {position}: {error}"))?;
        Ok(block)
    }

    /// Whether `address` is the format's word for "none".
    pub(super) fn is_undefined(&self, address: u64) -> bool {
        address == u64::MAX >> (64 - 8 * self.offset.min(8))
    }
}

/// A place in a block.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| format!("{count} bytes are missing"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Returns the little-endian number in the next `width` bytes.
    pub(super) fn number(&mut self, width: usize) -> Result<u64, String> {
        if width > 8 {
            return Err(format!("a number of {width} bytes"));
        }
        let mut padded = [0; 8];
        padded[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(padded))
    }

    pub(super) fn signature(&mut self, wanted: &str) -> Result<(), String> {
        match self.take(4)? {
            found if found == wanted.as_bytes() => Ok(()),
            found => Err(format!("expected {wanted}, found {}", found.escape_ascii())),
        }
    }

    /// Returns the text up to the next zero byte.
    pub(super) fn text(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|&byte| byte == 0);
        let text = self.take(end.ok_or("a text without an end")?)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// Returns the link of a link message.
pub(super) fn link(cursor: &mut Cursor<'_>, bytes: &Bytes) -> Result<Link, String> {
    let version = cursor.number(1)?;
    if version != 1 {
        return Err(format!("a link of version {version}"));
    }
    let flags = cursor.number(1)?;
    let kind = if flags & 0x08 != 0 {
        cursor.number(1)?
    } else {
        0
    };
    if flags & 0x04 != 0 {
        cursor.take(8)?;
    }
    if flags & 0x10 != 0 {
        cursor.take(1)?;
    }
    let size = cursor.number(1 << (flags & 3))?;
    let name = cursor.take(usize::try_from(size).unwrap_or(usize::MAX))?;
    let name = String::from_utf8_lossy(name).into_owned();
    let target = match kind {
        0 => {
            cursor.take(bytes.offset)?;
            Target::Hard
        }
        1 => {
            let size = cursor.number(2)? as usize;
            Target::Soft(String::from_utf8_lossy(cursor.take(size)?).into_owned())
        }
        64 => {
            cursor.take(3)?;
            let (file, object) = (cursor.text()?, cursor.text()?);
            Target::External { file, object }
        }
        other => Target::Other(other as u8),
    };
    Ok(Link { name, target })
}
