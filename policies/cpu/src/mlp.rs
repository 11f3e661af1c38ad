//! A whole multilayer perceptron, forward and backward, on plain slices.
//!
//! h_{i+1} = f(LayerNorm?(h_i W_i + b_i)), linear at the end. Rows are split into shards whose number depends on
//! the number of rows alone; each shard runs through all layers in cache, and the shards' weight gradients
//! are added in a fixed order: the bytes do not depend on the number of threads.

use std::sync::Mutex;

use crate::arithmetic::Arithmetic;
use crate::engine::Engine;
use crate::parallel::for_each;
use crate::pass::{self, Net, PackedWeights, Workspace, add_rows, sized};
use crate::shape::{MlpSpec, rows_per_shard};

/// Up to so many rows weights are read where they lie: to pack them takes longer than the products. The bytes are the same.
const FEW_ROWS: usize = 16;

/// Activations of a forward pass; their buffers are used again once this is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    engine: Engine,
    rows_per_shard: usize,
    shards: Mutex<Vec<Workspace>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let shards = self.shards.get_mut().unwrap_or_else(|e| e.into_inner());
        let spare = self.engine.workspaces();
        shards.drain(..).for_each(|work| spare.give_back(work));
    }
}

/// Returns the network's output [rows, outputs], and its activations when `keep`.
///
/// # Panics
/// When `input` is not [rows, inputs] or `parameters` has the wrong length.
pub(crate) fn forward(
    engine: &Engine,
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    keep: bool,
) -> (Vec<f32>, Option<Kept>) {
    let layers = spec.layers();
    assert_eq!(
        parameters.len(),
        layers.last().map_or(0, |layer| layer.end),
        "parameters of {spec:?}"
    );
    assert_eq!(input.len() % spec.inputs(), 0, "input of {spec:?}");
    let rows = input.len() / spec.inputs();
    // The matrix unit's products of packed weights have other bytes than those of f32: there, few rows do as many do.
    let as_they_lie = rows <= FEW_ROWS && engine.arithmetic() == Arithmetic::F32;
    let packed = if as_they_lie {
        PackedWeights::default()
    } else {
        let mut packed = engine.weights().take();
        packed.pack_forward(engine.arithmetic(), &layers, parameters);
        packed
    };
    let net = Net {
        spec,
        layers: &layers,
        parameters,
        packed: &packed,
        arithmetic: engine.arithmetic(),
    };
    let found = run(engine, net, input, keep);
    if !as_they_lie {
        engine.weights().give_back(packed);
    }
    found
}

/// All shards of a forward pass.
fn run(engine: &Engine, net: Net<'_>, input: &[f32], keep: bool) -> (Vec<f32>, Option<Kept>) {
    let [inputs, outputs] = [net.spec.inputs(), net.spec.outputs()];
    let rows = input.len() / inputs;
    let per_shard = rows_per_shard(rows);
    let mut output = vec![0.0; rows * outputs];
    if rows <= per_shard && !keep {
        let mut work = engine.workspaces().take();
        pass::forward(net, input, &mut output, &mut work, false);
        engine.workspaces().give_back(work);
        return (output, None);
    }
    let mut shards: Vec<Workspace> = (0..rows.div_ceil(per_shard))
        .map(|_| engine.workspaces().take())
        .collect();
    let jobs: Vec<_> = input
        .chunks(per_shard * inputs)
        .zip(output.chunks_mut(per_shard * outputs))
        .zip(&mut shards)
        .collect();
    for_each(jobs, |((x, y), work)| {
        pass::forward(net, x, y, work, keep);
    });
    let kept = Kept {
        engine: engine.clone(),
        rows_per_shard: per_shard,
        shards: Mutex::new(shards),
    };
    (output, keep.then_some(kept))
}

/// Returns the gradients with respect to the parameters and, when asked for, the input.
///
/// # Shapes
/// `input` [rows, inputs], `output_gradient` [rows, outputs].
pub(crate) fn backward(
    spec: &MlpSpec,
    parameters: &[f32],
    input: &[f32],
    kept: &Kept,
    output_gradient: &[f32],
    wants_input: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let (layers, engine) = (spec.layers(), &kept.engine);
    let mut packed = engine.weights().take();
    packed.pack_backward(engine.arithmetic(), &layers, parameters, wants_input);
    let net = Net {
        spec,
        layers: &layers,
        parameters,
        packed: &packed,
        arithmetic: engine.arithmetic(),
    };
    let per_shard = kept.rows_per_shard;
    let mut shards = kept.shards.lock().unwrap_or_else(|e| e.into_inner());
    let mut input_gradient = vec![0.0; if wants_input { input.len() } else { 0 }];
    let mut inputs_out = input_gradient.chunks_mut(per_shard * spec.inputs());
    let jobs: Vec<_> = shards
        .iter_mut()
        .zip(input.chunks(per_shard * spec.inputs()))
        .zip(output_gradient.chunks(per_shard * spec.outputs()))
        .map(|job| (job, inputs_out.next().unwrap_or_default()))
        .collect();
    // The first shard's gradient lies where the sum will.
    let mut total = vec![0.0; parameters.len()];
    let mut first = Some(&mut total[..]);
    let jobs: Vec<_> = jobs.into_iter().map(|job| (job, first.take())).collect();
    for_each(jobs, |((((work, x), dy), dx), place)| {
        let mut gradient = std::mem::take(&mut work.gradient);
        let own = match place {
            Some(place) => place,
            None => sized(&mut gradient, parameters.len()),
        };
        pass::backward(net, x, work, dy, dx, own);
        work.gradient = gradient;
    });
    engine.weights().give_back(packed);
    for shard in shards.iter().skip(1) {
        add_rows(&mut total, &shard.gradient[..parameters.len()]);
    }
    (total, wants_input.then_some(input_gradient))
}
