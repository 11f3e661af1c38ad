//! Training passes of several networks at once, straight on slices: forward, backward and optimizer steps as sets of
//! independent jobs, in buffers that outlive the update.
//!
//! A job is one network on one shard of the rows. How rows are cut depends on their number alone and shards are added in
//! order, so the bytes do not depend on the number of threads.

use crate::adam::{Average, FlatAdam};
use crate::arithmetic::Arithmetic;
use crate::parallel::for_each;
use crate::pass::{self, Net, PackedWeights, Workspace, sized};
use crate::shape::{LayerOffsets, MlpSpec, rows_per_shard};

/// A shape, its layers, and packed weights of one set of parameters.
#[derive(Debug)]
pub(crate) struct Packing {
    spec: MlpSpec,
    layers: Vec<LayerOffsets>,
    weights: PackedWeights,
    arithmetic: Arithmetic,
}

impl Packing {
    /// Returns a packing without weights.
    pub(crate) fn new(arithmetic: Arithmetic, spec: &MlpSpec) -> Self {
        Self {
            arithmetic,
            spec: spec.clone(),
            layers: spec.layers(),
            weights: PackedWeights::default(),
        }
    }

    /// Returns the packing with buffers that another one left.
    pub(crate) fn reusing(mut self, weights: PackedWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Returns the buffers, for [`Self::reusing`].
    pub(crate) fn leave(&mut self) -> PackedWeights {
        std::mem::take(&mut self.weights)
    }

    /// Packs `parameters`; for training, for both directions.
    ///
    /// # Panics
    /// When the number of parameters is not the shape's.
    pub(crate) fn pack(&mut self, parameters: &[f32], training: bool) {
        let length = self.layers.last().map_or(0, |layer| layer.end);
        assert_eq!(parameters.len(), length, "parameters of {:?}", self.spec);
        self.weights
            .pack_forward(self.arithmetic, &self.layers, parameters);
        if training {
            self.weights
                .pack_backward(self.arithmetic, &self.layers, parameters, false);
        }
    }

    /// Packs the weights for [`pass::backward`] with the input's gradient.
    pub(crate) fn pack_for_input(&mut self, parameters: &[f32]) {
        self.weights
            .pack_backward(self.arithmetic, &self.layers, parameters, true);
    }

    /// Returns a network of this shape whose weights are packed in `packed`, for [`pass::backward`] with the input's gradient alone.
    pub(crate) fn net_for_input<'a>(
        &'a self,
        parameters: &'a [f32],
        packed: &'a mut PackedWeights,
    ) -> Net<'a> {
        packed.pack_backward(self.arithmetic, &self.layers, parameters, true);
        Net {
            packed,
            ..self.net(parameters)
        }
    }

    /// Returns the network of these weights and the parameters they were packed from.
    pub(crate) fn net<'a>(&'a self, parameters: &'a [f32]) -> Net<'a> {
        Net {
            spec: &self.spec,
            layers: &self.layers,
            parameters,
            packed: &self.weights,
            arithmetic: self.arithmetic,
        }
    }
}

/// Packs several networks at once: (where to, parameters, for training too).
pub(crate) fn pack_all(jobs: Vec<(&mut Packing, &[f32], bool)>) {
    for_each(jobs, |(packing, parameters, training)| {
        packing.pack(parameters, training);
    });
}

/// Buffers of one network on one input.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    output: Vec<f32>,
    output_gradient: Vec<f32>,
    shards: Vec<Workspace>,
    gradients: Vec<Vec<f32>>,
    input_gradient: Vec<f32>,
    length: usize,
}

impl Pass {
    /// Returns the outputs of the last forward pass.
    pub(crate) fn output(&self) -> &[f32] {
        &self.output[..self.length]
    }

    /// Returns those outputs and where their gradient goes.
    pub(crate) fn loss(&mut self) -> (&[f32], &mut [f32]) {
        let gradient = sized(&mut self.output_gradient, self.length);
        (&self.output[..self.length], gradient)
    }

    /// Returns the input's gradient of the last [`backward_to_input`].
    pub(crate) fn input_gradient(&self) -> &[f32] {
        &self.input_gradient
    }

    /// Returns the gradient of the parameters of the last backward pass, its shards added in order.
    pub(crate) fn gradient(&mut self, num_parameters: usize) -> &[f32] {
        let Some((total, others)) = self.gradients.split_first_mut() else {
            return &[];
        };
        for other in others {
            add(&mut total[..num_parameters], &other[..num_parameters]);
        }
        &total[..num_parameters]
    }
}

fn add(total: &mut [f32], other: &[f32]) {
    for (t, o) in total.iter_mut().zip(other) {
        *t += o;
    }
}

/// One network, its input, and its buffers.
pub(crate) struct Task<'a> {
    /// Shape and packed weights of the network.
    pub net: Net<'a>,
    /// Input [rows, inputs].
    pub input: &'a [f32],
    /// Keep what [`backward`] needs.
    pub keep: bool,
    /// Where activations and output go.
    pub pass: &'a mut Pass,
}

/// Runs the tasks' forward passes.
pub(crate) fn forward(tasks: Vec<Task<'_>>) {
    let mut jobs = Vec::new();
    for Task {
        net,
        input,
        keep,
        pass,
    } in tasks
    {
        let (inputs, outputs) = (net.spec.inputs(), net.spec.outputs());
        let rows = input.len() / inputs;
        let per_shard = rows_per_shard(rows);
        pass.length = rows * outputs;
        let shards = rows.div_ceil(per_shard);
        pass.shards.resize_with(shards, Workspace::default);
        let outputs = sized(&mut pass.output, pass.length).chunks_mut(per_shard * outputs);
        let blocks = input.chunks(per_shard * inputs).zip(outputs);
        for ((x, y), work) in blocks.zip(&mut pass.shards) {
            jobs.push((net, x, y, work, keep));
        }
    }
    for_each(jobs, |(net, x, y, work, keep)| {
        pass::forward(net, x, y, work, keep);
    });
}

/// Runs the backward passes of tasks whose forward pass kept its activations; see [`Pass::loss`] and [`Pass::gradient`].
pub(crate) fn backward(tasks: Vec<Task<'_>>) {
    let mut jobs = Vec::new();
    for Task {
        net, input, pass, ..
    } in tasks
    {
        let (inputs, outputs) = (net.spec.inputs(), net.spec.outputs());
        let per_shard = rows_per_shard(input.len() / inputs);
        pass.gradients.resize_with(pass.shards.len(), Vec::new);
        let deltas = pass.output_gradient[..pass.length].chunks(per_shard * outputs);
        let blocks = input.chunks(per_shard * inputs).zip(deltas);
        let work = pass.shards.iter_mut().zip(&mut pass.gradients);
        for ((x, dy), (work, gradient)) in blocks.zip(work) {
            jobs.push((net, x, dy, work, sized(gradient, net.parameters.len())));
        }
    }
    for_each(jobs, |(net, x, dy, work, gradient)| {
        pass::backward(net, x, work, dy, &mut [], gradient);
    });
}

/// As [`backward`], for the gradient of the input alone, of networks that [`Packing::pack_for_input`] packed; see
/// [`Pass::input_gradient`].
pub(crate) fn backward_to_input(tasks: Vec<Task<'_>>) {
    let mut jobs = Vec::new();
    for Task {
        net, input, pass, ..
    } in tasks
    {
        let (inputs, outputs) = (net.spec.inputs(), net.spec.outputs());
        let per_shard = rows_per_shard(input.len() / inputs);
        pass.input_gradient.resize(input.len(), 0.0);
        let deltas = pass.output_gradient[..pass.length].chunks(per_shard * outputs);
        let blocks = input.chunks(per_shard * inputs).zip(deltas);
        let places = pass.input_gradient.chunks_mut(per_shard * inputs);
        for (((x, dy), work), dx) in blocks.zip(&mut pass.shards).zip(places) {
            jobs.push((net, x, dy, work, dx));
        }
    }
    for_each(jobs, |(net, x, dy, work, dx)| {
        pass::backward(net, x, work, dy, dx, &mut []);
    });
}

/// One optimizer step, and the moving average that follows it.
pub(crate) struct Descent<'a> {
    /// Parameters that step, all in one array.
    pub parameters: &'a mut [f32],
    /// Moments and settings for these parameters.
    pub optimizer: &'a mut FlatAdam,
    /// The pass whose gradient it takes.
    pub pass: &'a mut Pass,
    /// What follows the parameters.
    pub average: Option<Average<'a>>,
}

/// Runs optimizer steps.
pub(crate) fn descend(steps: Vec<Descent<'_>>) {
    for_each(steps, |step| {
        let gradient = step.pass.gradient(step.parameters.len());
        let optimizer = step.optimizer;
        optimizer.step(step.parameters, gradient, step.average);
    });
}
