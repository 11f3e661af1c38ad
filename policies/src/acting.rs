//! A diffusion policy compiled to plain slices: weights packed once, the step's embedding folded into the first bias, the
//! observation's part of the first layer computed once for all steps, the critic's guidance term included.
//!
//! It samples, scores paths, and keeps what back-propagation needs while it samples ([`tape`]): the gradient of on-policy
//! paths needs no second forward pass. Rows are cut into shards; a row's bytes depend neither on the other rows nor on
//! the number of threads, and gradients are added over shards whose number depends on the number of rows alone.

pub mod tape;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::gaussian::{EMBEDDING, GaussianDiffusion, Kernel, embedding};
use crate::kernels::host::HostVector;
use crate::kernels::mlp::MlpSpec;
use crate::kernels::parallel::for_each;
use crate::kernels::product::{Layout, Packed};
use crate::kernels::train::Packing;
use crate::noise::Noise;
use crate::schedule::Schedule;

use walk::{KeptShard, Shard};

const ROWS_PER_SHARD: usize = 32;
const MOST_ROWS_PER_SHARD: usize = 128;

/// A sampler of one set of parameters of a [`GaussianDiffusion`].
pub struct FrozenPolicy {
    parameters: HostVector,
    schedule: Arc<Schedule>,
    spec: Arc<MlpSpec>,
    dim: usize,
    condition_dim: usize,
    kernel: Kernel,
    state_weight: Packed,
    condition_weight: Packed,
    /// Bias of the first layer at each step.
    biases: Vec<Vec<f32>>,
    /// The layers after the first, and where their parameters start.
    rest: Packing,
    rest_start: usize,
}

/// Paths of a compiled model.
pub struct Walked {
    /// States of the first step … after the last, [paths, dim] each.
    pub states: Vec<Vec<f32>>,
    /// log-probabilities of the steps [paths, steps]; empty when not asked for.
    pub scores: Vec<f32>,
    /// What back-propagation needs, by shard; empty when not asked for.
    kept: Vec<KeptShard>,
    rows_per_shard: usize,
}

/// What a walk leaves behind besides its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    States,
    /// Scores.
    Scores,
    /// Scores, and what back-propagation needs.
    Tape,
}

impl FrozenPolicy {
    /// Compiles a model; `None` when it is not on the CPU backend, has an exact part or waves, or no condition or
    /// hidden layer.
    pub fn new(model: &GaussianDiffusion) -> Option<Self> {
        let parameters = Self::parameters_of(model)?;
        let spec = &model.net.spec;
        let [dim, condition_dim] = [model.dim, model.condition_dim];
        let layers = spec.layers();
        let first = layers[0];
        let [inputs, width] = first.shape;
        let weight = &parameters.values()[first.weight..first.bias];
        let (state, others) = weight.split_at(dim * width);
        let (embedded, condition) = others.split_at(EMBEDDING * width);
        let bias = &parameters.values()[first.bias..first.bias + width];
        let num_steps = model.schedule.num_steps();
        let biases = (0..num_steps).map(|k| {
            let mut sums = bias.to_vec();
            let rows = embedded.chunks_exact(width);
            for (value, row) in embedding(k, num_steps).iter().zip(rows) {
                for (sum, w) in sums.iter_mut().zip(row) {
                    *sum += value * w;
                }
            }
            sums
        });
        let mut rest = Packing::new(&MlpSpec {
            sizes: spec.sizes[1..].to_vec(),
            ..(**spec).clone()
        });
        rest.pack(&parameters.values()[first.end..], false);
        let others = inputs - dim - EMBEDDING;
        Some(Self {
            state_weight: Packed::new([dim, width], (state, Layout::Plain)),
            condition_weight: Packed::new([others, width], (condition, Layout::Plain)),
            biases: biases.collect(),
            rest,
            rest_start: first.end,
            parameters,
            schedule: model.schedule.clone(),
            spec: spec.clone(),
            dim,
            condition_dim,
            kernel: model.kernel.clone(),
        })
    }

    /// The parameters of a model that can be compiled, tracked or not.
    fn parameters_of(model: &GaussianDiffusion) -> Option<HostVector> {
        let spec = &model.net.spec;
        let fits = model.exact.is_none()
            && model.condition_dim > 0
            && spec.sizes.len() > 2
            && spec.outputs() == model.kernel.outputs(model.dim)
            && spec.inputs() == GaussianDiffusion::net_inputs(model.dim, model.condition_dim);
        if !fits {
            return None;
        }
        let parameters = &model.net.parameters;
        if parameters.device().is_autodiff() {
            HostVector::share(&parameters.clone().inner())
        } else {
            HostVector::share(parameters)
        }
    }

    /// Returns the compiled form of a model, from a small cache when its parameters have not changed.
    ///
    /// The cache shares the parameters' storage; a writer copies shared storage first, so an entry never goes stale.
    pub fn of(model: &GaussianDiffusion) -> Option<Arc<Self>> {
        static CACHE: Mutex<Vec<Arc<FrozenPolicy>>> = Mutex::new(Vec::new());
        const ENTRIES: usize = 4;
        let key = Self::parameters_of(model)?;
        let mut cache = CACHE.lock().unwrap_or_else(|e| e.into_inner());
        let same = |entry: &Arc<Self>| {
            std::ptr::eq(entry.parameters.values(), key.values())
                && Arc::ptr_eq(&entry.schedule, &model.schedule)
                && entry.spec == model.net.spec
                && [entry.dim, entry.condition_dim] == [model.dim, model.condition_dim]
                && entry.kernel.same(&model.kernel)
        };
        if let Some(entry) = cache.iter().find(|e| same(e)) {
            return Some(entry.clone());
        }
        let made = Arc::new(Self::new(model)?);
        if cache.len() == ENTRIES {
            cache.remove(0);
        }
        cache.push(made.clone());
        Some(made)
    }

    /// Returns samples [rows, dim] for conditions [rows, condition_dim]; draws what [`GaussianDiffusion::sample`] draws.
    pub fn sample(&self, condition: &[f32], noise: &mut Noise) -> Vec<f32> {
        let mut walked = self.paths(condition, 1.0, noise, Wanted::States);
        walked.states.pop().expect("a path has states")
    }

    /// Samples whole paths for conditions [rows, condition_dim], with every σ times `scale`.
    pub fn paths(
        &self,
        condition: &[f32],
        scale: f64,
        noise: &mut Noise,
        wanted: Wanted,
    ) -> Walked {
        let rows = condition.len() / self.condition_dim;
        let steps = 0..self.schedule.num_steps();
        let mut states = vec![noise.normals(rows, self.dim)];
        // The noise of each step lies where the step's state will be.
        states.extend(steps.clone().map(|_| noise.normals(rows, self.dim)));
        self.walk(states, condition, steps, Some(scale), wanted)
    }

    /// Scores the steps of given paths: `states` of steps.start … steps.end, [paths, dim] each.
    pub fn score(
        &self,
        states: Vec<Vec<f32>>,
        condition: &[f32],
        steps: Range<usize>,
        wanted: Wanted,
    ) -> Walked {
        self.walk(states, condition, steps, None, wanted)
    }

    /// Rows of a shard. Gradients are added over shards: there their number must depend on the number of rows alone.
    fn rows_per_shard(rows: usize, wanted: Wanted) -> usize {
        if wanted == Wanted::Tape {
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
        wanted: Wanted,
    ) -> Walked {
        let (rows, count) = (states[0].len() / self.dim, steps.len());
        let per_shard = Self::rows_per_shard(rows, wanted);
        let scored = if wanted == Wanted::States { 0 } else { count };
        let mut scores = vec![0.0f32; rows * scored];
        let shards = rows.div_ceil(per_shard);
        let mut kept = Vec::new();
        if wanted == Wanted::Tape {
            kept.resize_with(shards, KeptShard::take);
        }
        let mut states_in: Vec<_> = states
            .iter_mut()
            .map(|s| s.chunks_mut(per_shard * self.dim))
            .collect();
        let mut conditions = condition.chunks(per_shard * self.condition_dim);
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
        Walked {
            states,
            scores,
            kept,
            rows_per_shard: per_shard,
        }
    }
}
