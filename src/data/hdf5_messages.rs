//! The messages of an HDF5 object header, as the first versions of the format have them.
//!
//! Reference: HDF5 File Format Specification, version 3.0, part IV.

use std::io;

/// What an entry of a data set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// A little-endian f32.
    Number,
    /// h5py's bool: an enumeration over i8.
    Flag,
}

impl Element {
    /// Bytes of one entry.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Number => 4,
            Self::Flag => 1,
        }
    }

    fn datatype(self) -> Vec<u8> {
        match self {
            Self::Number => float(4, [0, 32, 23, 8, 23], 127),
            Self::Flag => {
                let mut bytes = datatype(8, [2, 0, 0], 1);
                bytes.extend(integer(1));
                for name in ["FALSE", "TRUE"] {
                    bytes.extend(padded(&[name.as_bytes(), &[0]].concat()));
                }
                bytes.extend([0, 1]);
                bytes
            }
        }
    }
}

/// An attribute of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    /// A text of any length, UTF-8.
    Text(String),
    /// One whole number, i64.
    Integer(i64),
    /// One number, f64.
    Number(f64),
    /// A row of numbers, f64.
    Numbers(Vec<f64>),
}

/// A message: its type and its bytes.
pub(super) type Message = (u16, Vec<u8>);

/// Returns the bytes with zeros behind them up to a multiple of eight.
pub(super) fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn datatype(class: u8, bits: [u8; 3], size: u32) -> Vec<u8> {
    let mut bytes = vec![0x10 | class];
    bytes.extend(bits);
    bytes.extend(size.to_le_bytes());
    bytes
}

/// A signed little-endian integer of `size` bytes.
fn integer(size: u32) -> Vec<u8> {
    let mut bytes = datatype(0, [0x08, 0, 0], size);
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend((8 * size as u16).to_le_bytes());
    bytes
}

/// An IEEE number; `parts`: bit offset, bits, place and bits of the exponent, bits of the mantissa.
fn float(size: u32, parts: [u8; 5], bias: u32) -> Vec<u8> {
    let [offset, bits, exponent_at, exponent_bits, mantissa_bits] = parts;
    let mut bytes = datatype(1, [0x20, bits - 1, 0], size);
    bytes.extend([offset, 0, bits, 0]);
    bytes.extend([exponent_at, exponent_bits, 0, mantissa_bits]);
    bytes.extend(bias.to_le_bytes());
    bytes
}

/// A text of any length: type 1 (string), UTF-8, over bytes.
fn text() -> Vec<u8> {
    let mut bytes = datatype(9, [1, 1, 0], 16);
    bytes.extend(datatype(0, [0, 0, 0], 1));
    bytes.extend([0, 0, 8, 0]);
    bytes
}

fn dataspace(shape: &[u64]) -> Vec<u8> {
    let mut bytes = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
    shape.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    bytes
}

/// The messages of a data set but its layout: shape, type and fill value (zeros, which are never needed).
pub(super) fn of_dataset(element: Element, shape: &[u64]) -> Vec<Message> {
    vec![
        (0x0001, dataspace(shape)),
        (0x0003, element.datatype()),
        (0x0005, vec![2, 3, 2, 1, 0, 0, 0, 0]),
    ]
}

/// Entries that lie in one piece of `bytes` bytes at `address`.
pub(super) fn contiguous(address: u64, bytes: u64) -> Message {
    let mut message = vec![3, 1];
    message.extend(address.to_le_bytes());
    message.extend(bytes.to_le_bytes());
    (0x0008, message)
}

/// Entries in chunks, found through the tree at `address`; the filters are shuffle (of what is longer than a byte) and deflate.
pub(super) fn chunked(address: u64, chunk: &[u32], element: Element, level: u32) -> [Message; 2] {
    let mut layout = vec![3, 2, chunk.len() as u8 + 1];
    layout.extend(address.to_le_bytes());
    let sizes = chunk.iter().copied().chain([element.size() as u32]);
    sizes.for_each(|size| layout.extend(size.to_le_bytes()));
    let (shuffle, deflate) = ((2, element.size() as u32), (1, level));
    let filters = match element {
        Element::Number => vec![shuffle, deflate],
        Element::Flag => vec![deflate],
    };
    let mut pipeline = vec![1, filters.len() as u8, 0, 0, 0, 0, 0, 0];
    for (id, value) in filters {
        // No name, optional, one value and four bytes up to a multiple of eight.
        let fields: [u16; 4] = [id, 0, 1, 1];
        fields.iter().for_each(|n| pipeline.extend(n.to_le_bytes()));
        pipeline.extend(padded(&value.to_le_bytes()));
    }
    [(0x0008, layout), (0x000B, pipeline)]
}

/// The members of a group: a tree over a heap of names.
pub(super) fn members(tree: u64, heap: u64) -> Message {
    let addresses = [tree, heap].map(u64::to_le_bytes);
    (0x0011, addresses.concat())
}

/// An attribute; a text lies at (`address`, index) of a global heap.
pub(super) fn attribute(name: &str, value: &Attribute, text_at: (u64, u32)) -> Message {
    let (datatype, space, data) = match value {
        Attribute::Text(value) => {
            let mut data = (value.len() as u32).to_le_bytes().to_vec();
            data.extend(text_at.0.to_le_bytes());
            data.extend(text_at.1.to_le_bytes());
            (text(), dataspace(&[]), data)
        }
        Attribute::Integer(value) => (integer(8), dataspace(&[]), value.to_le_bytes().to_vec()),
        Attribute::Number(value) => (double(), dataspace(&[]), value.to_le_bytes().to_vec()),
        Attribute::Numbers(values) => (
            double(),
            dataspace(&[values.len() as u64]),
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
    };
    let name = [name.as_bytes(), &[0]].concat();
    let mut message = vec![1, 0];
    for part in [&name, &datatype, &space] {
        message.extend((part.len() as u16).to_le_bytes());
    }
    for part in [&name, &datatype, &space] {
        message.extend(padded(part));
    }
    message.extend(data);
    (0x000C, message)
}

fn double() -> Vec<u8> {
    float(8, [0, 64, 52, 11, 52], 1023)
}

/// Returns an object header: version 1, one block.
///
/// # Errors
/// When a message is longer than the format allows (64 KiB).
pub(super) fn header(messages: &[Message]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    for (kind, data) in messages {
        let data = padded(data);
        let size = u16::try_from(data.len())
            .map_err(|_| io::Error::other("an attribute is longer than the 64 KiB of HDF5"))?;
        body.extend(kind.to_le_bytes());
        body.extend(size.to_le_bytes());
        body.extend([0; 4]);
        body.extend(data);
    }
    let count = u16::try_from(messages.len())
        .map_err(|_| io::Error::other("more attributes than HDF5 allows (65,535)"))?;
    let mut header = vec![1, 0];
    header.extend(count.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    header.extend((body.len() as u32).to_le_bytes());
    header.extend([0; 4]);
    header.extend(body);
    Ok(header)
}
