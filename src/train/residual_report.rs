//! Where the residual of a posterior comes from: which states, steps, actions.
//!
//! ℓ = log r + log p − log q of a path of q has the mean of its state where q is exact. Its variance is split exactly over the
//! steps: M_k = E[ℓ | x_0 … x_k] is a martingale, and Var M_k is the covariance of ℓ over pairs of paths that share x_0 … x_k.

use burn::tensor::Tensor;
use serde::Serialize;
use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::models::{GaussianDiffusion, GaussianPath, Moments};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::effective_share;
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Batched, SequentialModel};

use super::training_data::TrainingData;

/// Shares of the residual's variance within states.
#[derive(Clone, Debug, Serialize)]
pub struct ResidualReport {
    /// States and paths per state.
    pub shape: [usize; 2],
    /// Mean over states of the variance of ℓ, nats².
    pub variance: f64,
    /// Share fixed by x_0, then share added by each step.
    pub steps: Vec<f64>,
    /// Variance that the last step adds at a fixed x_{T−1}: as it is, and with the best Gaussian in its place, nats².
    pub last_step: [f64; 2],
    /// Share that a quadratic in each action dimension explains, state by state (adjusted R²), then one in all of them.
    pub dimensions: Vec<f64>,
    /// Share of the paths whose reward is among the lowest tenth of their state.
    pub lowest_rewards: f64,
    /// Share of the states, sorted by ESS/N of the rewards under the prior, in fifths from the lowest.
    pub fifths: Vec<f64>,
    /// Median ESS/N under q in the same fifths.
    pub ess_of_fifths: Vec<f64>,
}

/// What is taken apart.
struct Subject<'a> {
    tilt: &'a Tilt,
    posterior: &'a GaussianDiffusion,
    condition: Tensor<2>,
    paths: usize,
}

impl Subject<'_> {
    /// Goes on from states x_0 … x_k.
    fn finish(&self, mut states: Vec<Tensor<2>>, noise: &mut Noise) -> GaussianPath {
        for k in states.len() - 1..self.posterior.num_steps() {
            let Moments { mean, std } = self.posterior.step_moments(&states[k], k, &self.condition);
            let next = drawn(&mean, &std, self.posterior.dim(), noise);
            states.push(matrix(next, self.posterior.dim(), &self.condition.device()));
        }
        GaussianPath {
            states,
            condition: self.condition.clone(),
        }
    }

    /// ℓ of each path and its log-reward.
    fn log_weights(&self, path: &GaussianPath) -> (Vec<f64>, Vec<f64>) {
        let value = |sample: &Tensor<2>, c: &Tensor<2>| self.tilt.log_reward_of(sample, c);
        let reward = Reward {
            value: &value,
            alpha: 1.0,
        };
        let rows = Paths {
            condition: &self.condition,
            path,
        };
        let scores = score(
            self.posterior,
            &self.tilt.prior,
            reward,
            rows,
            Known::default(),
        );
        (scores.log_weights(), scores.log_reward)
    }

    /// Var M_k for k = 0 … T − 1 from one pair of paths each, averaged over states.
    fn prefixes(&self, path: &GaussianPath, l: &[f64], noise: &mut Noise) -> Vec<f64> {
        let covariance = |k: usize| {
            let other = self.finish(path.states[..=k].to_vec(), noise);
            covariance(l, &self.log_weights(&other).0, self.paths)
        };
        (0..self.posterior.num_steps()).map(covariance).collect()
    }

    /// [variance added by the last step at fixed x_{T−1}, the same with the best Gaussian], averaged over rows.
    fn last_step(&self, path: &GaussianPath, noise: &mut Noise) -> [f64; 2] {
        let (k, dim) = (self.posterior.num_steps() - 1, self.posterior.dim());
        let Moments { mean, std } =
            self.posterior
                .step_moments(&path.states[k], k, &self.condition);
        let own = self.spread(path, (&mean, &std), noise);
        // Moments of p · r at each row, by weighted draws of q; twice, so that the second draws lie where the mass is.
        let best = self.fitted(&own, (&mean, &std));
        let again = self.spread(path, (&best.0, &best.1), noise);
        let best = self.fitted(&again, (&best.0, &best.1));
        let last = self.spread(path, (&best.0, &best.1), noise);
        let rows = mean.len() / dim;
        let average = |draws: &[Draw]| {
            let of_row = |row: usize| {
                let l: Vec<f64> = draws.iter().map(|d| d.log_weights[row]).collect();
                variance(&l)
            };
            (0..rows).map(of_row).sum::<f64>() / rows as f64
        };
        [average(&own), average(&last)]
    }

    /// Draws of the last step from Gaussians, with log r + log p − log of the Gaussian of each row.
    fn spread(
        &self,
        path: &GaussianPath,
        (mean, std): (&[f64], &[f64]),
        noise: &mut Noise,
    ) -> Vec<Draw> {
        let (k, dim) = (self.posterior.num_steps() - 1, self.posterior.dim());
        let prior = &self.tilt.prior;
        let prior = prior.step_moments(&path.states[k], k, &self.condition);
        let own = Moments {
            mean: mean.to_vec(),
            std: std.to_vec(),
        };
        (0..DRAWS)
            .map(|_| {
                let x = drawn(mean, std, dim, noise);
                let reward = (self.tilt.log_reward)(&x, &host(self.condition.clone()));
                let pairs = prior.log_density(&x, dim).into_iter();
                let pairs = pairs.zip(own.log_density(&x, dim));
                let rows = reward.iter().zip(pairs);
                let log_weights = rows.map(|(r, (p, own))| r + p - own).collect();
                Draw { x, log_weights }
            })
            .collect()
    }

    /// Weighted mean and standard deviation of the draws of each row; the deviation stays within a factor 4.
    fn fitted(&self, draws: &[Draw], (_, std): (&[f64], &[f64])) -> (Vec<f64>, Vec<f64>) {
        let dim = self.posterior.dim();
        let (mut means, mut stds) = (Vec::new(), Vec::new());
        for row in 0..std.len() / dim {
            let top = draws.iter().map(|d| d.log_weights[row]);
            let top = top.fold(f64::NEG_INFINITY, f64::max);
            let weight = |d: &Draw| (d.log_weights[row] - top).exp();
            let total: f64 = draws.iter().map(weight).sum();
            for at in row * dim..(row + 1) * dim {
                let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
                    let terms = draws.iter().map(|d| weight(d) * f(f64::from(d.x[at])));
                    terms.sum::<f64>() / total
                };
                let mean = sum(&|x| x);
                let deviation = sum(&|x| (x - mean) * (x - mean)).sqrt();
                means.push(mean);
                stds.push(deviation.clamp(0.25 * std[at], 4.0 * std[at]));
            }
        }
        (means, stds)
    }
}

/// Draws of the last step per row.
const DRAWS: usize = 64;

/// One draw of the last step for every row.
struct Draw {
    x: Vec<f32>,
    log_weights: Vec<f64>,
}

fn drawn(mean: &[f64], std: &[f64], dim: usize, noise: &mut Noise) -> Vec<f32> {
    let z = noise.normals(mean.len() / dim, dim);
    let moments = mean.iter().zip(std).zip(z);
    moments
        .map(|((m, s), z)| (m + s * f64::from(z)) as f32)
        .collect()
}

/// Takes a posterior apart at `states` states of the data with `paths` paths each.
pub fn residual_report(
    tilt: &Tilt,
    posterior: &GaussianDiffusion,
    data: &TrainingData,
    seed: u64,
    [states, paths]: [usize; 2],
) -> ResidualReport {
    let mut noise = Noise::keyed(seed, "residuals", 0);
    let rows = noise.indices(states, data.len());
    let device = tilt.prior.device();
    let observations = matrix(data.observations(&rows), data.widths()[0], &device);
    let subject = Subject {
        tilt,
        posterior,
        condition: observations.repeated(paths),
        paths,
    };
    let path = posterior.sample_path(&subject.condition, &mut noise).path;
    let (l, reward) = subject.log_weights(&path);
    let variance = covariance(&l, &l, paths);
    let mut prefixes = subject.prefixes(&path, &l, &mut noise);
    prefixes.push(variance);
    let mut before = 0.0;
    let steps = prefixes.iter().map(|v| {
        let own = (v - before) / variance;
        before = *v;
        own
    });
    let steps = steps.collect();
    let under_prior = tilt.prior.sample(&subject.condition, &mut noise);
    let prior_rewards = tilt.log_reward_of(&under_prior, &subject.condition);
    let (fifths, ess_of_fifths) = by_prior_ess(&l, &prior_rewards, paths);
    ResidualReport {
        shape: [states, paths],
        variance,
        steps,
        last_step: subject.last_step(&path, &mut noise),
        dimensions: by_dimension(
            &l,
            &host(posterior.sample_of(&path)),
            posterior.dim(),
            paths,
        ),
        lowest_rewards: lowest(&l, &reward, paths),
        fifths,
        ess_of_fifths,
    }
}

/// Mean over groups of the covariance within a group.
fn covariance(a: &[f64], b: &[f64], group: usize) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let groups = a.chunks_exact(group).zip(b.chunks_exact(group));
    let of_group = groups.map(|(a, b)| {
        let (ma, mb) = (mean(a), mean(b));
        let products = a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb));
        products.sum::<f64>() / (group - 1) as f64
    });
    of_group.sum::<f64>() / (a.len() / group) as f64
}

fn variance(values: &[f64]) -> f64 {
    covariance(values, values, values.len())
}

/// Shares of the variance and median ESS/N by fifths of the states, sorted by the rewards' own ESS/N.
fn by_prior_ess(l: &[f64], prior_rewards: &[f64], paths: usize) -> (Vec<f64>, Vec<f64>) {
    let groups = l.chunks_exact(paths).zip(prior_rewards.chunks_exact(paths));
    let mut states: Vec<[f64; 3]> = groups
        .map(|(l, r)| [effective_share(r), variance(l), effective_share(l)])
        .collect();
    states.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let total: f64 = states.iter().map(|s| s[1]).sum();
    let fifths = states.chunks(states.len().div_ceil(5));
    fifths
        .map(|part| {
            let share = part.iter().map(|s| s[1]).sum::<f64>() / total;
            let ess: Vec<f64> = part.iter().map(|s| s[2]).collect();
            (share, crate::stats::median(&ess))
        })
        .unzip()
}

/// Share of Σ (ℓ − mean)² that belongs to the paths with the lowest tenth of rewards in their state.
fn lowest(l: &[f64], reward: &[f64], paths: usize) -> f64 {
    let (mut low, mut all) = (0.0, 0.0);
    for (l, r) in l.chunks_exact(paths).zip(reward.chunks_exact(paths)) {
        let limit = crate::stats::quantile(r, 0.1);
        let mean = crate::stats::mean(l);
        for (l, r) in l.iter().zip(r) {
            let square = (l - mean).powi(2);
            all += square;
            low += if *r <= limit { square } else { 0.0 };
        }
    }
    low / all
}

/// Adjusted R² of ℓ on (x_i, x_i²) state by state, weighted by variance: each dimension alone, then all together.
fn by_dimension(l: &[f64], samples: &[f32], dim: usize, paths: usize) -> Vec<f64> {
    let subsets = (0..dim).map(|i| vec![i]).chain([(0..dim).collect()]);
    subsets
        .map(|chosen: Vec<usize>| {
            let (mut left, mut all) = (0.0, 0.0);
            let groups = l.chunks_exact(paths).zip(samples.chunks_exact(paths * dim));
            for (l, x) in groups {
                let columns: Vec<Vec<f64>> = chosen
                    .iter()
                    .flat_map(|&i| {
                        let own = x.iter().skip(i).step_by(dim).map(|&v| f64::from(v));
                        let own: Vec<f64> = own.collect();
                        let squares = own.iter().map(|v| v * v).collect();
                        [own, squares]
                    })
                    .collect();
                let free = (paths - 1 - columns.len()).max(1) as f64;
                left += unexplained(l, columns) / free;
                all += variance(l);
            }
            1.0 - left / all
        })
        .collect()
}

/// Sum of squares of `target` that no linear combination of the columns and a constant explains (Gram–Schmidt).
fn unexplained(target: &[f64], columns: Vec<Vec<f64>>) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let reduce = |mut v: Vec<f64>, basis: &[Vec<f64>]| {
        for b in basis {
            let along = dot(&v, b);
            v.iter_mut().zip(b).for_each(|(v, b)| *v -= along * b);
        }
        v
    };
    for column in std::iter::once(vec![1.0; target.len()]).chain(columns) {
        let size = dot(&column, &column).sqrt();
        let rest = reduce(column, &basis);
        let norm = dot(&rest, &rest).sqrt();
        if norm > 1e-9 * size {
            basis.push(rest.iter().map(|v| v / norm).collect());
        }
    }
    let rest = reduce(target.to_vec(), &basis);
    dot(&rest, &rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_in_one_dimension_is_found_there() {
        let (paths, dim) = (200, 2);
        let x = Noise::keyed(1, "residuals-test", 0).normals(paths, dim);
        let l: Vec<f64> = x
            .chunks_exact(2)
            .map(|x| f64::from(x[1]) - 2.0 * f64::from(x[1] * x[1]))
            .collect();
        let found = by_dimension(&l, &x, dim, paths);
        assert!(found[0].abs() < 0.1, "{found:?}");
        assert!(found[1] > 0.999 && found[2] > 0.999, "{found:?}");
    }

    #[test]
    fn covariance_within_groups_ignores_what_differs_between_them() {
        let a = [1.0, 2.0, 3.0, 101.0, 102.0, 103.0];
        assert!((covariance(&a, &a, 3) - 1.0).abs() < 1e-12);
        let reversed = [3.0, 2.0, 1.0, 3.0, 2.0, 1.0];
        assert!((covariance(&a, &reversed, 3) + 1.0).abs() < 1e-12);
    }
}
