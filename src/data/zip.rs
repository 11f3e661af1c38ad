//! Zip archives as NumPy writes them: entries stored or deflated, with the 64-bit extension.
//!
//! Reference: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3. Encryption and archives in several parts are refused.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// Bytes of the end record without its comment, and with the longest.
const END: u64 = 22;
const LONGEST_END: u64 = END + 0xffff;

/// One file in the archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    archive: PathBuf,
    pub(super) name: String,
    deflated: bool,
    checksum: u32,
    compressed: u64,
    /// Bytes once it is unpacked.
    pub(super) size: u64,
    offset: u64,
}

/// Returns the entries of an archive.
///
/// # Errors
/// With the reason, where it is damaged or packed in a way that NumPy does not use.
pub(super) fn entries(path: &Path) -> Result<Vec<Entry>, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let start = length.saturating_sub(LONGEST_END);
    let tail = bytes(&mut file, start, length - start)?;
    let cut = "it ends without a table of contents: cut short? Hint: copy or download it again";
    let at = (0..=tail.len().saturating_sub(END as usize))
        .rev()
        .find(|&at| tail[at..].starts_with(b"PK\x05\x06"))
        .ok_or(cut)?;
    let end = &tail[at..];
    if end.len() < END as usize {
        return Err(cut.to_string());
    }
    let mut table = (
        u64::from(u16_at(end, 10)),
        u64::from(u32_at(end, 12)),
        u64::from(u32_at(end, 16)),
    );
    if table.0 == 0xffff || table.1 == 0xffff_ffff || table.2 == 0xffff_ffff {
        let locator = at.checked_sub(20).map(|at| &tail[at..at + 20]).ok_or(cut)?;
        let record = bytes(&mut file, u64_at(locator, 8), 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(cut.to_string());
        }
        table = (
            u64_at(&record, 32),
            u64_at(&record, 40),
            u64_at(&record, 48),
        );
    }
    let (count, size, offset) = table;
    if offset.checked_add(size).is_none_or(|end| end > length) {
        return Err(cut.to_string());
    }
    let table = bytes(&mut file, offset, size)?;
    parse(path, &table, count)
}

fn parse(path: &Path, table: &[u8], count: u64) -> Result<Vec<Entry>, String> {
    let (mut entries, mut at) = (Vec::new(), 0);
    for _ in 0..count {
        let head = table
            .get(at..)
            .filter(|rest| rest.len() >= 46 && rest.starts_with(b"PK\x01\x02"));
        let head = head.ok_or("its table of contents is damaged")?;
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let after = 46 + name + extra + comment;
        if head.len() < after {
            return Err("its table of contents is damaged".to_string());
        }
        let mut entry = Entry {
            archive: path.to_path_buf(),
            name: String::from_utf8_lossy(&head[46..46 + name]).into_owned(),
            deflated: u16_at(head, 10) == 8,
            checksum: u32_at(head, 16),
            compressed: u64::from(u32_at(head, 20)),
            size: u64::from(u32_at(head, 24)),
            offset: u64::from(u32_at(head, 42)),
        };
        if u16_at(head, 8) & 1 == 1 || ![0, 8].contains(&u16_at(head, 10)) {
            return Err(format!(
                "`{}` is encrypted or packed otherwise than NumPy does",
                entry.name
            ));
        }
        entry.widen(&head[46 + name..46 + name + extra]);
        entries.push(entry);
        at += after;
    }
    Ok(entries)
}

impl Entry {
    /// Takes those numbers from the 64-bit extension that do not fit 32 bits.
    fn widen(&mut self, mut extra: &[u8]) {
        while extra.len() >= 4 {
            let (kind, size) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
            let mut fields = extra[4..].get(..size).unwrap_or_default().chunks_exact(8);
            if kind == 1 {
                for number in [&mut self.size, &mut self.compressed, &mut self.offset] {
                    if *number == 0xffff_ffff
                        && let Some(field) = fields.next()
                    {
                        *number = u64_at(field, 0);
                    }
                }
            }
            extra = extra.get(4 + size..).unwrap_or_default();
        }
    }

    /// Returns the unpacked bytes as a stream that fails where they are not those that were packed.
    pub(super) fn open(&self) -> io::Result<Contents> {
        let mut file = File::open(&self.archive)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut head = [0; 30];
        file.read_exact(&mut head)?;
        if !head.starts_with(b"PK\x03\x04") {
            return Err(io::Error::other(format!(
                "`{}` is not where the table of contents says",
                self.name
            )));
        }
        let skipped = i64::from(u16_at(&head, 26)) + i64::from(u16_at(&head, 28));
        file.seek(SeekFrom::Current(skipped))?;
        let packed = io::BufReader::with_capacity(1 << 16, file).take(self.compressed);
        let stream: Box<dyn Read> = if self.deflated {
            Box::new(DeflateDecoder::new(packed))
        } else {
            Box::new(packed)
        };
        Ok(Contents {
            stream,
            left: self.size,
            wanted: self.checksum,
            checksum: Crc::new(),
        })
    }
}

/// The unpacked bytes of an entry.
pub(super) struct Contents {
    stream: Box<dyn Read>,
    left: u64,
    wanted: u32,
    checksum: Crc,
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.stream.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::other("its packed bytes end too early"));
        }
        self.checksum.update(&buffer[..count]);
        self.left -= count as u64;
        if self.left == 0 && self.checksum.sum() != self.wanted {
            return Err(io::Error::other(
                "its checksum is another one: the bytes are damaged",
            ));
        }
        Ok(count)
    }
}

fn bytes(file: &mut File, start: u64, count: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    (file.seek(SeekFrom::Start(start)))
        .and_then(|_| file.take(count).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 == count {
        Ok(bytes)
    } else {
        Err("it is cut short".to_string())
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut number = [0; N];
    number.copy_from_slice(&bytes[at..at + N]);
    number
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(number(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(number(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(number(bytes, at))
}
