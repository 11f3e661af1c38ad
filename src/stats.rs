//! Summary numbers of evaluation scores, and how far to trust them.
//!
//! The interquartile mean (IQM) and the stratified percentile bootstrap are those of
//! Agarwal et al., "Deep RL at the edge of the statistical precipice" (arXiv 2108.13264) and its
//! library rliable. Left out: performance profiles, probability of improvement.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;
/// Share of the resamples on either side of a 95 % interval.
const TAIL: f64 = 0.025;

/// A number and the 95 % interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The statistic of the sample itself.
    pub point: f64,
    /// The 2.5 % and the 97.5 % quantile of the statistic over the resamples; none where a seed has but one episode, which
    /// redrawn is always the same.
    pub ends: Option<[f64; 2]>,
}

/// Scores of several training seeds, put together.
///
/// Numbers are NaN, intervals none, where there are no episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Mean over all episodes of all seeds.
    pub mean: f64,
    /// Median over all episodes of all seeds.
    pub median: f64,
    /// Interquartile mean over all episodes of all seeds.
    pub iqm: f64,
    /// Lower end of the IQM's 95 % interval; none where a seed has but one episode.
    pub low: Option<f64>,
    /// Upper end of the IQM's 95 % interval.
    pub high: Option<f64>,
    /// Lower end of the mean's 95 % interval.
    pub mean_low: Option<f64>,
    /// Upper end of the mean's 95 % interval.
    pub mean_high: Option<f64>,
    /// Number of episodes, all seeds together.
    pub episodes: usize,
    /// Number of seeds with at least one episode.
    pub seeds: usize,
}

impl Aggregate {
    /// Returns the 95 % interval of the mean, where there is one.
    pub fn mean_interval(&self) -> Option<[f64; 2]> {
        self.mean_low.zip(self.mean_high).map(<[f64; 2]>::from)
    }
}

/// Returns mean, median and IQM of all episodes, with 95 % stratified bootstrap intervals.
///
/// `scores_per_seed` holds one list of episode scores per training seed. The seeds are strata:
/// each of 2,000 resamples redraws, with replacement, as many episodes from every seed as that
/// seed has. So the interval speaks about these trained policies, each given its weight by its
/// number of episodes: how much would the number move with other episodes? It does not say how
/// much it would move with other training seeds; for that, look at the seeds one by one.
/// The result depends on the arguments alone.
///
/// # Panics
/// If a score is NaN.
pub fn aggregate(scores_per_seed: &[Vec<f64>], bootstrap_seed: u64) -> Aggregate {
    let all = scores_per_seed.concat();
    let iqm_interval = bootstrap(scores_per_seed, iqm, bootstrap_seed);
    let mean_interval = bootstrap(scores_per_seed, mean, bootstrap_seed);
    Aggregate {
        mean: mean_interval.point,
        median: median(&all),
        iqm: iqm_interval.point,
        low: iqm_interval.ends.map(|[low, _]| low),
        high: iqm_interval.ends.map(|[_, high]| high),
        mean_low: mean_interval.ends.map(|[low, _]| low),
        mean_high: mean_interval.ends.map(|[_, high]| high),
        episodes: all.len(),
        seeds: scores_per_seed
            .iter()
            .filter(|scores| !scores.is_empty())
            .count(),
    }
}

/// Returns `statistic` of all scores with its 95 % stratified percentile-bootstrap interval; see
/// [`aggregate`] for what the strata mean.
pub fn bootstrap(
    scores_per_seed: &[Vec<f64>],
    statistic: impl Fn(&[f64]) -> f64,
    bootstrap_seed: u64,
) -> Interval {
    let mut sample = scores_per_seed.concat();
    let point = statistic(&sample);
    let redrawn = |scores: &Vec<f64>| scores.len() != 1;
    if sample.is_empty() || !scores_per_seed.iter().all(redrawn) {
        return Interval { point, ends: None };
    }
    let mut random = ChaCha8Rng::seed_from_u64(bootstrap_seed);
    let mut statistics = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        redraw(scores_per_seed, &mut random, &mut sample);
        statistics.push(statistic(&sample));
    }
    Interval {
        point,
        ends: Some([TAIL, 1.0 - TAIL].map(|share| quantile(&statistics, share))),
    }
}

/// Returns `statistic` of `b` minus that of `a`, with its 95 % stratified percentile-bootstrap interval: the strata of both are
/// redrawn independently. Strata are as in [`aggregate`]; there is no interval where a stratum has but one value.
pub fn difference(
    a: &[Vec<f64>],
    b: &[Vec<f64>],
    statistic: impl Fn(&[f64]) -> f64,
    bootstrap_seed: u64,
) -> Interval {
    let point = statistic(&b.concat()) - statistic(&a.concat());
    let redrawn = |strata: &[Vec<f64>]| {
        strata.iter().any(|s| !s.is_empty()) && strata.iter().all(|s| s.len() != 1)
    };
    if !redrawn(a) || !redrawn(b) {
        return Interval { point, ends: None };
    }
    let mut random = ChaCha8Rng::seed_from_u64(bootstrap_seed);
    let mut sample = Vec::new();
    let mut once = |strata: &[Vec<f64>]| {
        redraw(strata, &mut random, &mut sample);
        statistic(&sample)
    };
    let differences: Vec<f64> = (0..RESAMPLES).map(|_| -once(a) + once(b)).collect();
    Interval {
        point,
        ends: Some([TAIL, 1.0 - TAIL].map(|share| quantile(&differences, share))),
    }
}

/// Fills `sample` with as many values of each stratum as it has, drawn with replacement.
fn redraw(strata: &[Vec<f64>], random: &mut ChaCha8Rng, sample: &mut Vec<f64>) {
    sample.clear();
    for values in strata {
        let drawn = values.iter().map(|_| values[below(random, values.len())]);
        sample.extend(drawn);
    }
}

/// A random index below `count`. Written out, because the intervals in results tables must not
/// move with the version of a library; the bias is below count / 2⁶⁴.
pub(crate) fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(random.next_u64()) * count as u128) >> 64) as usize
}

/// Returns the arithmetic mean; NaN without values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the median (the mean of the two middle values for an even count); NaN without values.
///
/// # Panics
/// If a value is NaN.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the interquartile mean: the mean of what is left after ⌊n/4⌋ values are cut from either
/// end; NaN without values.
///
/// That is `scipy.stats.trim_mean(values, 0.25)`, which rliable uses: for a count that is not a
/// multiple of 4, whole values are kept rather than fractions of them.
///
/// # Panics
/// If a value is NaN.
pub fn iqm(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// Returns the `share` quantile, 0 the smallest and 1 the largest value, interpolated linearly
/// between neighbours (NumPy's default); NaN without values.
///
/// # Panics
/// If `share` is outside [0, 1] or a value is NaN.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&share),
        "a quantile is a share between 0 and 1, not {share}"
    );
    let sorted = sorted(values);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    // NumPy's formula: exact at both ends.
    if fraction < 0.5 {
        sorted[below] + (sorted[above] - sorted[below]) * fraction
    } else {
        sorted[above] - (sorted[above] - sorted[below]) * (1.0 - fraction)
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(
        !values.iter().any(|value| value.is_nan()),
        "scores are numbers, not NaN"
    );
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 10] = [3.5, -1.0, 12.25, 7.0, 0.5, 8.75, 100.0, 2.0, 5.5, -40.0];

    fn assert_close(found: f64, expected: f64, tolerance: f64) {
        assert!(
            (found - expected).abs() <= tolerance,
            "{found} is not {expected}"
        );
    }

    /// `[scipy.stats.trim_mean(VALUES[:n], 0.25), numpy.median(VALUES[:n]), numpy.mean(VALUES[:n])]`
    #[test]
    fn iqm_median_and_mean_are_those_of_scipy_and_numpy() {
        let golden = [
            (1, [3.5, 3.5, 3.5]),
            (2, [1.25, 1.25, 1.25]),
            (3, [4.916666666666667, 3.5, 4.916666666666667]),
            (4, [5.25, 5.25, 5.4375]),
            (5, [3.6666666666666665, 3.5, 4.45]),
            (8, [5.3125, 5.25, 16.625]),
            (10, [4.541666666666667, 4.5, 9.85]),
        ];
        for (count, expected) in golden {
            let values = &VALUES[..count];
            assert_close(iqm(values), expected[0], 1e-12);
            assert_close(median(values), expected[1], 1e-12);
            assert_close(mean(values), expected[2], 1e-12);
        }
    }

    /// `[numpy.quantile(VALUES, share) for share in (0, 0.025, 0.1, 0.25, 0.9, 0.975, 1)]`
    #[test]
    fn quantiles_are_those_of_numpy() {
        let shares = [0.0, 0.025, 0.1, 0.25, 0.9, 0.975, 1.0];
        let golden = [
            -40.0,
            -31.225,
            -4.899999999999999,
            0.875,
            21.02499999999997,
            80.25625000000002,
            100.0,
        ];
        for (share, expected) in shares.into_iter().zip(golden) {
            assert_close(quantile(&VALUES, share), expected, 1e-12);
        }
    }

    fn three_seeds() -> Vec<Vec<f64>> {
        let timesteps = || (0..20).map(f64::from);
        vec![
            timesteps().map(|step| step.powf(1.5)).collect(),
            timesteps().map(|step| 50.0 + 10.0 * step.sin()).collect(),
            timesteps().map(|step| 3.0 * step - 5.0).collect(),
        ]
    }

    /// The interval of 200,000 resamples by NumPy; with 2,000 its ends scatter by 0.15 to 0.2:
    /// `s = [np.arange(20.)**1.5, 50+10*np.sin(np.arange(20.)), np.arange(20.)*3-5]`,
    /// `x = np.concatenate([a[rng.integers(0, 20, 20)] for a in s])`,
    /// `np.quantile([trim_mean(x, .25) …], [.025, .975])`, the same with `x.mean()`.
    #[test]
    fn the_stratified_bootstrap_is_that_of_numpy() {
        let found = aggregate(&three_seeds(), 1);
        assert_close(found.iqm, 38.028151267388665, 1e-9);
        assert_close(found.mean, 35.70344495335232, 1e-9);
        assert_close(found.median, 40.39839116728652, 1e-9);
        let ends = [found.low, found.high, found.mean_low, found.mean_high];
        let expected = [31.98207647, 43.38808901, 31.09678438, 40.42896492];
        for (found, expected) in ends.into_iter().zip(expected) {
            assert_close(found.expect("an interval"), expected, 0.8);
        }
        assert_eq!((found.episodes, found.seeds), (60, 3));
    }

    #[test]
    fn the_bootstrap_depends_on_its_seed_alone() {
        assert_eq!(aggregate(&three_seeds(), 7), aggregate(&three_seeds(), 7));
        assert_ne!(
            aggregate(&three_seeds(), 7).low,
            aggregate(&three_seeds(), 8).low
        );
    }

    /// Two normal samples: the interval of the difference of means is close to that of the textbook.
    #[test]
    fn a_difference_has_the_interval_of_two_independent_samples() {
        let sample = |n: u32, offset: f64| -> Vec<f64> {
            (0..n)
                .map(|i| offset + (f64::from(i) * 1.7).sin())
                .collect()
        };
        let (a, b) = (
            vec![sample(200, 0.0)],
            vec![sample(100, 0.3), sample(100, 0.3)],
        );
        let found = difference(&a, &b, mean, 4);
        assert_close(found.point, mean(&b.concat()) - mean(&a[0]), 1e-12);
        let [low, high] = found.ends.expect("an interval");
        let half = 1.96 * (2.0 * 0.5 / 200.0_f64).sqrt();
        assert_close(low, found.point - half, 0.02);
        assert_close(high, found.point + half, 0.02);
        let same = difference(&a, &a, mean, 4).ends.expect("an interval");
        assert!(same[0] < 0.0 && same[1] > 0.0);
        assert_eq!(difference(&a, &[vec![1.0]], mean, 4).ends, None);
        assert_eq!(difference(&[], &a, mean, 4).ends, None);
    }

    #[test]
    fn seeds_are_strata_so_that_a_difference_between_them_does_not_widen_the_interval() {
        let constant = aggregate(&[vec![0.0; 20], vec![100.0; 20]], 3);
        assert_eq!(
            (constant.mean_low, constant.mean, constant.mean_high),
            (Some(50.0), 50.0, Some(50.0))
        );
    }

    #[test]
    fn no_episodes_give_nan_and_one_episode_a_point_without_an_interval() {
        let nothing = aggregate(&[], 0);
        assert!(nothing.iqm.is_nan() && nothing.low.is_none() && nothing.median.is_nan());
        let one = aggregate(&[vec![3.0], vec![]], 0);
        assert_eq!((one.low, one.iqm, one.seeds), (None, 3.0, 1));
        assert_eq!(one.mean_interval(), None);
        let two = aggregate(&[vec![3.0], vec![5.0]], 0);
        assert_eq!(
            two.mean_interval(),
            None,
            "one episode of each of two seeds"
        );
        let four = aggregate(&[vec![3.0, 4.0], vec![5.0, 7.0]], 0);
        assert!(four.mean_interval().is_some_and(|[low, high]| low < high));
    }
}
