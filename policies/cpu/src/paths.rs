//! A Gaussian diffusion over a perceptron compiled to plain slices: weights packed once, the step's embedding folded into the first
//! bias, the condition's part of the first layer computed once for all steps, the guidance term included.
//!
//! It samples, scores paths, and keeps what back-propagation needs while it samples ([`gradient`]): the gradient of on-policy
//! paths needs no second forward pass. Rows are cut into shards; a row's bytes depend neither on the other rows nor on
//! the number of threads, and gradients are added over shards whose number depends on the number of rows alone.
//!
//! The step's density is written here a second time, for speed. The first is that of the models, in tensors; their tests hold the
//! two together.

mod gradient;
mod steps;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_tilt::noise::Noise;

use crate::engine::Engine;
use crate::host::HostVector;
use crate::mlp::MlpSpec;
use crate::parallel::for_each;
use crate::product::{Layout, Packed};
use crate::train::Packing;

pub use gradient::bytes_per_row;
pub(crate) use steps::KeptShard;
use steps::Shard;

const ROWS_PER_SHARD: usize = 32;
const MOST_ROWS_PER_SHARD: usize = 128;

/// ∇ log r of states [rows, dim] at the step of each row under conditions [rows, c], [rows, dim].
pub type Guidance = dyn Fn(&[f32], &[usize], &[f32]) -> Vec<f32> + Send + Sync;

/// One step x_{k+1} = state · x_k + output · out + σ z of a diffusion.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusionStep {
    /// Factor of x_k in the mean.
    pub state: f32,
    /// Factor of the network's first outputs in the mean.
    pub output: f32,
    /// Standard deviation σ.
    pub sigma: f32,
    /// What the network sees of the step.
    pub embedding: Vec<f32>,
}

/// A Gaussian diffusion over a perceptron whose input is [state, embedding of the step, condition].
///
/// The outputs are `dim` for the mean, then `dim` offsets of log σ if the variance is learned, then one scale of the guidance term
/// if there is one.
#[derive(Clone)]
pub struct Diffusion {
    /// Width of a state.
    pub dim: usize,
    /// Width of a condition, at least 1.
    pub condition_dim: usize,
    /// Steps, from noise to sample.
    pub steps: Vec<DiffusionStep>,
    /// c where σ of a step is σ_k exp(c tanh(o / c)); none where variances are fixed.
    pub log_sigma_limit: Option<f32>,
    /// The guidance term, scaled by the network and by σ_k.
    pub guidance: Option<Arc<Guidance>>,
}

/// The compiled form of a diffusion with one set of parameters.
pub struct PathSampler {
    engine: Engine,
    parameters: HostVector,
    spec: Arc<MlpSpec>,
    diffusion: Diffusion,
    state_weight: Packed,
    condition_weight: Packed,
    /// Bias of the first layer at each step.
    biases: Vec<Vec<f32>>,
    /// The layers after the first, and where their parameters start.
    rest: Packing,
    rest_start: usize,
}

/// Paths of a compiled diffusion.
struct Paths {
    /// States of the first step … after the last, [paths, dim] each.
    states: Vec<Vec<f32>>,
    /// log-probabilities of the steps [paths, steps]; empty when not asked for.
    scores: Vec<f32>,
    /// What back-propagation needs, by shard; empty when not asked for.
    kept: Vec<KeptShard>,
    rows_per_shard: usize,
}

/// What is kept of paths besides their states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    States,
    /// Scores.
    Scores,
    /// Scores, and what back-propagation needs.
    Gradient,
}

impl PathSampler {
    /// Compiles a diffusion; `None` when its parameters are not on the CPU backend, or the shapes do not fit.
    pub fn new(
        engine: &Engine,
        spec: &Arc<MlpSpec>,
        parameters: &Tensor<1>,
        diffusion: Diffusion,
    ) -> Option<Self> {
        let parameters = HostVector::share(&parameters.clone().without_autodiff())?;
        let embedding = diffusion.steps.first()?.embedding.len();
        let (dim, layers) = (diffusion.dim, spec.layers());
        let first = layers[0];
        let [inputs, width] = first.shape;
        let variances = if diffusion.log_sigma_limit.is_some() {
            dim
        } else {
            0
        };
        let outputs = dim + variances + usize::from(diffusion.guidance.is_some());
        let fits = diffusion.condition_dim > 0
            && spec.sizes.len() > 2
            && spec.outputs() == outputs
            && inputs == dim + embedding + diffusion.condition_dim;
        if !fits {
            return None;
        }
        let weight = &parameters.values()[first.weight..first.bias];
        let (state, others) = weight.split_at(dim * width);
        let (embedded, condition) = others.split_at(embedding * width);
        let bias = &parameters.values()[first.bias..first.bias + width];
        let biases = diffusion.steps.iter().map(|step| {
            let mut sums = bias.to_vec();
            let rows = embedded.chunks_exact(width);
            for (value, row) in step.embedding.iter().zip(rows) {
                for (sum, w) in sums.iter_mut().zip(row) {
                    *sum += value * w;
                }
            }
            sums
        });
        let arithmetic = engine.arithmetic();
        let mut rest = Packing::new(
            arithmetic,
            &MlpSpec {
                sizes: spec.sizes[1..].to_vec(),
                ..(**spec).clone()
            },
        );
        rest.pack(&parameters.values()[first.end..], false);
        let columns = diffusion.condition_dim;
        Some(Self {
            engine: engine.clone(),
            state_weight: Packed::new(arithmetic, [dim, width], (state, Layout::Plain)),
            condition_weight: Packed::new(arithmetic, [columns, width], (condition, Layout::Plain)),
            biases: biases.collect(),
            rest,
            rest_start: first.end,
            parameters,
            spec: spec.clone(),
            diffusion,
        })
    }

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
        (keep, parameters): (Keep, &Tensor<1>),
    ) -> (Vec<Vec<f32>>, Option<Tensor<2>>) {
        let paths = self.draw(condition, scale, noise, keep);
        let states = paths.states.clone();
        let scores =
            (keep != Keep::States).then(|| self.scores_of(paths, condition, 0, (keep, parameters)));
        (states, scores)
    }

    /// Returns the scores [paths, steps] of given paths: `states` of steps.start … steps.end, [paths, dim] each.
    pub fn scores(
        self: &Arc<Self>,
        states: Vec<Vec<f32>>,
        condition: &[f32],
        steps: Range<usize>,
        (keep, parameters): (Keep, &Tensor<1>),
    ) -> Tensor<2> {
        let first = steps.start;
        let paths = self.walk(states, condition, steps, None, keep);
        self.scores_of(paths, condition, first, (keep, parameters))
    }

    fn draw(&self, condition: &[f32], scale: f64, noise: &mut Noise, keep: Keep) -> Paths {
        let (dim, num_steps) = (self.diffusion.dim, self.diffusion.steps.len());
        let rows = condition.len() / self.diffusion.condition_dim;
        let mut states = vec![noise.normals(rows, dim)];
        // The noise of each step lies where the step's state will be.
        states.extend((0..num_steps).map(|_| noise.normals(rows, dim)));
        self.walk(states, condition, 0..num_steps, Some(scale), keep)
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

    fn walk(
        &self,
        mut states: Vec<Vec<f32>>,
        condition: &[f32],
        steps: Range<usize>,
        scale: Option<f64>,
        keep: Keep,
    ) -> Paths {
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
        let mut conditions = condition.chunks(per_shard * self.diffusion.condition_dim);
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
        Paths {
            states,
            scores,
            kept,
            rows_per_shard: per_shard,
        }
    }
}
