//! Two-dimensional shapes as targets, from a standard normal prior.
//!
//! log r = K + log target(x) − log N(x; sampler's own marginal), so that log Z = K and the posterior is the target,
//! exactly and at every finite T.

use std::f64::consts::PI;
use std::sync::Arc;

use super::LinearGaussian;
use super::mixture::GaussianMixture;
use super::model::exact_model;
use super::problem::{Mode, Problem, Settings};
use crate::agent::baselines::Tilt;
use crate::fast::HostField;

/// Returns the problem that turns N(0, 1) in two dimensions into `target`, with log Z = `log_scale`.
///
/// `modes` are to be checked, for instance two halves of the plane.
pub fn shape(
    name: &str,
    target: &GaussianMixture,
    log_scale: f64,
    modes: Vec<Mode>,
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
    let to_f64 = |x: &[f32]| [f64::from(x[0]), f64::from(x[1])];
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
        tilt: Tilt {
            prior: exact_model([2, 0], schedule, exact, &settings),
            log_reward: Arc::new(move |x, _| {
                x.chunks_exact(2).map(|x| log_reward(to_f64(x))).collect()
            }),
            gradient: Arc::new(move |x, _| {
                x.chunks_exact(2).flat_map(|x| slope(to_f64(x))).collect()
            }),
        },
        width: 1,
        draw: Arc::new(|rows, _| vec![0.0; rows]),
        conditions: vec![0.0],
        log_z: vec![log_scale],
        exact: Arc::new(move |_, count, noise| of_samples.sample(count, noise)),
        modes: vec![modes],
    }
}
