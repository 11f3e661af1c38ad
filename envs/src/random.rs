//! Random start states: a ChaCha stream per seed, turned into numbers here so that no crate's upgrade moves them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The stream of random numbers that belongs to a seed.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from [0, 1), on a grid of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        const GRID: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * GRID
    }

    /// A number from [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A standard normal number (Box–Muller, the cosine half).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_first_numbers_never_change() {
        let mut stream = Stream::new(7);
        let numbers = [stream.unit(), stream.uniform(-2.0, 2.0), stream.normal()];
        let again = {
            let mut stream = Stream::new(7);
            [stream.unit(), stream.uniform(-2.0, 2.0), stream.normal()]
        };
        assert_eq!(numbers, again);
        assert_ne!(numbers[0], Stream::new(8).unit());
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut stream = Stream::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
            "{mean} {variance}"
        );
    }
}
