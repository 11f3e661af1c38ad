//! TensorFlow's record format: each record with its length before it and masked checksums of both.
//!
//! u64 length, u32 mask(crc32c(length)), the bytes, u32 mask(crc32c(bytes)), little-endian. Reference: tensorflow.org, "TFRecord and
//! tf.train.Example"; the checksum is CRC-32C (Castagnoli), RFC 3720, appendix B.4.

/// Bytes of a length and its checksum.
const HEAD: usize = 12;
/// Bytes of the checksum behind a record.
const TAIL: usize = 4;
/// The polynomial 0x1edc6f41 with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let odd = value & 1 == 1;
            value >>= 1;
            if odd {
                value ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

/// The checksum as it is stored: rotated, so that a checksum of bytes that hold checksums says something.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns a record as it stands in a file.
pub(super) fn framed(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(record);
    bytes.extend(masked(record).to_le_bytes());
    bytes
}

/// Returns the whole records at the start of `bytes`, and how many bytes they take with their frames.
pub(super) fn whole(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut records, mut taken) = (Vec::new(), 0);
    while let Some(record) = first(&bytes[taken..]) {
        records.push(record);
        taken += HEAD + record.len() + TAIL;
    }
    (records, taken)
}

/// The first record, if it is all there and undamaged.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (length_checksum, rest) = rest.split_first_chunk::<TAIL>()?;
    let count = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let record = rest.get(..count)?;
    let (checksum, _) = rest[count..].split_first_chunk::<TAIL>()?;
    let right = u32::from_le_bytes(*length_checksum) == masked(length)
        && u32::from_le_bytes(*checksum) == masked(record);
    right.then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_that_are_published() {
        // RFC 3720, appendix B.4: bytes of zeros, of ones, rising, falling, a read command; and the usual check of CRC catalogues.
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        let mut command = [0u8; 48];
        for (at, byte) in [
            (0, 0x01),
            (1, 0xc0),
            (16, 0x14),
            (22, 0x04),
            (27, 0x14),
            (31, 0x18),
            (32, 0x28),
            (40, 0x02),
        ] {
            command[at] = byte;
        }
        for (bytes, wanted) in [
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
            (&command, 0xd996_3a56),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(bytes), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_not_read() {
        let records: [&[u8]; 3] = [b"first", b"", b"the third"];
        let all: Vec<u8> = records.iter().flat_map(|r| framed(r)).collect();
        assert_eq!(whole(&all), (records.to_vec(), all.len()));
        let ends = [0, 21, 37, all.len()];
        for length in 0..all.len() {
            let expected = ends.iter().filter(|&&end| end <= length).max().copied();
            let (found, taken) = whole(&all[..length]);
            assert_eq!(Some(taken), expected, "{length}");
            assert!(records.starts_with(&found));
        }
        for at in 0..all.len() {
            let mut damaged = all.clone();
            damaged[at] ^= 0x10;
            let (_, taken) = whole(&damaged);
            let before = ends.iter().filter(|&&end| end <= at).max().copied();
            assert_eq!(Some(taken), before, "{at}");
        }
    }
}
