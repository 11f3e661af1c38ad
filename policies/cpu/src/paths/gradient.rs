//! Back-propagation through the scores of a compiled model's paths, without a second forward pass.
//!
//! The first layer's input is [state, embedding of the step, condition, waves of the state]. The embedding is the same for all rows
//! of a step and the condition for all steps of a row, so their weights' gradients need one sum over rows, and one product
//! with the sum over steps.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

use super::compiled::{Filled, Keep, MOST_ROWS_PER_SHARD, PathSampler};
use super::kept::KeptShard;
use super::waves::waves;
use crate::parallel::for_each;
use crate::pass::{self, KeptRows, Net, add_rows, sized};
use crate::product::{Operand, Right, matmul};
use crate::rows;

/// A compiled model with the activations of the paths that it drew or scored.
pub(crate) struct KeptPaths {
    sampler: Arc<PathSampler>,
    first_step: usize,
    num_steps: usize,
    states: Vec<Vec<f32>>,
    condition: Vec<f32>,
    rows_per_shard: usize,
    shards: Mutex<Vec<KeptShard>>,
}

impl std::fmt::Debug for KeptPaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptPaths of {} steps", self.num_steps)
    }
}

impl Drop for KeptPaths {
    fn drop(&mut self) {
        let shards = self.shards.get_mut().unwrap_or_else(|e| e.into_inner());
        let spare = self.sampler.engine.shards();
        shards.drain(..).for_each(|shard| spare.give_back(shard));
    }
}

/// Bytes that kept paths take per path and step of a model.
pub fn bytes_per_row(sizes: &[usize]) -> usize {
    let hidden: usize = sizes[1..sizes.len() - 1].iter().sum();
    let ends = sizes[sizes.len() - 1] + sizes[0];
    4 * (2 * hidden + ends)
}

impl PathSampler {
    /// The scores [paths, steps] of paths as a tensor; with a gradient kept, one that back-propagates to `parameters`.
    pub(super) fn scores_of(
        self: &Arc<Self>,
        paths: Filled,
        condition: &[f32],
        first_step: usize,
        keep: Keep,
        parameters: &Tensor<1>,
    ) -> Tensor<2> {
        let num_steps = paths.states.len() - 1;
        let shape = [paths.scores.len() / num_steps, num_steps];
        if keep != Keep::Gradient {
            return Tensor::from_data(TensorData::new(paths.scores, shape), &Device::flex());
        }
        let scores = TensorData::new(paths.scores, shape);
        let kept_paths = Arc::new(KeptPaths {
            sampler: self.clone(),
            first_step,
            num_steps,
            states: paths.states,
            condition: condition.to_vec(),
            rows_per_shard: paths.rows_per_shard,
            shards: Mutex::new(paths.kept),
        });
        let parameters = parameters.clone().into_dispatch();
        Tensor::from_dispatch(<Dispatch as PathBackend>::path_scores(
            parameters, scores, kept_paths,
        ))
    }
}

impl KeptPaths {
    /// Returns Σ weights · ∇scores, weights [paths, steps].
    fn gradient(&self, weights: &[f32]) -> Vec<f32> {
        let sampler = &self.sampler;
        let values = sampler.parameters.values();
        let mut packed = sampler.engine.weights().take();
        let net = sampler
            .rest
            .net_for_input(&values[sampler.rest_start..], &mut packed);
        let mut shards = self.shards.lock().unwrap_or_else(|e| e.into_inner());
        let (rows, all) = (
            self.rows_per_shard,
            self.states[0].len() / sampler.diffusion.dim,
        );
        // The first shard's gradient lies where the sum will.
        let mut total = vec![0.0; values.len()];
        let mut first = Some(&mut total[..]);
        let jobs = shards.iter_mut().enumerate();
        let jobs = jobs.map(|(index, kept)| (index, kept, first.take()));
        for_each(jobs.collect(), |(index, kept, place)| {
            let first = index * rows;
            let weights = &weights[first * self.num_steps..];
            let mut gradient = std::mem::take(&mut kept.gradient);
            let own = match place {
                Some(place) => place,
                None => sized(&mut gradient, values.len()),
            };
            self.shard(net, (kept, first..(first + rows).min(all)), weights, own);
            kept.gradient = gradient;
        });
        for shard in shards.iter().skip(1) {
            add_rows(&mut total, &shard.gradient[..values.len()]);
        }
        sampler.engine.weights().give_back(packed);
        total
    }

    /// Overwrites `gradient` with the shard's.
    fn shard(
        &self,
        net: Net<'_>,
        (kept, paths): (&mut KeptShard, Range<usize>),
        weights: &[f32],
        gradient: &mut [f32],
    ) {
        let sampler = &self.sampler;
        let (dim, width, outputs) = (
            sampler.diffusion.dim,
            sampler.biases[0].len(),
            net.spec.outputs(),
        );
        let (first_row, rows) = (paths.start, paths.len());
        let slopes = &mut kept.slopes[..self.num_steps * rows * outputs];
        // The slopes become gradients of the outputs.
        for (row, slopes) in slopes.chunks_exact_mut(outputs).enumerate() {
            let weight = weights[row % rows * self.num_steps + row / rows];
            slopes.iter_mut().for_each(|s| *s *= weight);
        }
        let (own, rest) = gradient.split_at_mut(sampler.rest_start);
        own.fill(0.0);
        let sum = sized(&mut kept.sum, rows * width);
        sum.fill(0.0);
        let together = (MOST_ROWS_PER_SHARD / rows.max(1)).max(1);
        let delta = sized(&mut kept.delta, together * rows * width);
        for start in (0..self.num_steps).step_by(together) {
            let end = (start + together).min(self.num_steps);
            let part = start * rows..end * rows;
            let delta = &mut delta[..part.len() * width];
            let input = &kept.hidden[part.start * width..part.end * width];
            let slopes = &kept.slopes[part.start * outputs..part.end * outputs];
            let work = KeptRows {
                work: &mut kept.work,
                first: part.start,
                accumulate: start > 0,
            };
            pass::backward_at(net, input, work, slopes, delta, rest);
            for index in start..end {
                let at = (index - start) * rows * width;
                let delta = &mut delta[at..at + rows * width];
                let values = (&kept.z[..], &kept.inverse[..]);
                let buffers = (&mut *delta, &mut kept.waves);
                self.first_layer(index, paths.clone(), values, buffers, own);
                sum.iter_mut().zip(&*delta).for_each(|(s, d)| *s += d);
            }
        }
        let columns = sampler.diffusion.condition_dim;
        if columns == 0 {
            return;
        }
        let start = (dim + sampler.diffusion.steps[0].embedding.len()) * width;
        let condition = &self.condition[first_row * columns..(first_row + rows) * columns];
        let left = Operand::transposed(condition);
        let right = Right::plain(sampler.engine.arithmetic(), sum, [rows, width]);
        let end = start + columns * width;
        matmul(columns, left, right, &mut own[start..end], false);
    }

    /// Turns `delta` [rows, width] of one step into the gradient of the first layer's products, and adds the gradients of its bias,
    /// normalisation, and weights of state, embedding and waves to `own`. `seen` is a buffer for the waves.
    fn first_layer(
        &self,
        index: usize,
        paths: Range<usize>,
        (z, inverse): (&[f32], &[f32]),
        (delta, seen): (&mut [f32], &mut Vec<f32>),
        own: &mut [f32],
    ) {
        let sampler = &self.sampler;
        let (dim, width, rows) = (sampler.diffusion.dim, sampler.biases[0].len(), paths.len());
        let first = sampler.spec.layers()[0];
        let (weight, others) = own.split_at_mut(first.bias);
        let (bias, norm) = others.split_at_mut(width);
        let mut of_step = vec![0.0f32; width];
        let z = &z[index * rows * width..(index + 1) * rows * width];
        let inverse = inverse
            .get(index * rows..(index + 1) * rows)
            .unwrap_or_default();
        let sums = [&mut of_step[..], norm];
        let activation = sampler.spec.activation;
        rows::backward(activation, sampler.first_norm(), z, inverse, delta, sums);
        bias.iter_mut().zip(&of_step).for_each(|(b, s)| *b += s);
        let (of_state, of_embedding) = weight.split_at_mut(dim * width);
        let table = &sampler.diffusion.steps[self.first_step + index].embedding;
        for (row, value) in of_embedding.chunks_exact_mut(width).zip(table) {
            row.iter_mut()
                .zip(&of_step)
                .for_each(|(w, s)| *w += value * s);
        }
        let state = &self.states[index][paths.start * dim..paths.end * dim];
        let left = Operand::transposed(state);
        let right = Right::plain(sampler.engine.arithmetic(), delta, [rows, width]);
        matmul(dim, left, right, of_state, true);
        let columns = sampler.diffusion.wave_columns();
        if columns > 0 {
            waves(state, dim, sampler.diffusion.waves, seen);
            let start = of_embedding.len() - columns * width;
            let left = Operand::transposed(&seen[..]);
            matmul(columns, left, right, &mut of_embedding[start..], true);
        }
    }
}

/// Backends that back-propagate through a [`KeptPaths`].
#[backend_extension(Flex, Autodiff)]
pub(super) trait PathBackend: Backend {
    /// Returns the scores of the kept paths.
    fn path_scores(
        parameters: FloatTensor<Self>,
        scores: TensorData,
        kept_paths: Arc<KeptPaths>,
    ) -> FloatTensor<Self>;
}

impl PathBackend for Flex {
    fn path_scores(
        _: FloatTensor<Self>,
        scores: TensorData,
        _: Arc<KeptPaths>,
    ) -> FloatTensor<Self> {
        FloatTensor::<Flex>::from_data(scores)
    }
}

#[derive(Debug)]
struct Scores;

impl Backward<Flex, 1> for Scores {
    type State = Arc<KeptPaths>;

    fn backward(self, ops: Ops<Arc<KeptPaths>, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let weights = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Some(node) = node else { return };
        let weights = weights.as_slice::<f32>().expect("made contiguous");
        let gradient = ops.state.gradient(weights);
        let length = gradient.len();
        let gradient = TensorData::new(gradient, [length]);
        grads.register::<Flex>(node.id, FloatTensor::<Flex>::from_data(gradient));
    }
}

impl<C: CheckpointStrategy> PathBackend for Autodiff<Flex, C> {
    fn path_scores(
        parameters: FloatTensor<Self>,
        scores: TensorData,
        kept_paths: Arc<KeptPaths>,
    ) -> FloatTensor<Self> {
        let output = FloatTensor::<Flex>::from_data(scores);
        let prepared = Scores.prepare::<C>([parameters.node()]).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept_paths, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
