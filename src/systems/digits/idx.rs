//! The IDX format of MNIST and its relatives: a big-endian head, then bytes; plain or gzipped.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::error::Error;

/// Grey images with their labels, as a pair of files holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// Pixels [images · height · width], 0 … 255, row-major.
    pub pixels: Vec<u8>,
    /// Height and width.
    pub size: [usize; 2],
    /// One class per image.
    pub labels: Vec<u8>,
}

/// Largest file that is read, bytes unpacked: MNIST's largest is 47 MB.
const LIMIT: u64 = 1 << 30;
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
const HINT: &str =
    "hint: `.ci/get-digits FOLDER` brings whole files; --data takes the folder that it prints";

fn damaged(name: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    Error::Run(format!(
        "{name}: not a whole IDX file: expected {expected}, found {found}\n  {HINT}"
    ))
}

/// Returns the bytes of a file, unpacked where they are gzipped.
fn unpacked(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    let read = GzDecoder::new(bytes).take(LIMIT).read_to_end(&mut out);
    read.map_err(|reason| damaged(name, "a whole gzip stream", reason))?;
    Ok(out)
}

/// Returns the sizes of all axes and the values behind them.
fn parse<'a>(
    name: &str,
    bytes: &'a [u8],
    magic: u32,
    axes: usize,
) -> Result<(Vec<usize>, &'a [u8]), Error> {
    let head = 4 + 4 * axes;
    if bytes.len() < head {
        let found = format!("{} bytes", bytes.len());
        return Err(damaged(name, format!("a head of {head} bytes"), found));
    }
    let word = |i: usize| {
        let at = &bytes[4 * i..4 * i + 4];
        u32::from_be_bytes([at[0], at[1], at[2], at[3]])
    };
    if word(0) != magic {
        let what = format!("{magic:#06x} (bytes along {axes} axes)");
        return Err(damaged(name, what, format!("{:#06x}", word(0))));
    }
    let sizes: Vec<usize> = (1..=axes).map(|i| word(i) as usize).collect();
    let product = sizes.iter().try_fold(1usize, |p, &s| p.checked_mul(s));
    let values = &bytes[head..];
    match product {
        Some(0) => Err(damaged(name, "something along every axis", "a size of 0")),
        Some(count) if count == values.len() => Ok((sizes, values)),
        _ => {
            let expected = format!("{sizes:?} values behind the head");
            Err(damaged(name, expected, format!("{} bytes", values.len())))
        }
    }
}

/// The bytes of a file, and its name for messages.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// How messages name it.
    pub name: &'a str,
    /// What it holds, plain or gzipped.
    pub bytes: &'a [u8],
}

/// Reads images and labels from the bytes of two files, plain or gzipped; the names are for messages.
///
/// # Errors
/// [`Error::Run`] when a file is cut short, has bytes too many, is of another type, or when the two do not fit together.
pub fn read(images: Named<'_>, labels: Named<'_>) -> Result<Labelled, Error> {
    let of_images = unpacked(images.name, images.bytes)?;
    let of_labels = unpacked(labels.name, labels.bytes)?;
    let (sizes, pixels) = parse(images.name, &of_images, IMAGES, 3)?;
    let (counts, classes) = parse(labels.name, &of_labels, LABELS, 1)?;
    if counts[0] != sizes[0] {
        let expected = format!("{} labels, one for each image of {}", sizes[0], images.name);
        return Err(damaged(labels.name, expected, counts[0]));
    }
    if let Some(&class) = classes.iter().find(|&&class| class > 9) {
        return Err(damaged(labels.name, "classes from 0 to 9", class));
    }
    Ok(Labelled {
        pixels: pixels.to_vec(),
        size: [sizes[1], sizes[2]],
        labels: classes.to_vec(),
    })
}

/// Reads `PART-images-idx3-ubyte` and `PART-labels-idx1-ubyte` of a folder, with or without `.gz`.
///
/// # Errors
/// As for [`read`]; [`Error::Usage`] when the folder lacks one.
pub fn read_part(folder: &Path, part: &str) -> Result<Labelled, Error> {
    let load = |what: &str| -> Result<(PathBuf, Vec<u8>), Error> {
        let name = format!("{part}-{what}-ubyte");
        let plain = folder.join(&name);
        let packed = folder.join(format!("{name}.gz"));
        let path = [plain, packed].into_iter().find(|path| path.exists());
        let path = path.ok_or_else(|| {
            Error::Usage(format!(
                "--data {}: no {name} in it, nor {name}.gz\n  {HINT}",
                folder.display()
            ))
        })?;
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        Ok((path, bytes))
    };
    let (images, labels) = (load("images-idx3")?, load("labels-idx1")?);
    let [of_images, of_labels] = [&images, &labels].map(|(path, _)| path.display().to_string());
    read(named(&of_images, &images.1), named(&of_labels, &labels.1))
}

fn named<'a>(name: &'a str, bytes: &'a [u8]) -> Named<'a> {
    Named { name, bytes }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn files() -> [Vec<u8>; 2] {
        let words =
            |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
        let pixels: Vec<u8> = (0..12).collect();
        [
            [words(&[IMAGES, 2, 2, 3]), pixels].concat(),
            [words(&[LABELS, 2]), vec![7, 0]].concat(),
        ]
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).expect("memory");
        out.finish().expect("memory")
    }

    #[test]
    fn plain_and_gzipped_files_read_alike() {
        let [images, labels] = files();
        let plain = read(named("i", &images), named("l", &labels)).expect("whole");
        assert_eq!((plain.size, &plain.labels[..]), ([2, 3], &[7, 0][..]));
        assert_eq!(plain.pixels, (0..12).collect::<Vec<u8>>());
        let packed =
            read(named("i", &gzipped(&images)), named("l", &gzipped(&labels))).expect("whole");
        assert_eq!(plain, packed);
    }

    #[test]
    fn damaged_files_are_refused_and_named() {
        let [images, labels] = files();
        let refused = |images: &[u8], labels: &[u8], words: &str| {
            let error =
                read(named("IMAGES", images), named("LABELS", labels)).expect_err("damaged");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("hint"), "{text}");
        };
        let cut = |bytes: &[u8], to: usize| bytes[..to].to_vec();
        refused(&cut(&images, images.len() - 1), &labels, "IMAGES");
        refused(
            &[images.clone(), vec![0]].concat(),
            &labels,
            "[2, 2, 3] values",
        );
        refused(&cut(&images, 9), &labels, "a head of 16 bytes");
        refused(&images, &images, "found 0x0803");
        refused(&cut(&gzipped(&images), 20), &labels, "gzip");
        let mut wrong = labels.clone();
        wrong[9] = 10;
        refused(&images, &wrong, "classes from 0 to 9");
        let mut fewer = cut(&labels, 9);
        fewer[7] = 1;
        refused(&images, &fewer, "2 labels");
        let mut none = images.clone();
        none[7] = 0;
        refused(&none, &labels, "a size of 0");
        let mut huge = images;
        huge[4..16].fill(0xff);
        refused(&huge, &labels, "values behind the head");
    }

    #[test]
    fn a_folder_without_files_says_which_is_missing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let error = read_part(folder.path(), "train").expect_err("empty");
        assert!(
            error.to_string().contains("train-images-idx3-ubyte.gz"),
            "{error}"
        );
        let [images, labels] = files();
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).expect("writable");
        };
        put("train-images-idx3-ubyte", &images);
        put("train-labels-idx1-ubyte.gz", &gzipped(&labels));
        assert_eq!(
            read_part(folder.path(), "train").expect("both").labels,
            [7, 0]
        );
    }
}
