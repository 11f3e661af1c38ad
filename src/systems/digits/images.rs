//! Images as a diffusion sees them: grey values from −1 to 1, or standardised principal components of them.

use std::path::Path;

use super::algebra::{Moments, Principal, principal};
use super::idx::{self, Labelled, Named};
use crate::error::Error;

/// The way between pixels and what the models compute with.
#[derive(Clone, Debug)]
pub struct Coordinates {
    /// Height and width of an image.
    pub size: [usize; 2],
    /// Width of a row.
    pub dim: usize,
    /// Directions in pixels [dim · pixels], each with its mean and its standard deviation; none where rows are the pixels.
    components: Option<Components>,
}

#[derive(Clone, Debug)]
struct Components {
    mean: Vec<f64>,
    directions: Vec<f64>,
    std: Vec<f64>,
    /// Share of the pixels' variance that they hold.
    share: f64,
}

/// Images that principal components are taken of.
pub const MEASURED: usize = 10_000;

fn signed(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&p| f32::from(p) / 127.5 - 1.0).collect()
}

impl Coordinates {
    /// Returns pixels as they are.
    pub fn pixels(size: [usize; 2]) -> Self {
        Self {
            size,
            dim: size[0] * size[1],
            components: None,
        }
    }

    /// Returns the `count` principal components of the first [`MEASURED`] images, each with mean 0 and variance 1 over them.
    pub fn components(images: &Labelled, count: usize) -> Self {
        let n = images.size[0] * images.size[1];
        let Moments { mean, covariance } = Moments::of(
            &signed(&images.pixels[..images.pixels.len().min(MEASURED * n)]),
            n,
        );
        let Principal {
            directions,
            variances,
        } = principal(&covariance, n, count);
        let all: f64 = (0..n).map(|i| covariance[i * n + i]).sum();
        Self {
            size: images.size,
            dim: count,
            components: Some(Components {
                mean,
                share: variances.iter().sum::<f64>() / all,
                std: variances.iter().map(|v| v.max(1e-12).sqrt()).collect(),
                directions,
            }),
        }
    }

    /// Returns what the rows are, in words.
    pub fn describe(&self) -> String {
        let [height, width] = self.size;
        match &self.components {
            None => format!("{height} × {width} pixels"),
            Some(c) => format!(
                "{} principal components of {height} × {width} pixels, {:.1} % of their variance",
                self.dim,
                100.0 * c.share
            ),
        }
    }

    /// Returns rows [images · dim] of grey values [images · pixels].
    pub fn encode(&self, pixels: &[u8]) -> Vec<f32> {
        let values = signed(pixels);
        let Some(c) = &self.components else {
            return values;
        };
        let n = c.mean.len();
        let mut out = Vec::with_capacity(values.len() / n * self.dim);
        for image in values.chunks_exact(n) {
            for (direction, std) in c.directions.chunks_exact(n).zip(&c.std) {
                let both = image.iter().zip(&c.mean).zip(direction);
                let along: f64 = both.map(|((&v, m), d)| (f64::from(v) - m) * d).sum();
                out.push((along / std) as f32);
            }
        }
        out
    }

    /// Returns grey values from 0 (paper) to 1 (ink) of rows [images · dim].
    pub fn decode(&self, rows: &[f32]) -> Vec<f32> {
        let grey = |v: f64| (0.5 * (v + 1.0)).clamp(0.0, 1.0) as f32;
        let Some(c) = &self.components else {
            return rows.iter().map(|&v| grey(f64::from(v))).collect();
        };
        let n = c.mean.len();
        let mut out = Vec::with_capacity(rows.len() / self.dim * n);
        for row in rows.chunks_exact(self.dim) {
            let mut image = c.mean.clone();
            let parts = row.iter().zip(&c.std).zip(c.directions.chunks_exact(n));
            for ((&u, std), direction) in parts {
                let weight = f64::from(u) * std;
                image
                    .iter_mut()
                    .zip(direction)
                    .for_each(|(p, d)| *p += weight * d);
            }
            out.extend(image.into_iter().map(grey));
        }
        out
    }
}

/// Rows with their classes.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Grey values, image after image, [images · dim].
    pub rows: Vec<f32>,
    /// Class of each image.
    pub labels: Vec<u8>,
}

/// A data set, ready to train on.
#[derive(Clone, Debug)]
pub struct Set {
    /// Where it comes from.
    pub name: String,
    /// What its rows are.
    pub coordinates: Coordinates,
    /// What prior and classifier learn from.
    pub train: Part,
    /// What the classifier is judged by.
    pub test: Part,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Images apart that a set without a test part of its own is judged by: one in so many.
const HELD_OUT: usize = 6;

/// Returns the 8 × 8 digits that come with the program.
///
/// # Errors
/// Never, as long as the files are whole.
pub fn small() -> Result<Labelled, Error> {
    idx::read(
        Named {
            name: "train-images-idx3-ubyte.gz",
            bytes: include_bytes!("data/train-images-idx3-ubyte.gz"),
        },
        Named {
            name: "train-labels-idx1-ubyte.gz",
            bytes: include_bytes!("data/train-labels-idx1-ubyte.gz"),
        },
    )
}

/// Returns the set of a folder of IDX files, or the 8 × 8 digits where none is named; `components` = 0 keeps pixels.
///
/// # Errors
/// When a file is missing or damaged, or there are more components than pixels.
pub fn load(folder: Option<&Path>, components: usize) -> Result<Set, Error> {
    let (name, all, test) = match folder {
        None => ("8 × 8 digits".to_string(), small()?, None),
        Some(folder) => {
            let has = ["", ".gz"].map(|end| format!("t10k-images-idx3-ubyte{end}"));
            let has_test = has.iter().any(|name| folder.join(name).exists());
            let test = has_test
                .then(|| idx::read_part(folder, "t10k"))
                .transpose()?;
            let name = folder.display().to_string();
            (name, idx::read_part(folder, "train")?, test)
        }
    };
    let mut notes = Vec::new();
    let (train, test) = match test {
        Some(test) if test.size != all.size => {
            return Err(Error::Run(format!(
                "{name}: images of {:?} pixels to train on and of {:?} to test with, expected one size",
                all.size, test.size
            )));
        }
        Some(test) => (all, test),
        None => {
            notes.push(format!("every {HELD_OUT}th image is held out for the test"));
            split(&all)
        }
    };
    let pixels = train.size[0] * train.size[1];
    if components > pixels {
        return Err(Error::Usage(format!(
            "--components {components}: images of {pixels} pixels have no more than {pixels}"
        )));
    }
    let coordinates = match components {
        0 => Coordinates::pixels(train.size),
        count => Coordinates::components(&train, count),
    };
    let part = |images: Labelled| Part {
        rows: coordinates.encode(&images.pixels),
        labels: images.labels,
    };
    Ok(Set {
        name,
        train: part(train),
        test: part(test),
        coordinates,
        notes,
    })
}

fn split(all: &Labelled) -> (Labelled, Labelled) {
    let n = all.size[0] * all.size[1];
    let mut parts = [false, true].map(|_| Labelled {
        pixels: Vec::new(),
        size: all.size,
        labels: Vec::new(),
    });
    for (i, (image, &label)) in all.pixels.chunks_exact(n).zip(&all.labels).enumerate() {
        let part = &mut parts[usize::from(i % HELD_OUT == HELD_OUT - 1)];
        part.pixels.extend_from_slice(image);
        part.labels.push(label);
    }
    let [train, test] = parts;
    (train, test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_digits_are_those_of_the_source() {
        let all = small().expect("whole");
        assert_eq!((all.labels.len(), all.size), (1797, [8, 8]));
        assert_eq!(&all.labels[..10], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let counts = (0..10).map(|c| all.labels.iter().filter(|&&l| l == c).count());
        let counts: Vec<usize> = counts.collect();
        // As the source's own description has them.
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first zero, in counts of painted cells.
        let cells: Vec<u32> = all.pixels[..8]
            .iter()
            .map(|&p| (u32::from(p) * 16 + 127) / 255)
            .collect();
        assert_eq!(cells, [0, 0, 5, 13, 9, 1, 0, 0]);
    }

    /// As many components as pixels lose nothing; fewer are standardised.
    #[test]
    fn components_are_standardised_and_go_back() {
        let all = small().expect("whole");
        let few = Coordinates::components(&all, 20);
        let rows = few.encode(&all.pixels);
        let found = Moments::of(&rows, 20);
        for i in 0..20 {
            assert!(found.mean[i].abs() < 1e-4);
            for j in 0..20 {
                let exact = f64::from(u8::from(i == j));
                assert!(
                    (found.covariance[i * 20 + j] - exact).abs() < 1e-3,
                    "{i} {j}"
                );
            }
        }
        assert!(
            few.describe().contains("20 principal"),
            "{}",
            few.describe()
        );
        let error = |coordinates: &Coordinates| {
            let pixels = &all.pixels[..64 * 100];
            let back = coordinates.decode(&coordinates.encode(pixels));
            let squares = back
                .iter()
                .zip(pixels)
                .map(|(b, &p)| (b - f32::from(p) / 255.0).powi(2));
            (squares.sum::<f32>() / 6400.0).sqrt()
        };
        assert!(error(&Coordinates::pixels([8, 8])) < 1e-6);
        let (twenty, fifty) = (error(&few), error(&Coordinates::components(&all, 50)));
        assert!(
            fifty < 0.02 && fifty < 0.3 * twenty && twenty < 0.12,
            "{fifty} {twenty}"
        );
    }

    #[test]
    fn a_set_without_a_test_part_holds_some_out_and_says_so() {
        let set = load(None, 0).expect("loads");
        assert_eq!(set.train.labels.len() + set.test.labels.len(), 1797);
        assert_eq!(set.test.labels.len(), 299);
        assert_eq!(set.notes.len(), 1);
        assert!(load(None, 65).is_err());
    }
}
