//! Two-dimensional shapes as targets: chains of Gaussians along moons or rings, from a standard normal prior.
//!
//! log r = K + log target(x) − log N(x; sampler's own marginal), so that log Z = K and the posterior is the target,
//! exactly and at every finite T.

use std::f64::consts::PI;
use std::sync::Arc;

use super::LinearGaussian;
use super::mixture::GaussianMixture;
use super::model::exact_model;
use super::problem::{Problem, Settings};
use crate::models::HostField;

/// Returns two interleaved half circles of radius `radius`, each of `count` Gaussians.
pub fn moons(radius: f64, std: f64, count: usize) -> GaussianMixture {
    let arc = |i: usize| PI * (i as f64 + 0.5) / count as f64;
    let upper = (0..count).map(|i| {
        let t = arc(i);
        vec![radius * (t.cos() - 0.5), radius * (t.sin() - 0.25)]
    });
    let lower = (0..count).map(|i| {
        let t = arc(i);
        vec![radius * (0.5 - t.cos()), radius * (0.25 - t.sin())]
    });
    even(upper.chain(lower).collect(), std)
}

/// Returns concentric rings, each of `count` Gaussians per unit of radius.
pub fn rings(radii: &[f64], std: f64, count: usize) -> GaussianMixture {
    let ring = |&radius: &f64| {
        let number = (count as f64 * radius).ceil() as usize;
        (0..number).map(move |i| {
            let t = 2.0 * PI * i as f64 / number as f64;
            vec![radius * t.cos(), radius * t.sin()]
        })
    };
    even(radii.iter().flat_map(ring).collect(), std)
}

fn even(means: Vec<Vec<f64>>, std: f64) -> GaussianMixture {
    GaussianMixture {
        weights: vec![1.0 / means.len() as f64; means.len()],
        means,
        std,
    }
}

/// Returns the problem that turns N(0, 1) in two dimensions into `target`, with log Z = `log_scale`.
///
/// `modes` are centres and exact masses to check, for instance two halves of the plane.
pub fn shape(
    name: &str,
    target: &GaussianMixture,
    log_scale: f64,
    modes: Vec<(Vec<f64>, f64)>,
    settings: Settings,
) -> Problem {
    let schedule = settings.schedule.clone();
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 0.0,
        c: 0.0,
        dim: 2,
    };
    let [mean, variance, _] = world.marginal(&schedule);
    let wide = |x: &[f32]| [f64::from(x[0]), f64::from(x[1])];
    let (of_reward, of_slope, of_samples) = (target.clone(), target.clone(), target.clone());
    let log_reward = move |x: [f64; 2]| {
        let square: f64 = x.iter().map(|v| (v - mean) * (v - mean)).sum();
        let prior = -0.5 * square / variance - (2.0 * PI * variance).ln();
        log_scale + of_reward.log_density(&x) - prior
    };
    let slope = move |x: [f64; 2]| -> [f32; 2] {
        let t = of_slope.score(&x);
        std::array::from_fn(|i| (t[i] + (x[i] - mean) / variance) as f32)
    };
    let exact: Arc<HostField> = world.denoiser(&schedule);
    Problem {
        name: name.into(),
        prior: exact_model([2, 0], schedule, exact, &settings),
        width: 1,
        draw: Arc::new(|rows, _| vec![0.0; rows]),
        conditions: vec![0.0],
        log_reward: Arc::new(move |x, _| x.chunks_exact(2).map(|x| log_reward(wide(x))).collect()),
        gradient: Arc::new(move |x, _| x.chunks_exact(2).flat_map(|x| slope(wide(x))).collect()),
        log_z: vec![log_scale],
        exact: Arc::new(move |_, count, noise| of_samples.sample(count, noise)),
        modes: vec![modes],
    }
}
