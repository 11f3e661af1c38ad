//! The links at the top of an HDF5 file: the library reads hard ones and passes the others over.
//!
//! Read from the bytes, as the HDF5 File Format Specification 3.0 lays them out: object headers of
//! both versions, symbol tables (`TREE`, `SNOD`, `HEAP`), link messages, and dense storage
//! (see [`super::dense`]).

use std::fs::File;
use std::path::Path;

use hdf5_pure::Superblock;

use super::dense;
use super::link::{Bytes, Cursor, Link, Target, link};

const LINK_INFO: u16 = 0x02;
const LINK: u16 = 0x06;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;
/// What the cache of a symbol table's entry says of a soft link.
const CACHED_SOFT_LINK: u64 = 2;

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
