//! F2: mixtures of Gaussians with their exact denoiser, tilted by a Gaussian reward or by a ratio of densities.

use std::sync::Arc;

use super::grid::Marginal;
use super::model::exact_model;
use super::problem::{Mode, Problem, Settings, nearest};
use crate::agent::baselines::Tilt;
use crate::fast::HostField;
use crate::models::Schedule;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::log_mean_exp;

/// Σ w_k N(μ_k, s² I).
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    /// Weights, sum 1.
    pub weights: Vec<f64>,
    /// Mean of each component.
    pub means: Vec<Vec<f64>>,
    /// Standard deviation of every component and dimension.
    pub std: f64,
}

/// log r = K − ‖x − centre‖²/(2 width²).
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianReward {
    /// Where the reward is highest.
    pub centre: Vec<f64>,
    /// Distance from the centre at which it has fallen by ½ nat.
    pub width: f64,
    /// log of its height.
    pub log_scale: f64,
}

impl GaussianReward {
    /// Returns log r(x).
    pub(crate) fn log(&self, x: &[f64]) -> f64 {
        let pairs = x.iter().zip(&self.centre);
        let square: f64 = pairs.map(|(x, c)| (x - c) * (x - c)).sum();
        self.log_scale - 0.5 * square / (self.width * self.width)
    }
}

impl GaussianMixture {
    /// Puts Σ r_k μ_k into `centre`, r_k ∝ w_k N(x; √ᾱ μ_k, ᾱ s² + 1 − ᾱ), and returns the log of their sum.
    ///
    /// `work` holds the logs of the weights first; what follows them is overwritten.
    fn pull(&self, x: &[f64], level: f64, work: &mut [f64], centre: &mut [f64]) -> f64 {
        let variance = level * self.std * self.std + 1.0 - level;
        let (root, precision) = (level.sqrt(), -0.5 / variance);
        let count = self.weights.len();
        let mut top = f64::NEG_INFINITY;
        for (k, mean) in self.means.iter().enumerate() {
            let pairs = x.iter().zip(mean);
            let square: f64 = pairs.map(|(x, m)| (x - root * m) * (x - root * m)).sum();
            let log = work[k] + precision * square;
            work[count + k] = log;
            top = top.max(log);
        }
        centre.fill(0.0);
        let mut total = 0.0;
        for (mean, log) in self.means.iter().zip(&work[count..]) {
            // e^−45 is below the last bit of the sum.
            if *log > top - 45.0 {
                let share = (log - top).exp();
                total += share;
                centre
                    .iter_mut()
                    .zip(mean)
                    .for_each(|(c, m)| *c += share * m);
            }
        }
        centre.iter_mut().for_each(|c| *c /= total);
        let normalizer = 0.5 * x.len() as f64 * (2.0 * std::f64::consts::PI * variance).ln();
        top + total.ln() - normalizer
    }

    /// Returns what [`Self::pull`] works in.
    fn work(&self) -> Vec<f64> {
        let mut work: Vec<f64> = self.weights.iter().map(|w| w.ln()).collect();
        work.resize(2 * work.len(), 0.0);
        work
    }

    /// Returns log p(x).
    pub(crate) fn log_density(&self, x: &[f64]) -> f64 {
        self.pull(x, 1.0, &mut self.work(), &mut vec![0.0; x.len()])
    }

    /// Returns ∇ log p(x).
    pub(crate) fn score(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        self.pull(x, 1.0, &mut self.work(), &mut out);
        let variance = self.std * self.std;
        out.iter_mut()
            .zip(x)
            .for_each(|(c, x)| *c = (*c - x) / variance);
        out
    }

    /// Returns ε*(x, ᾱ) = √(1 − ᾱ)(x − √ᾱ Σ r_k μ_k)/(ᾱ s² + 1 − ᾱ), the exact denoiser.
    pub(crate) fn epsilon(&self, x: &[f64], level: f64) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        self.epsilon_into(x, level, &mut self.work(), &mut out);
        out
    }

    fn epsilon_into(&self, x: &[f64], level: f64, work: &mut [f64], out: &mut [f64]) {
        self.pull(x, level, work, out);
        let variance = level * self.std * self.std + 1.0 - level;
        let (scale, root) = ((1.0 - level).sqrt() / variance, level.sqrt());
        out.iter_mut()
            .zip(x)
            .for_each(|(c, x)| *c = scale * (x - root * *c));
    }

    /// Returns (log Z, posterior) for the DATA's density times the reward: weights ∝ w_k Z_k.
    pub(crate) fn tilted(&self, reward: &GaussianReward) -> (f64, Self) {
        let (prior, width) = (self.std * self.std, reward.width * reward.width);
        let variance = prior * width / (prior + width);
        let logs: Vec<f64> = self
            .means
            .iter()
            .zip(&self.weights)
            .map(|(mean, w)| {
                let pairs = mean.iter().zip(&reward.centre);
                let square: f64 = pairs.map(|(m, c)| (m - c).powi(2)).sum();
                let dim = mean.len() as f64;
                w.ln() - 0.5 * square / (prior + width) + 0.5 * dim * (width / (prior + width)).ln()
            })
            .collect();
        let log_sum = log_mean_exp(&logs) + (logs.len() as f64).ln();
        let blend = |m: f64, c: f64| variance * (m / prior + c / width);
        let means = self.means.iter().map(|mean| {
            let pairs = mean.iter().zip(&reward.centre);
            pairs.map(|(&m, &c)| blend(m, c)).collect()
        });
        let posterior = Self {
            weights: logs.iter().map(|l| (l - log_sum).exp()).collect(),
            means: means.collect(),
            std: variance.sqrt(),
        };
        (reward.log_scale + log_sum, posterior)
    }

    /// Returns samples [count, dim].
    pub(crate) fn sample(&self, count: usize, noise: &mut Noise) -> Vec<f64> {
        let mut out = Vec::new();
        for _ in 0..count {
            let mut left = noise.uniform();
            let drawn = self.weights.iter().position(|w| {
                left -= w;
                left < 0.0
            });
            let mean = &self.means[drawn.unwrap_or(self.means.len() - 1)];
            let z = noise.normals(1, mean.len());
            out.extend(mean.iter().zip(z).map(|(m, z)| m + self.std * f64::from(z)));
        }
        out
    }

    /// Returns the exact denoiser of rows.
    pub(crate) fn denoiser(&self, schedule: &Schedule) -> Arc<HostField> {
        let (mixture, levels) = (self.clone(), schedule.alpha_bar.clone());
        let dim = mixture.means[0].len();
        Arc::new(move |x: &[f32], steps: &[usize], _: &[f32]| {
            let (mut work, mut point, mut found) = (mixture.work(), vec![0.0; dim], vec![0.0; dim]);
            let mut out = Vec::with_capacity(x.len());
            for (row, &k) in x.chunks_exact(dim).zip(steps) {
                point
                    .iter_mut()
                    .zip(row)
                    .for_each(|(w, v)| *w = f64::from(*v));
                mixture.epsilon_into(&point, levels[levels.len() - 1 - k], &mut work, &mut found);
                out.extend(found.iter().map(|&v| v as f32));
            }
            out
        })
    }

    /// Returns the sampler's own marginal at finite T; the mixture must be on a line.
    pub(crate) fn marginal(&self, schedule: &Schedule) -> Marginal {
        assert_eq!(self.means[0].len(), 1, "quadrature is for a line");
        Marginal::of_chain(schedule, 6.0, |x, k| {
            let [a, b] = schedule.coefficients(k);
            let level = schedule.alpha_bar[schedule.num_steps() - k];
            a * x + b * self.epsilon(&[x], level)[0]
        })
    }
}

/// Returns the problem of a mixture on a line under a Gaussian reward.
pub fn line(
    name: &str,
    mixture: &GaussianMixture,
    reward: &GaussianReward,
    settings: Settings,
) -> Problem {
    let schedule = settings.schedule.clone();
    let (log_z, posterior) = mixture.marginal(&schedule).tilted(|x| reward.log(&[x]));
    let (_, of_data) = mixture.tilted(reward);
    let centres: Vec<&[f64]> = of_data.means.iter().map(Vec::as_slice).collect();
    let owner = |x: f64| nearest(centres.iter().copied(), &[x]);
    let modes = (0..centres.len())
        .map(|i| Mode::new(centres[i].to_vec(), posterior.mass(|x| owner(x) == i)))
        .collect();
    let invert = posterior.sampler();
    let model = exact_model(
        [1, 0],
        schedule.clone(),
        mixture.denoiser(&schedule),
        &settings,
    );
    let (r, g) = (reward.clone(), reward.clone());
    Problem {
        name: name.into(),
        tilt: Tilt {
            prior: model,
            log_reward: Arc::new(move |x, _| x.iter().map(|&x| r.log(&[f64::from(x)])).collect()),
            gradient: Arc::new(move |x, _| {
                let slope = |x: f32| (g.centre[0] - f64::from(x)) / (g.width * g.width);
                x.iter().map(|&x| slope(x) as f32).collect()
            }),
        },
        width: 1,
        draw: Arc::new(|rows, _| vec![0.0; rows]),
        conditions: vec![0.0],
        log_z: vec![log_z],
        exact: Arc::new(move |_, count, noise| {
            (0..count).map(|_| invert(noise.uniform())).collect()
        }),
        modes: vec![modes],
    }
}

/// Returns the problem of a square grid of equal modes tilted to `target`: log r = K + log target − log prior.
///
/// The prior has a mode of standard deviation `std` at every pair of `ticks`. It is a product of two mixtures on a
/// line, so its sampler's marginal is a product too and the posterior is exact by quadrature in two dimensions.
pub fn square(
    name: &str,
    ticks: &[f64],
    std: f64,
    target: &GaussianMixture,
    log_scale: f64,
    settings: Settings,
) -> Problem {
    let schedule = settings.schedule.clone();
    let axis = GaussianMixture {
        weights: vec![1.0 / ticks.len() as f64; ticks.len()],
        means: ticks.iter().map(|&t| vec![t]).collect(),
        std,
    };
    let reward = {
        let (axis, target) = (axis.clone(), target.clone());
        move |x: &[f64]| {
            let prior = axis.log_density(&x[..1]) + axis.log_density(&x[1..]);
            log_scale + target.log_density(x) - prior
        }
    };
    let grid = axis.marginal(&schedule).thinned(4);
    let (log_z, cells) = tilted_square(&grid, &reward);
    let mut masses = vec![0.0; target.means.len()];
    for (i, share) in cells.iter().enumerate() {
        let x = [
            grid.point(i / grid.density.len()),
            grid.point(i % grid.density.len()),
        ];
        masses[nearest(target.means.iter().map(Vec::as_slice), &x)] += share;
    }
    let line = axis.denoiser(&schedule);
    let exact: Arc<HostField> = Arc::new(move |x: &[f32], steps: &[usize], c: &[f32]| {
        let twice: Vec<usize> = steps.iter().flat_map(|&k| [k, k]).collect();
        line(x, &twice, c)
    });
    let at = |x: &[f32]| [f64::from(x[0]), f64::from(x[1])];
    let slope = {
        let target = target.clone();
        move |x: [f64; 2]| -> [f32; 2] {
            let t = target.score(&x);
            std::array::from_fn(|i| (t[i] - axis.score(&x[i..=i])[0]) as f32)
        }
    };
    Problem {
        name: name.into(),
        tilt: Tilt {
            prior: exact_model([2, 0], schedule, exact, &settings),
            log_reward: Arc::new(move |x, _| x.chunks_exact(2).map(|x| reward(&at(x))).collect()),
            gradient: Arc::new(move |x, _| x.chunks_exact(2).flat_map(|x| slope(at(x))).collect()),
        },
        width: 1,
        draw: Arc::new(|rows, _| vec![0.0; rows]),
        conditions: vec![0.0],
        log_z: vec![log_z],
        exact: square_sampler(grid, &cells),
        modes: vec![Mode::all(&target.means, &masses)],
    }
}

/// Returns (log Z, mass of each cell) of p(x) p(y) r(x, y) on the square of a grid.
fn tilted_square(grid: &Marginal, log_reward: &impl Fn(&[f64]) -> f64) -> (f64, Vec<f64>) {
    let points = grid.density.len();
    let logs: Vec<f64> = (0..points * points)
        .map(|cell| {
            let (i, j) = (cell / points, cell % points);
            let density = grid.density[i] * grid.density[j];
            if density < 1e-16 {
                return f64::NEG_INFINITY;
            }
            density.ln() + log_reward(&[grid.point(i), grid.point(j)])
        })
        .collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut cells: Vec<f64> = logs.iter().map(|l| (l - top).exp()).collect();
    let total: f64 = cells.iter().sum();
    cells.iter_mut().for_each(|c| *c /= total);
    (top + (total * grid.step * grid.step).ln(), cells)
}

/// Samples cells by inversion, uniform within a cell.
fn square_sampler(grid: Marginal, cells: &[f64]) -> Arc<super::problem::ExactSamples> {
    let mut total = 0.0;
    let sums: Vec<f64> = cells
        .iter()
        .map(|c| {
            total += c;
            total
        })
        .collect();
    let points = grid.density.len();
    Arc::new(move |_, count, noise| {
        let mut out = Vec::with_capacity(2 * count);
        for _ in 0..count {
            let target = noise.uniform() * total;
            let cell = sums.partition_point(|s| *s <= target).min(sums.len() - 1);
            for index in [cell / points, cell % points] {
                out.push(grid.point(index) + grid.step * (noise.uniform() - 0.5));
            }
        }
        out
    })
}
