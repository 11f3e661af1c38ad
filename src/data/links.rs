//! The links at the top of an HDF5 file: the library reads hard ones and passes the others over.
//!
//! Read from the bytes, as the HDF5 File Format Specification 3.0 lays them out: object headers of
//! both versions, symbol tables (`TREE`, `SNOD`, `HEAP`), link messages, and dense storage
//! (see [`super::dense`]).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use hdf5_pure::Superblock;

use super::dense;

/// Nothing of a group's structure is larger; a header that says otherwise is damaged.
const LARGEST_BLOCK: u64 = 1 << 24;
/// Blocks of one group's structure; more than this goes round in circles.
const MOST_BLOCKS: usize = 1 << 14;

const LINK_INFO: u16 = 0x02;
const LINK: u16 = 0x06;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;
/// What the cache of a symbol table's entry says of a soft link.
const CACHED_SOFT_LINK: u64 = 2;

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

/// Returns the names at the top of the file at `path`, in the order of its structure.
pub(super) fn list(path: &Path, superblock: &Superblock) -> Result<Vec<Link>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut bytes = Bytes {
        file,
        size,
        base: superblock.base_address.get(),
        offset: usize::from(superblock.offset_size),
        length: usize::from(superblock.length_size),
        blocks: 0,
    };
    let root = superblock
        .root_group_address
        .checked_sub(bytes.base)
        .ok_or("its address lies before the file")?;
    let mut links = Vec::new();
    for (kind, body) in messages(&mut bytes, root)? {
        let mut cursor = Cursor::new(&body);
        match kind {
            LINK => links.push(link(&mut cursor, &bytes)?),
            LINK_INFO => links.extend(dense::links(&mut cursor, &mut bytes)?),
            SYMBOL_TABLE => {
                let tree = cursor.number(bytes.offset)?;
                let heap = cursor.number(bytes.offset)?;
                links.extend(symbol_table(&mut bytes, tree, heap)?);
            }
            _ => {}
        }
    }
    Ok(links)
}

/// The file, and how wide its addresses and lengths are.
pub(super) struct Bytes {
    file: File,
    size: u64,
    base: u64,
    /// Bytes of an address.
    pub(super) offset: usize,
    /// Bytes of a length.
    pub(super) length: usize,
    blocks: usize,
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
    rest: &'a [u8],
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
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(wide))
    }

    pub(super) fn signature(&mut self, wanted: &str) -> Result<(), String> {
        match self.take(4)? {
            found if found == wanted.as_bytes() => Ok(()),
            found => Err(format!("expected {wanted}, found {}", found.escape_ascii())),
        }
    }

    /// Returns the text up to the next zero byte.
    fn text(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|&byte| byte == 0);
        let text = self.take(end.ok_or("a text without an end")?)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// Returns (type, body) of each message of the object header at `address`.
fn messages(bytes: &mut Bytes, address: u64) -> Result<Vec<(u16, Vec<u8>)>, String> {
    let head = bytes.read(address, 16)?;
    let mut found = Vec::new();
    // Chunks still to read: where, how long, and whether a signature and a checksum enclose them.
    let (mut chunks, two, order) = if head.starts_with(b"OHDR") {
        let flags = head[5];
        let skipped =
            6 + if flags & 0x20 != 0 { 16 } else { 0 } + if flags & 0x10 != 0 { 4 } else { 0 };
        let width = 1_usize << (flags & 3);
        let size = Cursor::new(&bytes.read(address + skipped, width as u64)?).number(width)?;
        let first = address + skipped + width as u64;
        (vec![(first, size, false)], true, flags & 0x04 != 0)
    } else {
        let size = Cursor::new(&head[8..]).number(4)?;
        (vec![(address + 16, size, false)], false, false)
    };
    while let Some((start, size, enclosed)) = chunks.pop() {
        let chunk = bytes.read(start, size)?;
        let inner = if enclosed && two {
            let end = chunk.len().checked_sub(4).filter(|&end| end >= 4);
            &chunk[4..end.ok_or("a chunk of a header without room for messages")?]
        } else {
            &chunk[..]
        };
        let mut cursor = Cursor::new(inner);
        let head = if two { 4 + 2 * usize::from(order) } else { 8 };
        while cursor.rest.len() >= head {
            let kind = cursor.number(if two { 1 } else { 2 })? as u16;
            let size = cursor.number(2)? as usize;
            cursor.take(head - if two { 3 } else { 4 })?;
            let body = cursor.take(size)?;
            if kind == CONTINUATION {
                let mut cursor = Cursor::new(body);
                let (next, length) = (cursor.number(bytes.offset)?, cursor.number(bytes.length)?);
                chunks.push((next, length, true));
            } else {
                found.push((kind, body.to_vec()));
            }
        }
    }
    Ok(found)
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

/// Returns the links of a group of the first version: a B-tree of nodes of entries, names in a heap.
fn symbol_table(bytes: &mut Bytes, tree: u64, heap: u64) -> Result<Vec<Link>, String> {
    let (offset, length) = (bytes.offset, bytes.length);
    let head = bytes.read(heap, (8 + 2 * length + offset) as u64)?;
    let mut cursor = Cursor::new(&head);
    cursor.signature("HEAP")?;
    cursor.take(4)?;
    let size = cursor.number(length)?;
    cursor.take(length)?;
    let start = cursor.number(offset)?;
    let names = bytes.read(start, size)?;
    let text = |at: u64| {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = names.get(from..).ok_or("a name outside its heap")?;
        Cursor::new(rest).text()
    };
    let mut nodes = vec![tree];
    let mut links = Vec::new();
    while let Some(address) = nodes.pop() {
        let head = bytes.read(address, 8)?;
        let mut cursor = Cursor::new(&head);
        if head.starts_with(b"TREE") {
            cursor.take(6)?;
            let entries = cursor.number(2)? as usize;
            let size = 8 + 2 * offset + length + entries * (offset + length);
            let node = bytes.read(address, size as u64)?;
            let mut cursor = Cursor::new(&node);
            cursor.take(8 + 2 * offset + length)?;
            for _ in 0..entries {
                nodes.push(cursor.number(offset)?);
                cursor.take(length)?;
            }
            continue;
        }
        cursor.signature("SNOD")?;
        cursor.take(2)?;
        let entries = cursor.number(2)?;
        let node = bytes.read(address + 8, entries * (2 * offset + 24) as u64)?;
        let mut cursor = Cursor::new(&node);
        for _ in 0..entries {
            let name = text(cursor.number(offset)?)?;
            cursor.take(offset)?;
            let kind = cursor.number(4)?;
            cursor.take(4)?;
            let mut scratch = Cursor::new(cursor.take(16)?);
            let target = if kind == CACHED_SOFT_LINK {
                Target::Soft(text(scratch.number(4)?)?)
            } else {
                Target::Hard
            };
            links.push(Link { name, target });
        }
    }
    Ok(links)
}
