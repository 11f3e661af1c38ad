//! The sampler's own marginal on a line, by quadrature: p_{k+1}(x') = ∫ N(x'; m_k(x), σ_k²) p_k(x) dx.
//!
//! The rectangle rule on a grid of step h converges like exp(−2π²(σ/h)²): with σ ≥ 2h it is exact to f64.

use crate::models::Schedule;

/// A density on an even grid.
#[derive(Clone, Debug)]
pub(crate) struct Marginal {
    /// First grid point.
    pub low: f64,
    /// Distance of grid points.
    pub step: f64,
    /// Density at each point.
    pub density: Vec<f64>,
}

impl Marginal {
    /// Returns the marginal of the sample of a chain on a line, from x_0 ~ N(0, 1).
    ///
    /// `mean(x, k)` is the mean of step k from x. The grid covers ±`reach` at half the smallest σ.
    pub(crate) fn of_chain(
        schedule: &Schedule,
        reach: f64,
        mean: impl Fn(f64, usize) -> f64,
    ) -> Self {
        let smallest = schedule.sigma.iter().copied().fold(f64::INFINITY, f64::min);
        let step = 0.5 * smallest;
        let points = (2.0 * reach / step).ceil() as usize + 1;
        let mut out = Self {
            low: -reach,
            step,
            density: Vec::new(),
        };
        let normal = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        out.density = (0..points).map(|i| normal(out.point(i))).collect();
        for k in 0..schedule.num_steps() {
            let sigma = schedule.sigma[k];
            let mut next = vec![0.0; points];
            for i in 0..points {
                let mass = out.density[i] * step;
                if mass < 1e-14 {
                    continue;
                }
                let centre = mean(out.point(i), k);
                let position = |x: f64| ((x + reach) / step).clamp(0.0, points as f64);
                let first = position(centre - 8.0 * sigma) as usize;
                let last = position(centre + 8.0 * sigma) as usize;
                for (j, slot) in next[first..last].iter_mut().enumerate() {
                    *slot += mass * normal((out.point(first + j) - centre) / sigma) / sigma;
                }
            }
            out.density = next;
        }
        out
    }

    /// Returns grid point i.
    pub(crate) fn point(&self, i: usize) -> f64 {
        self.low + self.step * i as f64
    }

    /// Returns the same density on every `factor`-th point.
    pub(crate) fn thinned(&self, factor: usize) -> Self {
        Self {
            low: self.low,
            step: self.step * factor as f64,
            density: self.density.iter().copied().step_by(factor).collect(),
        }
    }

    /// Returns (log ∫ p r dx, p r / Z at each grid point).
    pub(crate) fn tilted(&self, log_reward: impl Fn(f64) -> f64) -> (f64, Self) {
        let logs: Vec<f64> = (0..self.density.len())
            .map(|i| self.density[i].ln() + log_reward(self.point(i)))
            .collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut density: Vec<f64> = logs.iter().map(|l| (l - top).exp()).collect();
        let total = density.iter().sum::<f64>() * self.step;
        density.iter_mut().for_each(|d| *d /= total);
        (top + total.ln(), Self { density, ..*self })
    }

    /// Returns the mass of the points for which `inside` holds.
    pub(crate) fn mass(&self, inside: impl Fn(f64) -> bool) -> f64 {
        (0..self.density.len())
            .filter(|&i| inside(self.point(i)))
            .map(|i| self.density[i] * self.step)
            .sum()
    }

    /// Returns a sampler by inversion of the distribution function, uniform within a cell.
    pub(crate) fn sampler(&self) -> impl Fn(f64) -> f64 + Send + Sync + use<> {
        let mut sums: Vec<f64> = Vec::with_capacity(self.density.len());
        let mut total = 0.0;
        for d in &self.density {
            total += d * self.step;
            sums.push(total);
        }
        let (low, step) = (self.low, self.step);
        move |uniform: f64| {
            let target = uniform * total;
            let i = sums.partition_point(|s| *s <= target).min(sums.len() - 1);
            let before = if i > 0 { sums[i - 1] } else { 0.0 };
            let within = (target - before) / (sums[i] - before).max(f64::MIN_POSITIVE);
            low + step * (i as f64 + within - 0.5)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Prediction, ScheduleKind};
    use crate::worlds::LinearGaussian;

    /// Mean and variance.
    fn moments(p: &Marginal) -> [f64; 2] {
        let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
            (0..p.density.len())
                .map(|i| f(p.point(i)) * p.density[i] * p.step)
                .sum()
        };
        let mean = sum(&|x| x);
        [mean, sum(&|x| (x - mean) * (x - mean))]
    }

    #[test]
    fn quadrature_agrees_with_the_recursion_of_the_linear_gaussian_world() {
        let schedule =
            Schedule::new(ScheduleKind::Cosine, 8, Prediction::Epsilon).expect("memoryless");
        for (mean, std, b, c) in [(0.3, 0.8, 1.1, 0.4), (-0.6, 0.5, -2.0, 1.5)] {
            let world = LinearGaussian {
                mean,
                std,
                b,
                c,
                dim: 1,
            };
            let marginal = Marginal::of_chain(&schedule, 6.0, |x, k| {
                let [gain, offset] = world.transition(&schedule, k);
                gain * x + offset
            });
            let [m, v, _] = world.marginal(&schedule);
            let [mean, variance] = moments(&marginal);
            assert!((mean - m).abs() < 1e-8 && (variance - v).abs() < 1e-8);
            let (log_z, posterior) = marginal.tilted(|x| world.log_reward(x));
            let [expected, m, v] = world.posterior(&schedule);
            let [mean, variance] = moments(&posterior);
            assert!((log_z - expected).abs() < 1e-8);
            assert!((mean - m).abs() < 1e-8 && (variance - v).abs() < 1e-8);
        }
    }
}
