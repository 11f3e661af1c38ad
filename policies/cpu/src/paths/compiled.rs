//! The compiled form of a diffusion over a perceptron, and what is kept of its paths.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::kept::KeptShard;
use crate::engine::Engine;
use crate::host::HostVector;
use crate::product::{Layout, Packed};
use crate::shape::MlpSpec;
use crate::train::Packing;

/// Most rows of a shard.
pub(super) const MOST_ROWS_PER_SHARD: usize = 128;

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
    pub(super) engine: Engine,
    pub(super) parameters: HostVector,
    pub(super) spec: Arc<MlpSpec>,
    pub(super) diffusion: Diffusion,
    pub(super) state_weight: Packed,
    pub(super) condition_weight: Packed,
    /// Bias of the first layer at each step.
    pub(super) biases: Vec<Vec<f32>>,
    /// The layers after the first, and where their parameters start.
    pub(super) rest: Packing,
    pub(super) rest_start: usize,
}

/// Paths of a compiled diffusion.
pub(super) struct Paths {
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
}
