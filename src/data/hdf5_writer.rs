//! An HDF5 file written front to back, so that what is written never lies in memory as a whole.
//!
//! hdf5-pure keeps a copy of all it writes (docs/decisions/0017). What is needed here is little: groups, attributes, and
//! data sets in compressed chunks. The file has the layout that the HDF5 library itself chooses for its oldest readers: superblock
//! 0, groups as symbol tables, chunks under version-1 B-trees. Reference: HDF5 File Format Specification, version 3.0.

use std::fs;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;

use super::hdf5_messages::{
    Attribute, Element, attribute, chunked, contiguous, header, members, of_dataset, padded,
};

/// Deflate level; h5py's default.
const COMPRESSION_LEVEL: u32 = 4;
/// Values in one chunk (256 KiB of f32): small against memory, large enough to compress well.
const VALUES_PER_CHUNK: usize = (1 << 16) - 1;
/// Bytes up to which a data set lies in one uncompressed piece: a tree of chunks alone takes half of that.
const ONE_PIECE: usize = 4096;
/// Chunks that are compressed side by side: their number bounds the memory.
const SIDE_BY_SIDE: usize = 32;

const SUPERBLOCK: u64 = 96;
const UNDEFINED: u64 = u64::MAX;
/// Half of the members of a leaf of a group, of the children of its nodes, and of those of chunks (fixed in superblock 0).
const LEAF: usize = 4;
const NODE: usize = 16;
const CHUNKS: usize = 32;

/// A file that is being written. Nothing reads it before [`Hdf5Writer::finish`].
pub(super) struct Hdf5Writer<'file> {
    out: BufWriter<&'file mut fs::File>,
    end: u64,
    values_per_chunk: usize,
}

/// A name and the object header that it leads to.
pub(super) type Member = (String, u64);

/// A tree's kind: its number in the format, half of the children of a node, bytes of a key.
struct Tree {
    kind: u8,
    half: usize,
    key: usize,
}

impl<'file> Hdf5Writer<'file> {
    /// Starts an empty file.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn new(file: &'file mut fs::File) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&[0; SUPERBLOCK as usize])?;
        Ok(Self {
            out,
            end: SUPERBLOCK,
            values_per_chunk: VALUES_PER_CHUNK,
        })
    }

    /// Writes bytes, up to a multiple of eight, and returns where.
    fn put(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let (address, pad) = (self.end, bytes.len().next_multiple_of(8) - bytes.len());
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 8][..pad])?;
        self.end += (bytes.len() + pad) as u64;
        Ok(address)
    }

    /// Writes a data set of `shape` and returns its header; `rows` gives the bytes of some of its rows. `shape` has a row and an
    /// entry at least.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn dataset(
        &mut self,
        element: Element,
        shape: &[usize],
        rows: &(dyn Fn(Range<usize>) -> Vec<u8> + Sync),
    ) -> io::Result<u64> {
        let wide: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        let mut messages = of_dataset(element, &wide);
        let width: usize = shape[1..].iter().product();
        if shape[0] * width * element.size() <= ONE_PIECE {
            let bytes = rows(0..shape[0]);
            let address = self.put(&bytes)?;
            messages.push(contiguous(address, bytes.len() as u64));
        } else {
            let per_chunk = (self.values_per_chunk / width).clamp(1, shape[0]);
            let mut chunk = vec![per_chunk as u32];
            for &size in &shape[1..] {
                let size = u32::try_from(size);
                chunk.push(size.map_err(|_| io::Error::other("a row is too wide for HDF5"))?);
            }
            let tree = self.chunks(element, shape[0], &chunk, rows)?;
            messages.extend(chunked(tree, &chunk, element, COMPRESSION_LEVEL));
        }
        self.put(&header(&messages)?)
    }

    /// Writes the chunks of a data set, each all of its rows' entries, and returns the root of their tree.
    fn chunks(
        &mut self,
        element: Element,
        count: usize,
        chunk: &[u32],
        rows: &(dyn Fn(Range<usize>) -> Vec<u8> + Sync),
    ) -> io::Result<u64> {
        let per_chunk = chunk[0] as usize;
        let whole = chunk.iter().map(|&n| n as usize).product::<usize>() * element.size();
        let key = |size: u32, index: usize, past: bool| {
            let mut key = [size.to_le_bytes(), [0; 4]].concat();
            key.extend((index as u64 * u64::from(chunk[0])).to_le_bytes());
            let others = chunk[1..].iter().copied().chain([element.size() as u32]);
            others.for_each(|n| key.extend((u64::from(n) * u64::from(past)).to_le_bytes()));
            key
        };
        let chunks = count.div_ceil(per_chunk);
        let (mut keys, mut addresses) = (Vec::new(), Vec::new());
        for start in (0..chunks).step_by(SIDE_BY_SIDE) {
            let batch: Vec<_> = (start..chunks.min(start + SIDE_BY_SIDE))
                .into_par_iter()
                .map(|index| {
                    let mut bytes = rows(index * per_chunk..count.min((index + 1) * per_chunk));
                    bytes.resize(whole, 0);
                    compressed(&shuffled(&bytes, element.size()))
                })
                .collect::<io::Result<_>>()?;
            for (offset, bytes) in batch.iter().enumerate() {
                keys.push(key(bytes.len() as u32, start + offset, false));
                addresses.push(self.put(bytes)?);
            }
        }
        keys.push(key(0, chunks, true));
        let kind = Tree {
            kind: 1,
            half: CHUNKS,
            key: keys[0].len(),
        };
        self.tree(&kind, keys, addresses)
    }

    /// Writes a tree over `children`, with a key before each and one behind the last, and returns its root.
    fn tree(
        &mut self,
        tree: &Tree,
        mut keys: Vec<Vec<u8>>,
        mut children: Vec<u64>,
    ) -> io::Result<u64> {
        let size = (24 + 16 * tree.half + (2 * tree.half + 1) * tree.key).next_multiple_of(8);
        for level in 0.. {
            let (first, nodes) = (self.end, children.len().div_ceil(2 * tree.half).max(1));
            let beside = |node: usize| first + (node * size) as u64;
            let mut above = Vec::with_capacity(nodes + 1);
            for node in 0..nodes {
                let start = node * 2 * tree.half;
                let own = start..children.len().min(start + 2 * tree.half);
                let mut bytes = [b"TREE".as_slice(), &[tree.kind, level]].concat();
                bytes.extend((own.len() as u16).to_le_bytes());
                let left = if node == 0 {
                    UNDEFINED
                } else {
                    beside(node - 1)
                };
                let right = if node + 1 == nodes {
                    UNDEFINED
                } else {
                    beside(node + 1)
                };
                bytes.extend([left, right].map(u64::to_le_bytes).concat());
                above.push(keys[start].clone());
                for child in own.clone() {
                    bytes.extend(&keys[child]);
                    bytes.extend(children[child].to_le_bytes());
                }
                bytes.extend(&keys[own.end]);
                bytes.resize(size, 0);
                self.put(&bytes)?;
            }
            if nodes == 1 {
                return Ok(first);
            }
            above.push(keys.pop().unwrap_or_default());
            (keys, children) = (above, (0..nodes).map(beside).collect());
        }
        unreachable!("each level has fewer nodes than the one below")
    }

    /// Writes a group and returns its header.
    ///
    /// # Errors
    /// Those of the disk; attributes that are too long for the format.
    pub(super) fn group(
        &mut self,
        mut of: Vec<Member>,
        attributes: &[(String, Attribute)],
    ) -> io::Result<u64> {
        of.sort();
        // The empty name comes before all others.
        let (mut names, mut leaves, mut keys) = (vec![0; 8], Vec::new(), vec![vec![0; 8]]);
        for leaf in of.chunks(2 * LEAF) {
            let mut bytes = [b"SNOD".as_slice(), &[1, 0]].concat();
            bytes.extend((leaf.len() as u16).to_le_bytes());
            let mut at = 0;
            for (name, address) in leaf {
                at = names.len() as u64;
                names.extend(padded(&[name.as_bytes(), &[0]].concat()));
                bytes.extend([at, *address].map(u64::to_le_bytes).concat());
                bytes.extend([0; 24]);
            }
            bytes.resize(8 + 2 * LEAF * 40, 0);
            leaves.push(self.put(&bytes)?);
            keys.push(at.to_le_bytes().to_vec());
        }
        let kind = Tree {
            kind: 0,
            half: NODE,
            key: 8,
        };
        let tree = self.tree(&kind, keys, leaves)?;
        let at = self.put(&names)?;
        let mut heap = b"HEAP\0\0\0\0".to_vec();
        // 1: nothing of it is free.
        heap.extend([names.len() as u64, 1, at].map(u64::to_le_bytes).concat());
        let heap = self.put(&heap)?;
        let mut messages = vec![members(tree, heap)];
        let texts = self.texts(attributes)?;
        let mut index = 0;
        for (name, value) in attributes {
            index += u32::from(matches!(value, Attribute::Text(_)));
            messages.push(attribute(name, value, (texts, index)));
        }
        self.put(&header(&messages)?)
    }

    /// Writes the texts among `attributes` to a global heap, numbered from 1, and returns where it lies.
    fn texts(&mut self, attributes: &[(String, Attribute)]) -> io::Result<u64> {
        let mut objects = Vec::new();
        let mut index = 0_u16;
        for (_, value) in attributes {
            let Attribute::Text(text) = value else {
                continue;
            };
            index += 1;
            objects.extend([index, 1, 0, 0].map(u16::to_le_bytes).concat());
            objects.extend((text.len() as u64).to_le_bytes());
            objects.extend(padded(text.as_bytes()));
        }
        if objects.is_empty() {
            return Ok(UNDEFINED);
        }
        // What is left is an object of number 0, its own head included; the library takes no heap below 4 KiB.
        let size = (16 + objects.len() + 16).max(4096);
        let left = size - 16 - objects.len();
        let mut heap = b"GCOL\x01\0\0\0".to_vec();
        heap.extend((size as u64).to_le_bytes());
        heap.extend(objects);
        heap.extend([0; 8]);
        heap.extend((left as u64).to_le_bytes());
        heap.resize(size, 0);
        self.put(&heap)
    }

    /// Makes the group at `root` the file's root and writes what is left.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn finish(mut self, root: u64) -> io::Result<()> {
        let mut block = b"\x89HDF\r\n\x1a\n".to_vec();
        block.extend([0, 0, 0, 0, 0, 8, 8, 0]);
        block.extend(
            [LEAF as u16, NODE as u16, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        let addresses = [0, UNDEFINED, self.end, UNDEFINED, 0, root];
        block.extend(addresses.map(u64::to_le_bytes).concat());
        block.resize(SUPERBLOCK as usize, 0);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&block)?;
        self.out.flush()
    }
}

/// Returns the first bytes of all entries, then the second ones, and so on.
fn shuffled(bytes: &[u8], size: usize) -> Vec<u8> {
    let entries = bytes.len() / size;
    let mut shuffled = vec![0; bytes.len()];
    for (entry, value) in bytes.chunks_exact(size).enumerate() {
        for (place, &byte) in value.iter().enumerate() {
            shuffled[place * entries + entry] = byte;
        }
    }
    shuffled
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = Compression::new(COMPRESSION_LEVEL);
    let mut encoder = ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three levels of nodes over chunks, and three over members.
    #[test]
    fn trees_of_many_levels_are_read_back() {
        let rows = 2 * CHUNKS * 2 * CHUNKS * 2 + 1;
        let episodes = 2 * LEAF * 2 * NODE * 2 * NODE + 1;
        let mut stored = tempfile::NamedTempFile::new().expect("a file");
        let mut out = Hdf5Writer::new(stored.as_file_mut()).expect("started");
        out.values_per_chunk = 2;
        let values = |rows: Range<usize>| rows.flat_map(|row| (row as f32).to_le_bytes()).collect();
        let at = out.dataset(Element::Number, &[rows], &values);
        let at = at.expect("written");
        let group = out
            .group(vec![("values".into(), at)], &[])
            .expect("written");
        let groups = (0..episodes)
            .map(|index| (format!("episode_{index}"), group))
            .collect();
        let about = [("note".to_string(), Attribute::Text("ü".repeat(3000)))];
        let root = out.group(groups, &about).expect("written");
        out.finish(root).expect("finished");

        let file = hdf5_pure::File::open(stored.path()).expect("opened");
        let names = file.root().groups().expect("listed");
        let mut expected: Vec<_> = (0..episodes)
            .map(|index| format!("episode_{index}"))
            .collect();
        // The HDF5 library looks names up by bisection.
        expected.sort();
        assert!(names == expected, "names are not in their order");
        for name in ["episode_0", "episode_777", &expected[episodes - 1]] {
            let values = file.dataset(&format!("{name}/values")).expect("found");
            let values: Vec<f32> = values.read_f32().expect("read");
            assert_eq!(values.len(), rows);
            assert!(
                values
                    .iter()
                    .enumerate()
                    .all(|(row, &value)| value == row as f32)
            );
        }
        let note = file.root().attrs().expect("attributes");
        assert_eq!(note["note"].as_str(), Some("ü".repeat(3000).as_str()));
        let bytes = std::fs::read(stored.path()).expect("read");
        assert!(keys_of_children(&bytes) > 2 * CHUNKS + 2 * NODE);
    }

    /// Checks that the keys of every node above the leaves are the outer keys of its children, by which the HDF5 library, unlike
    /// hdf5-pure, finds its way; returns the number of such children.
    fn keys_of_children(bytes: &[u8]) -> usize {
        let number = |at: usize| {
            let word = bytes[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(word) as usize
        };
        let count =
            |node: usize| usize::from(u16::from_le_bytes([bytes[node + 6], bytes[node + 7]]));
        let mut children = 0;
        for node in (0..bytes.len()).step_by(8) {
            if !bytes[node..].starts_with(b"TREE") || bytes[node + 5] == 0 {
                continue;
            }
            // Keys of chunks of one dimension: size, mask and two offsets.
            let width = if bytes[node + 4] == 0 { 8 } else { 24 };
            let key = |node: usize, at: usize| {
                let start = node + 24 + at * (width + 8);
                &bytes[start..start + width]
            };
            for at in 0..count(node) {
                let child = number(node + 24 + at * (width + 8) + width);
                assert!(bytes[child..].starts_with(b"TREE"));
                assert_eq!(key(node, at), key(child, 0));
                assert_eq!(key(node, at + 1), key(child, count(child)));
                children += 1;
            }
        }
        children
    }
}
