//! The links of a group with many of them: records of a version 2 B-tree that point into a fractal heap.

use super::link::{Bytes, Cursor, Link, link};

/// The B-tree's type of record that indexes links by name: a hash, then the link's place in the heap.
const BY_NAME: u64 = 5;
/// Depth of an indirect block of the heap: each level holds at least twice the one below.
const DEEPEST: usize = 8;

/// Returns the links that a link info message leads to; none where the group keeps them in its header.
pub(super) fn links(message: &mut Cursor<'_>, bytes: &mut Bytes) -> Result<Vec<Link>, String> {
    message.take(1)?;
    let flags = message.number(1)?;
    if flags & 1 != 0 {
        message.take(8)?;
    }
    let (heap, tree) = (message.number(bytes.offset)?, message.number(bytes.offset)?);
    if bytes.is_undefined(heap) || bytes.is_undefined(tree) {
        return Ok(Vec::new());
    }
    let heap = Heap::read(bytes, heap)?;
    let mut found = Vec::new();
    for place in records(bytes, tree)? {
        let message = heap.object(bytes, &place)?;
        found.push(link(&mut Cursor::new(&message), bytes)?);
    }
    Ok(found)
}

/// Returns the heap places of the records of the B-tree at `address`, which is at most two levels deep.
fn records(bytes: &mut Bytes, address: u64) -> Result<Vec<Vec<u8>>, String> {
    let offset = bytes.offset;
    let head = bytes.read(address, (18 + offset) as u64)?;
    let mut cursor = Cursor::new(&head);
    cursor.signature("BTHD")?;
    cursor.take(1)?;
    let kind = cursor.number(1)?;
    let node = cursor.number(4)?;
    let width = cursor.number(2)? as usize;
    let depth = cursor.number(2)?;
    cursor.take(2)?;
    let root = cursor.number(offset)?;
    let count = cursor.number(2)? as usize;
    if kind != BY_NAME || width < 5 {
        return Err(format!("an index of type {kind} and width {width}"));
    }
    let mut found = Vec::new();
    let mut leaves = vec![(root, count)];
    if depth > 1 {
        return Err(format!("an index of {} levels", depth + 1));
    }
    if depth == 1 {
        let block = bytes.read(root, node)?;
        let mut cursor = Cursor::new(&block);
        cursor.signature("BTIN")?;
        cursor.take(2)?;
        for _ in 0..count {
            found.push(cursor.take(width)?[4..].to_vec());
        }
        let most = node.saturating_sub(10) / width as u64;
        let counted = (most.max(1).ilog2() / 8 + 1) as usize;
        leaves.clear();
        for _ in 0..=count {
            let leaf = cursor.number(offset)?;
            leaves.push((leaf, cursor.number(counted)? as usize));
        }
    }
    for (leaf, count) in leaves {
        if bytes.is_undefined(leaf) {
            continue;
        }
        let block = bytes.read(leaf, node)?;
        let mut cursor = Cursor::new(&block);
        cursor.signature("BTLF")?;
        cursor.take(2)?;
        for _ in 0..count {
            found.push(cursor.take(width)?[4..].to_vec());
        }
    }
    Ok(found)
}

/// A fractal heap: objects in blocks whose sizes double row by row.
struct Heap {
    /// Bytes of an offset into the heap's own space.
    offset_bytes: usize,
    /// Bytes of an object's length.
    length_bytes: usize,
    table_width: u64,
    starting_size: u64,
    largest_direct: u64,
    root: u64,
    /// Rows of the root, 0 where it is a direct block.
    rows: u64,
}

impl Heap {
    fn read(bytes: &mut Bytes, address: u64) -> Result<Self, String> {
        let (offset, length) = (bytes.offset, bytes.length);
        let head = bytes.read(address, (22 + 12 * length + 3 * offset) as u64)?;
        let mut cursor = Cursor::new(&head);
        cursor.signature("FRHP")?;
        cursor.take(1 + 2)?;
        if cursor.number(2)? != 0 {
            return Err("a heap of names that is compressed".to_string());
        }
        cursor.take(1)?;
        let largest_object = cursor.number(4)?;
        cursor.take(10 * length + 2 * offset)?;
        let table_width = cursor.number(2)?;
        let starting_size = cursor.number(length)?;
        let largest_direct = cursor.number(length)?;
        let bits = cursor.number(2)? as usize;
        cursor.take(2)?;
        let root = cursor.number(offset)?;
        let rows = cursor.number(2)?;
        if table_width == 0 || starting_size == 0 || largest_direct < starting_size {
            return Err("a heap of names without room".to_string());
        }
        let offset_bytes = bits.div_ceil(8);
        let length_bytes = largest_direct.ilog2().div_ceil(8);
        let length_bytes = length_bytes.min(largest_object.max(1).ilog2() / 8 + 1) as usize;
        Ok(Self {
            offset_bytes,
            length_bytes,
            table_width,
            starting_size,
            largest_direct,
            root,
            rows,
        })
    }

    /// Size of a block of this row: the first two rows are equal, then each doubles.
    fn block_size(&self, row: u64) -> Result<u64, String> {
        u32::try_from(row.saturating_sub(1))
            .ok()
            .and_then(|shift| 1_u64.checked_shl(shift))
            .and_then(|factor| self.starting_size.checked_mul(factor))
            .ok_or_else(|| format!("a heap of {row} rows"))
    }

    /// Returns the bytes of the object at a place of the index.
    fn object(&self, bytes: &mut Bytes, place: &[u8]) -> Result<Vec<u8>, String> {
        let mut cursor = Cursor::new(place);
        let kind = cursor.number(1)? >> 4 & 3;
        if kind != 0 {
            return Err(format!(
                "a name stored in a way (type {kind}) that is not read"
            ));
        }
        let at = cursor.number(self.offset_bytes)?;
        let size = cursor.number(self.length_bytes)?;
        let (mut block, mut start, mut rows) = (self.root, 0_u64, self.rows);
        for _ in 0..DEEPEST {
            if rows == 0 {
                let within = at.checked_sub(start).ok_or("a name before its block")?;
                return bytes.read(block.saturating_add(within), size);
            }
            (block, start, rows) = self.descend(bytes, (block, start, rows), at)?;
        }
        Err("a heap of names too deep".to_string())
    }

    /// Returns (address, first place, rows) of the block below an indirect one that holds `at`.
    fn descend(
        &self,
        bytes: &mut Bytes,
        (block, mut start, rows): (u64, u64, u64),
        at: u64,
    ) -> Result<(u64, u64, u64), String> {
        let head = (5 + bytes.offset + self.offset_bytes) as u64;
        let entries = rows.saturating_mul(self.table_width);
        let table = bytes.read(block, head + entries.saturating_mul(bytes.offset as u64))?;
        let mut cursor = Cursor::new(&table);
        cursor.signature("FHIB")?;
        cursor.take(head as usize - 4)?;
        for entry in 0..entries {
            let child = cursor.number(bytes.offset)?;
            let row = entry / self.table_width;
            let size = self.block_size(row)?;
            let end = start.checked_add(size).ok_or("a heap beyond any file")?;
            if (start..end).contains(&at) {
                if bytes.is_undefined(child) {
                    return Err("a name in a block that is not there".to_string());
                }
                let direct = size <= self.largest_direct;
                let below = size / self.starting_size / self.table_width;
                let rows = if direct {
                    0
                } else {
                    u64::from(below.max(1).ilog2()) + 1
                };
                return Ok((child, start, rows));
            }
            start = end;
        }
        Err("a name outside its heap".to_string())
    }
}
