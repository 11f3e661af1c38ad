//! The compiled form of a diffusion over a perceptron, and what is kept of its paths.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::kept::KeptShard;
use crate::engine::Engine;
use crate::host::HostVector;
use crate::product::{Operand, Packed};
use crate::shape::MlpSpec;
use crate::train::Packing;

/// Most rows of a shard.
pub(super) const MOST_ROWS_PER_SHARD: usize = 128;

/// A function of states on the host, such as ∇ log r or an exact part of the denoiser's output:
/// (states [rows, dim], step of each row, conditions [rows, c]) → [rows, dim].
pub type HostField = dyn Fn(&[f32], &[usize], &[f32]) -> Vec<f32> + Send + Sync;

/// One step x_{k+1} = state · x_k + output · out + σ z of a diffusion.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusionStep {
    /// Factor of x_k in the mean.
    pub state: f32,
    /// Factor of the network's first outputs in the mean.
    pub output: f32,
    /// Factor of the exact part in the mean.
    pub exact: f32,
    /// Standard deviation σ.
    pub sigma: f32,
    /// What the network sees of the step.
    pub embedding: Vec<f32>,
}

/// A Gaussian diffusion over a perceptron whose input is [state, embedding of the step, condition, waves of the state].
///
/// The outputs are `dim` for the mean, then `dim` offsets of log σ if the variance is learned, then one scale of the guidance term
/// if there is one.
#[derive(Clone)]
pub struct Diffusion {
    /// Width of a state.
    pub dim: usize,
    /// Width of a condition. Where it is 0, conditions still come with one column, which the network does not see.
    pub condition_dim: usize,
    /// Octaves of sin and cos of the state in the network's input, [sin, cos] of dim columns each.
    pub waves: usize,
    /// Steps, from noise to sample.
    pub steps: Vec<DiffusionStep>,
    /// c where σ of a step is σ_k exp(c tanh(o / c)); none where variances are fixed.
    pub log_sigma_limit: Option<f32>,
    /// The guidance term, scaled by the network and by σ_k.
    pub guidance: Option<Arc<HostField>>,
    /// What is added to the mean beside the network, times the step's factor.
    pub exact: Option<Arc<HostField>>,
}

impl Diffusion {
    /// Columns of the conditions that paths are asked with.
    pub(super) fn condition_columns(&self) -> usize {
        self.condition_dim.max(1)
    }

    /// Columns of the waves of a state.
    pub(super) fn wave_columns(&self) -> usize {
        2 * self.dim * self.waves
    }

    /// Whether a perceptron of these widths takes and gives what the steps need.
    fn fits(&self, spec: &MlpSpec, embedding: usize) -> bool {
        let variances = self.log_sigma_limit.map_or(0, |_| self.dim);
        let outputs = self.dim + variances + usize::from(self.guidance.is_some());
        let inputs = self.dim + embedding + self.condition_dim + self.wave_columns();
        spec.sizes.len() > 2 && spec.outputs() == outputs && spec.inputs() == inputs
    }
}

/// The compiled form of a diffusion with one set of parameters.
pub struct PathSampler {
    pub(super) engine: Engine,
    pub(super) parameters: HostVector,
    pub(super) spec: Arc<MlpSpec>,
    pub(super) diffusion: Diffusion,
    pub(super) state_weight: Packed,
    /// None where the network sees no condition.
    pub(super) condition_weight: Option<Packed>,
    /// None where the network sees no waves.
    pub(super) wave_weight: Option<Packed>,
    /// Bias of the first layer at each step.
    pub(super) biases: Vec<Vec<f32>>,
    /// The layers after the first, and where their parameters start.
    pub(super) rest: Packing,
    pub(super) rest_start: usize,
}

/// What a pass over the shards filled.
pub(super) struct Filled {
    /// States of the first step … after the last, [paths, dim] each.
    pub(super) states: Vec<Vec<f32>>,
    /// log-probabilities of the steps [paths, steps]; empty when not asked for.
    pub(super) scores: Vec<f32>,
    /// What back-propagation needs, by shard; empty when not asked for.
    pub(super) kept: Vec<KeptShard>,
    pub(super) rows_per_shard: usize,
}

/// What is kept of paths besides their states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The states alone.
    States,
    /// The states and the scores of their steps.
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
        if !diffusion.fits(spec, embedding) {
            return None;
        }
        let (dim, columns) = (diffusion.dim, diffusion.condition_dim);
        let first = spec.layers()[0];
        let width = first.shape[1];
        let weight = &parameters.values()[first.weight..first.bias];
        let (state, others) = weight.split_at(dim * width);
        let (embedded, others) = others.split_at(embedding * width);
        let (condition, waves) = others.split_at(columns * width);
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
        )
        .reusing(engine.weights().take());
        rest.pack(&parameters.values()[first.end..], false);
        let packed = |rows: usize, weight| {
            let shape = [rows, width];
            (rows > 0).then(|| Packed::new(arithmetic, shape, Operand::plain(weight)))
        };
        Some(Self {
            engine: engine.clone(),
            state_weight: Packed::new(arithmetic, [dim, width], Operand::plain(state)),
            condition_weight: packed(columns, condition),
            wave_weight: packed(diffusion.wave_columns(), waves),
            biases: biases.collect(),
            rest,
            rest_start: first.end,
            parameters,
            spec: spec.clone(),
            diffusion,
        })
    }
}

impl Drop for PathSampler {
    fn drop(&mut self) {
        self.engine.weights().give_back(self.rest.leave());
    }
}
