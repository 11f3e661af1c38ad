//! A Gaussian diffusion over a perceptron compiled to plain slices: weights packed once, the step's embedding folded into the first
//! bias, the condition's part of the first layer computed once for all steps, the guidance term and exact parts included.
//!
//! It samples, scores paths, and keeps what back-propagation needs while it samples ([`gradient`]): the gradient of on-policy
//! paths needs no second forward pass. Rows are cut into shards; a row's bytes depend neither on the other rows nor on
//! the number of threads, and gradients are added over shards whose number depends on the number of rows alone.
//!
//! The step's density is written here a second time, for speed. The first is that of the models, in tensors; their tests hold the
//! two together.

mod compiled;
mod gradient;
pub(crate) mod kept;
mod steps;
mod waves;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_tilt::noise::Noise;

use crate::parallel::for_each;

pub use compiled::{Diffusion, DiffusionStep, HostField, Keep, PathSampler};
use compiled::{Filled, MOST_ROWS_PER_SHARD};
pub use gradient::bytes_per_row;
use steps::Shard;

/// Rows of a shard, where gradients are kept.
const ROWS_PER_SHARD: usize = 32;

impl PathSampler {
    /// Returns samples [rows, dim] for conditions [rows, condition_dim].
    pub fn sample(&self, condition: &[f32], noise: &mut Noise) -> Vec<f32> {
        let mut paths = self.draw(condition, 1.0, noise, Keep::States);
        paths.states.pop().expect("a path has states")
    }

    /// Samples whole paths for conditions [rows, condition_dim], with every σ times `scale`.
    ///
    /// Returns T + 1 states, [rows, dim] each, and the scores [rows, T], unless only states are kept. To keep the gradient,
    /// `parameters` must be the tracked tensor whose values were compiled.
    pub fn paths(
        self: &Arc<Self>,
        condition: &[f32],
        scale: f64,
        noise: &mut Noise,
        keep: Keep,
        parameters: &Tensor<1>,
    ) -> (Vec<Vec<f32>>, Option<Tensor<2>>) {
        let paths = self.draw(condition, scale, noise, keep);
        let states = paths.states.clone();
        let scores =
            (keep != Keep::States).then(|| self.scores_of(paths, condition, 0, keep, parameters));
        (states, scores)
    }

    /// Returns the scores [paths, steps] of given paths: `states` of steps.start … steps.end, [paths, dim] each.
    pub fn scores(
        self: &Arc<Self>,
        states: Vec<Vec<f32>>,
        condition: &[f32],
        steps: Range<usize>,
        keep: Keep,
        parameters: &Tensor<1>,
    ) -> Tensor<2> {
        let first = steps.start;
        let paths = self.fill_paths(states, condition, steps, None, keep);
        self.scores_of(paths, condition, first, keep, parameters)
    }

    fn draw(&self, condition: &[f32], scale: f64, noise: &mut Noise, keep: Keep) -> Filled {
        let (dim, num_steps) = (self.diffusion.dim, self.diffusion.steps.len());
        let rows = condition.len() / self.diffusion.condition_columns();
        let mut states = vec![noise.normals(rows, dim)];
        // The noise of each step lies where the step's state will be.
        states.extend((0..num_steps).map(|_| noise.normals(rows, dim)));
        self.fill_paths(states, condition, 0..num_steps, Some(scale), keep)
    }

    /// Rows of a shard. Gradients are added over shards: there their number must depend on the number of rows alone.
    fn rows_per_shard(rows: usize, keep: Keep) -> usize {
        if keep == Keep::Gradient {
            return rows.div_ceil((rows / ROWS_PER_SHARD).clamp(1, 16)).max(1);
        }
        let share = rows.div_ceil(rayon::current_num_threads());
        let share = share.max(ROWS_PER_SHARD);
        share.div_ceil(share.div_ceil(MOST_ROWS_PER_SHARD))
    }

    /// Fills the states where a scale is given: each after the first holds the noise of its step. Else scores them as they are.
    fn fill_paths(
        &self,
        mut states: Vec<Vec<f32>>,
        condition: &[f32],
        steps: Range<usize>,
        scale: Option<f64>,
        keep: Keep,
    ) -> Filled {
        let (rows, count) = (states[0].len() / self.diffusion.dim, steps.len());
        let per_shard = Self::rows_per_shard(rows, keep);
        let scored = if keep == Keep::States { 0 } else { count };
        let mut scores = vec![0.0f32; rows * scored];
        let shards = rows.div_ceil(per_shard);
        let mut kept = Vec::new();
        if keep == Keep::Gradient {
            kept.resize_with(shards, || self.engine.shards().take());
        }
        let mut states_in: Vec<_> = states
            .iter_mut()
            .map(|s| s.chunks_mut(per_shard * self.diffusion.dim))
            .collect();
        let mut conditions = condition.chunks(per_shard * self.diffusion.condition_columns());
        let mut scores_in = scores.chunks_mut((per_shard * scored).max(1));
        let mut kept_in = kept.iter_mut();
        let jobs = (0..shards).map(|_| Shard {
            states: states_in.iter_mut().filter_map(Iterator::next).collect(),
            condition: conditions.next().unwrap_or_default(),
            steps: steps.clone(),
            scale: scale.map(|s| s as f32),
            scores: scores_in.next().unwrap_or_default(),
            kept: kept_in.next(),
        });
        for_each(jobs.collect(), |shard| self.run(shard));
        Filled {
            states,
            scores,
            kept,
            rows_per_shard: per_shard,
        }
    }
}
