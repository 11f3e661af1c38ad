//! How long a policy takes to act: for all episodes at once, and for one observation alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ndarray::{Array2, ArrayView2, s};
use tiltrl_envs::{EnvBatch, EnvOptions};
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::error::Error;
use crate::stats::median;

/// A policy whose time is taken.
pub struct Timed<'a> {
    /// The policy whose actions are timed.
    pub policy: &'a dyn Policy,
    /// How long it has acted.
    pub nanoseconds: AtomicU64,
}

impl Policy for Timed<'_> {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let clock = Instant::now();
        let actions = self.policy.act(observations, noise);
        let passed = clock.elapsed().as_nanos() as u64;
        self.nanoseconds.fetch_add(passed, Ordering::Relaxed);
        actions
    }
}

/// Returns the median milliseconds of one action at the first observation of an episode.
///
/// # Errors
/// When the environment cannot be made.
pub fn alone(policy: &dyn Policy, env: &str, options: &EnvOptions) -> Result<f64, Error> {
    const REPETITIONS: usize = 40;
    let mut batch = EnvBatch::new(env, options, 1)?;
    let mut observation = vec![0.0f32; batch.spec().observation_dim];
    batch.reset(&[0], &[1], &mut observation);
    let view = ArrayView2::from_shape((1, observation.len()), &observation).expect("one row");
    let mut noise = Noise::keyed(1, "alone", 0);
    let mut once = |_| {
        let clock = Instant::now();
        policy.act(view.slice(s![.., ..]), &mut noise);
        clock.elapsed().as_secs_f64() * 1e3
    };
    (0..5).for_each(|i| {
        once(i);
    });
    let times: Vec<f64> = (0..REPETITIONS).map(once).collect();
    Ok(median(&times))
}
