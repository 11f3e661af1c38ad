//! The exact posterior by rejection: where r ≤ 1, samples of the prior that are accepted with probability r are its samples.

use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::log_mean_exp;

use super::algebra::{Moments, frechet};

/// Which samples were accepted, and what all of them say of r.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Indices of the accepted samples.
    pub accepted: Vec<usize>,
    /// log of the mean of r over all samples.
    pub log_z: f64,
    /// Its standard error.
    pub error: f64,
    /// Mean log r over the accepted.
    pub log_reward: f64,
}

/// Accepts samples of the prior by their log-rewards, none of which may be above 0.
///
/// # Panics
/// When one is.
pub fn reject(log_reward: &[f64], noise: &mut Noise) -> Truth {
    assert!(
        log_reward.iter().all(|&r| r <= 0.0),
        "rejection needs r ≤ 1"
    );
    let draws = noise.uniform_rows(1, log_reward.len());
    let pairs = log_reward.iter().zip(&draws).enumerate();
    let accepted: Vec<usize> = pairs
        .filter(|(_, (r, u))| **u < r.exp())
        .map(|(i, _)| i)
        .collect();
    let Estimate {
        value: log_z,
        error,
    } = log_z(log_reward);
    let sum: f64 = accepted.iter().map(|&i| log_reward[i]).sum();
    Truth {
        log_reward: sum / accepted.len() as f64,
        accepted,
        log_z,
        error,
    }
}

/// A number that was estimated.
pub struct Estimate {
    /// The estimate itself.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// Returns the log of the mean of exp(values) with its standard error, to first order.
pub fn log_z(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let log_z = log_mean_exp(values);
    let variance = values
        .iter()
        .map(|v| ((v - log_z).exp() - 1.0).powi(2))
        .sum::<f64>();
    Estimate {
        value: log_z,
        error: (variance / (n - 1.0) / n).sqrt(),
    }
}

/// Features of exact samples, and how far samples may be from them by chance alone.
#[derive(Clone, Debug)]
pub struct Yardstick {
    width: usize,
    moments: Moments,
    /// Fréchet distance of one half of the exact samples to the other.
    pub floor: f64,
}

impl Yardstick {
    /// Returns the yardstick of exact samples' features [samples · width].
    pub fn new(features: &[f32], width: usize) -> Self {
        let half = features.len() / width / 2 * width;
        let [first, second] = [&features[..half], &features[half..]].map(|f| Moments::of(f, width));
        Self {
            width,
            moments: Moments::of(features, width),
            floor: frechet(&first, &second),
        }
    }

    /// Returns the squared Fréchet distance of samples' features to the exact ones'.
    pub fn distance(&self, features: &[f32]) -> f64 {
        frechet(&self.moments, &Moments::of(features, self.width))
    }
}

/// Returns the mean distance of neighbours in a list of features [samples · width]: 0 where all samples are one.
pub fn diversity(features: &[f32], width: usize) -> f64 {
    let rows: Vec<&[f32]> = features.chunks_exact(width).collect();
    let half = rows.len() / 2;
    let apart = |a: &[f32], b: &[f32]| {
        let squares = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let pairs = rows[..half].iter().zip(&rows[half..]);
    pairs.map(|(a, b)| apart(a, b)).sum::<f64>() / half as f64
}

/// Returns the share of each class.
pub fn shares(classes: &[u8]) -> [f64; 10] {
    let mut counts = [0.0; 10];
    classes.iter().for_each(|&c| counts[usize::from(c)] += 1.0);
    counts.map(|count| count / classes.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x ~ N(0, 1) with r = exp(−x²/2): Z = 1/√2, the posterior is N(0, ½), E log r = −¼.
    #[test]
    fn rejection_of_a_known_toy() {
        let x = Noise::keyed(1, "toy", 0).normals(60_000, 1);
        let log_r: Vec<f64> = x.iter().map(|&x| -0.5 * f64::from(x).powi(2)).collect();
        let found = reject(&log_r, &mut Noise::keyed(1, "toy-accept", 0));
        let exact = -0.5 * 2f64.ln();
        assert!((found.log_z - exact).abs() < 4.0 * found.error, "{found:?}");
        // E r² / Z² − 1 = 2/√3 − 1.
        let error = ((2.0 / 3f64.sqrt() - 1.0) / 60_000.0f64).sqrt();
        assert!(
            (found.error / error - 1.0).abs() < 0.05,
            "{} {error}",
            found.error
        );
        let share = found.accepted.len() as f64 / 60_000.0;
        assert!((share - 0.5f64.sqrt()).abs() < 0.01, "{share}");
        assert!(
            (found.log_reward + 0.25).abs() < 0.01,
            "{}",
            found.log_reward
        );
        let squares = found.accepted.iter().map(|&i| f64::from(x[i]).powi(2));
        let variance = squares.sum::<f64>() / found.accepted.len() as f64;
        assert!((variance - 0.5).abs() < 0.015, "{variance}");
    }

    #[test]
    #[should_panic(expected = "r ≤ 1")]
    fn rewards_above_one_are_not_rejected_in_silence() {
        reject(&[-1.0, 0.1], &mut Noise::keyed(1, "toy", 0));
    }

    #[test]
    fn a_shift_is_seen_and_chance_is_the_floor() {
        let z = Noise::keyed(2, "features", 0).normals(8000, 3);
        let yardstick = Yardstick::new(&z, 3);
        assert!(yardstick.floor < 0.01 && yardstick.floor > 0.0);
        let shifted: Vec<f32> = z.iter().map(|v| v + 0.5).collect();
        assert!((yardstick.distance(&shifted) - 0.75).abs() < 1e-3);
    }

    #[test]
    fn diversity_and_shares() {
        // E |x − y| of standard normals in one dimension is 2/√π.
        let z = Noise::keyed(3, "diversity", 0).normals(40_000, 1);
        let exact = 2.0 / std::f64::consts::PI.sqrt();
        assert!((diversity(&z, 1) - exact).abs() < 0.02);
        assert!(diversity(&[1.0; 20], 2).abs() < 1e-12);
        let found = shares(&[1, 1, 7, 9]);
        assert_eq!((found[1], found[7], found[0]), (0.5, 0.25, 0.0));
    }
}
