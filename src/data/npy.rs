//! One array of NumPy's npy format inside an archive. Reference: NumPy, `numpy/lib/format.py`, versions 1 to 3.

use std::io::Read;

use super::zip::{Contents, Entry};

/// Bytes that are decoded at a time.
const PIECE: usize = 1 << 16;
/// Letters of a text at most.
const LONGEST_TEXT: usize = 1 << 12;

/// An array whose header was read and whose values were not.
#[derive(Debug, Clone)]
pub(super) struct Npy {
    entry: Entry,
    pub(super) shape: Vec<u64>,
    kind: u8,
    size: usize,
    big_endian: bool,
    column_major: bool,
}

impl Npy {
    /// Reads the header.
    ///
    /// # Errors
    /// With the reason, for damaged headers and values that are no numbers or flags.
    pub(super) fn of(entry: &Entry) -> Result<Self, String> {
        let mut contents = entry.open().map_err(|error| error.to_string())?;
        let header = header(&mut contents)?;
        let text = |name: &str| value_of(&header, name);
        let damaged = || format!("its header is not NumPy's: {header}");
        let descr = text("descr").and_then(|rest| rest.strip_prefix('\''));
        let descr = descr
            .and_then(|rest| rest.split_once('\''))
            .map(|(descr, _)| descr);
        let descr = descr
            .ok_or_else(|| format!("it holds records; expected numbers or flags ({header})"))?;
        let (kind, size) = kind_of(descr).ok_or_else(|| {
            format!(
                "its values are of NumPy's type `{descr}`; expected f4, f8, whole numbers or bool"
            )
        })?;
        let shape = text("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
        let (shape, _) = shape.ok_or_else(damaged)?;
        let sizes = shape
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty());
        let shape: Vec<u64> =
            (sizes.map(str::parse).collect::<Result<_, _>>()).map_err(|_| damaged())?;
        let count = shape
            .iter()
            .try_fold(size as u64, |product, &size| product.checked_mul(size));
        let stored = entry.size.saturating_sub(header.len() as u64);
        if count.is_none_or(|bytes| bytes > stored) {
            return Err(format!(
                "its header says {shape:?} values of {size} bytes, but it holds {stored} bytes"
            ));
        }
        Ok(Self {
            entry: entry.clone(),
            column_major: shape.len() > 1
                && text("fortran_order").is_some_and(|rest| rest.starts_with("True")),
            shape,
            kind,
            size,
            big_endian: descr.starts_with('>'),
        })
    }

    /// Returns the text that an entry holds alone, as NumPy stores a Python string; none for anything else.
    ///
    /// # Errors
    /// With the reason, where the bytes are damaged.
    pub(super) fn text(entry: &Entry) -> Result<Option<String>, String> {
        let mut contents = entry.open().map_err(|error| error.to_string())?;
        let header = header(&mut contents)?;
        let length = value_of(&header, "descr").and_then(|rest| {
            let (length, _) = rest.strip_prefix("'<U")?.split_once('\'')?;
            length.parse::<usize>().ok()
        });
        let alone = value_of(&header, "shape").is_some_and(|rest| rest.starts_with("()"));
        let Some(length) = length.filter(|&length| alone && length <= LONGEST_TEXT) else {
            return Ok(None);
        };
        let mut bytes = vec![0; 4 * length];
        contents
            .read_exact(&mut bytes)
            .map_err(|error| error.to_string())?;
        let letters = bytes.chunks_exact(4).map(|four| {
            let number = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            char::from_u32(number).ok_or_else(|| "its text is damaged".to_string())
        });
        let text = letters.collect::<Result<String, _>>()?;
        Ok(Some(text.trim_end_matches('\0').to_string()))
    }

    /// Returns whether the values are whole numbers.
    pub(super) fn is_whole(&self) -> bool {
        self.kind != b'f'
    }

    /// Decodes all values, row-major, converted to f32, into `values`, a piece at a time.
    ///
    /// # Errors
    /// With the reason, where the bytes are damaged or there are too few.
    pub(super) fn read_into(&self, values: &mut [f32]) -> Result<(), String> {
        let mut contents = self.entry.open().map_err(|error| error.to_string())?;
        header(&mut contents)?;
        let rows = self.shape.first().map_or(1, |&rows| rows as usize);
        let width = values.len().checked_div(rows).unwrap_or(0);
        let mut buffer = vec![0; PIECE];
        let mut start = 0;
        while start < values.len() {
            let count = (values.len() - start).min(PIECE / self.size);
            let bytes = &mut buffer[..count * self.size];
            contents
                .read_exact(bytes)
                .map_err(|error| error.to_string())?;
            for (at, number) in bytes.chunks_exact_mut(self.size).enumerate() {
                let at = start + at;
                let at = if self.column_major {
                    self.row_major(at, width)
                } else {
                    at
                };
                values[at] = self.number(number);
            }
            start += count;
        }
        // What follows, if anything, is read for the checksum.
        std::io::copy(&mut contents, &mut std::io::sink()).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Where the value that stands at `at` in column-major order belongs in row-major order.
    fn row_major(&self, mut at: usize, width: usize) -> usize {
        let (mut place, mut stride) = (0, width);
        let sizes: Vec<usize> = self.shape.iter().map(|&size| size as usize).collect();
        for (axis, size) in sizes.iter().enumerate() {
            place += at % size * stride;
            at /= size;
            stride = sizes.get(axis + 1).map_or(1, |next| stride / next);
        }
        place
    }

    fn number(&self, bytes: &mut [u8]) -> f32 {
        if self.big_endian {
            bytes.reverse();
        }
        let mut padded = [0; 8];
        padded[..self.size].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(padded);
        let unused = 64 - 8 * self.size as u32;
        match (self.kind, self.size) {
            (b'f', 4) => f32::from_bits(unsigned as u32),
            (b'f', _) => f64::from_bits(unsigned) as f32,
            // Shifted up and down again, the sign is kept.
            (b'i', _) => (((unsigned << unused) as i64) >> unused) as f32,
            _ => unsigned as f32,
        }
    }
}

/// The kind of number and its bytes.
fn kind_of(descr: &str) -> Option<(u8, usize)> {
    let (&kind, size) = descr
        .trim_start_matches(['<', '>', '|', '='])
        .as_bytes()
        .split_first()?;
    let size: usize = std::str::from_utf8(size).ok()?.parse().ok()?;
    let known = match kind {
        b'f' => [4, 8].contains(&size),
        b'i' | b'u' => [1, 2, 4, 8].contains(&size),
        b'b' => size == 1,
        _ => false,
    };
    known.then_some((kind, size))
}

/// What a header says under a name, with all that follows.
fn value_of<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{name}':"))?;
    Some(rest.trim_start())
}

fn header(contents: &mut Contents) -> Result<String, String> {
    let mut exactly = |count: usize| {
        let mut bytes = vec![0; count];
        contents
            .read_exact(&mut bytes)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    };
    let magic = exactly(8)?;
    if !magic.starts_with(b"\x93NUMPY") {
        return Err("it is no array of NumPy's".to_string());
    }
    let length = exactly(if magic[6] == 1 { 2 } else { 4 })?;
    let length = length
        .iter()
        .rev()
        .fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    if length > 1 << 16 {
        return Err(format!("its header says it is {length} bytes long"));
    }
    Ok(String::from_utf8_lossy(&exactly(length)?).into_owned())
}
