//! Randomness as a value: ChaCha8 streams keyed by (seed, purpose, index), drawn on the host.
//!
//! The same numbers reach every backend. With one stream per episode the numbers of an episode do not
//! depend on which other episodes run beside it.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// One or several independent streams of random numbers.
#[derive(Clone, Debug)]
pub struct Noise {
    streams: Vec<ChaCha8Rng>,
}

fn key(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in purpose.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut bytes = [0u8; 32];
    for (slot, word) in bytes
        .chunks_exact_mut(8)
        .zip([seed, hash, index, 0x5449_4c54])
    {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

impl Noise {
    /// Returns one stream for `purpose`, at position `index` (an update, say).
    pub fn keyed(seed: u64, purpose: &str, index: u64) -> Self {
        Self {
            streams: vec![key(seed, purpose, index)],
        }
    }

    /// Returns one stream per index; rows of a draw are shared out among them in order.
    pub fn streams(seed: u64, purpose: &str, indices: &[u64]) -> Self {
        Self {
            streams: indices.iter().map(|&i| key(seed, purpose, i)).collect(),
        }
    }

    /// Returns the ChaCha8 key of each stream, for a device that draws the same numbers itself.
    pub fn keys(&self) -> Vec<[u8; 32]> {
        self.streams.iter().map(ChaCha8Rng::get_seed).collect()
    }

    /// Keeps the streams whose flag is set.
    pub fn keep(&mut self, flags: &[bool]) {
        let mut flags = flags.iter();
        self.streams.retain(|_| *flags.next().unwrap_or(&true));
    }

    /// Returns standard normal numbers [rows, columns], row-major.
    ///
    /// # Panics
    /// When `rows` is not a multiple of the number of streams.
    pub fn normals(&mut self, rows: usize, columns: usize) -> Vec<f32> {
        assert_eq!(
            rows % self.streams.len(),
            0,
            "rows must be shared equally among the streams"
        );
        let share = rows / self.streams.len() * columns;
        let mut values = Vec::with_capacity(rows * columns);
        for stream in &mut self.streams {
            values.extend((0..share).map(|_| -> f32 { stream.sample(StandardNormal) }));
        }
        values
    }

    /// Returns a uniform number in [0, 1) from each stream.
    pub fn uniforms(&mut self) -> Vec<f64> {
        self.streams
            .iter_mut()
            .map(|stream| stream.random())
            .collect()
    }

    /// Returns uniform numbers in [0, 1) [rows, columns], row-major; rows are shared out among the streams in order.
    ///
    /// # Panics
    /// When `rows` is not a multiple of the number of streams.
    pub fn uniform_rows(&mut self, rows: usize, columns: usize) -> Vec<f64> {
        assert_eq!(
            rows % self.streams.len(),
            0,
            "rows must be shared equally among the streams"
        );
        let share = rows / self.streams.len() * columns;
        let draws = self.streams.iter_mut();
        draws
            .flat_map(|stream| (0..share).map(|_| stream.random()).collect::<Vec<f64>>())
            .collect()
    }

    /// Returns a uniform number in [0, 1) from the first stream.
    pub fn uniform(&mut self) -> f64 {
        self.streams[0].random()
    }

    /// Returns `count` indices below `bound`, from the first stream.
    pub fn indices(&mut self, count: usize, bound: usize) -> Vec<usize> {
        (0..count)
            .map(|_| self.streams[0].random_range(0..bound))
            .collect()
    }

    /// Returns a fresh seed from the first stream.
    pub fn seed(&mut self) -> u64 {
        self.streams[0].next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_does_not_depend_on_its_neighbours() {
        let together = Noise::streams(3, "episode", &[4, 5]).normals(2, 3);
        let alone = Noise::streams(3, "episode", &[5]).normals(1, 3);
        assert_eq!(&together[3..], &alone[..]);
    }

    #[test]
    fn purposes_and_seeds_differ() {
        let draw = |seed, purpose| Noise::keyed(seed, purpose, 0).normals(1, 1)[0];
        assert_ne!(draw(1, "prior"), draw(1, "critic"));
        assert_ne!(draw(1, "prior"), draw(2, "prior"));
    }
}
