//! A policy as an ONNX graph: the denoising loop unrolled, coordinates, bounds and the choice among candidates inside.

use std::collections::BTreeMap;
use std::ops::Range;

use tiltrl_policies::fast::Activation;

use super::numbers::{Layer, Network, PolicyNumbers, Selection};
use super::onnx::Attribute::{Float, Integer};
use super::onnx::{Axis, Graph};

/// Epsilon of the layer normalisation.
const EPSILON: f32 = 1e-5;

/// Returns the ONNX file of a policy.
///
/// # Shapes
/// Inputs: `observation` [batch, observation_dim], as the environment gives it; `noise` [batch, T + 1, action_dim], standard
/// normal, or [batch, T + 1, N, action_dim] for best-of-N: the start, then the noise of each step. Outputs: `action`
/// [batch, action_dim] in -1 … 1 and, where the data's units are known, `scaled_action` in these.
pub fn onnx(policy: &PolicyNumbers, facts: &BTreeMap<String, String>) -> Vec<u8> {
    let [width, dim] = policy.widths();
    let (steps, batch) = (policy.sigma.len(), Axis::Named("batch"));
    let mut graph = Graph::default();
    graph.input("observation", &[batch, Axis::Fixed(width)]);
    let mut axes = vec![batch, Axis::Fixed(steps + 1), Axis::Fixed(dim)];
    if let Some(selection) = &policy.selection {
        axes.insert(2, Axis::Fixed(selection.count));
    }
    graph.input("noise", &axes);
    let condition = normalized(&mut graph, policy);
    let latent = denoised(&mut graph, policy, &condition);
    let normalizer = &policy.coordinates.action;
    let std = graph.constant("action.std", &[dim], &normalizer.std);
    let mean = graph.constant("action.mean", &[dim], &normalizer.mean);
    let scaled = graph.node("Mul", &[&latent, &std], &[]);
    let moved = graph.node("Add", &[&scaled, &mean], &[]);
    match &policy.selection {
        None => graph.named("Tanh", &[&moved], &[], "action"),
        Some(selection) => {
            let candidates = graph.node("Tanh", &[&moved], &[]);
            selected(&mut graph, selection, (width, &condition), &candidates);
        }
    }
    graph.output("action", &[batch, Axis::Fixed(dim)]);
    if let Some(bounds) = &policy.bounds {
        let pairs = || bounds.low.iter().zip(&bounds.high);
        let half: Vec<f32> = pairs().map(|(l, h)| 0.5 * (h - l)).collect();
        let middle: Vec<f32> = pairs().map(|(l, h)| 0.5 * (h + l)).collect();
        let half = graph.constant("bounds.half_width", &[dim], &half);
        let middle = graph.constant("bounds.middle", &[dim], &middle);
        let scaled = graph.node("Mul", &["action", &half], &[]);
        graph.named("Add", &[&scaled, &middle], &[], "scaled_action");
        graph.output("scaled_action", &[batch, Axis::Fixed(dim)]);
    }
    graph.into_file(facts)
}

/// Normalised observations: [batch, width], or [batch, 1, width] beside candidates.
fn normalized(graph: &mut Graph, policy: &PolicyNumbers) -> String {
    let normalizer = &policy.coordinates.observation;
    let width = normalizer.mean.len();
    let mean = graph.constant("observation.mean", &[width], &normalizer.mean);
    let std = graph.constant("observation.std", &[width], &normalizer.std);
    let moved = graph.node("Sub", &["observation", &mean], &[]);
    let found = graph.node("Div", &[&moved, &std], &[]);
    if policy.selection.is_none() {
        return found;
    }
    let axis = graph.integers("candidates.axis", &[1], &[1]);
    graph.node("Unsqueeze", &[&found, &axis], &[])
}

/// Adds a part of a layer's weights as a constant and returns its name.
fn weights(
    graph: &mut Graph,
    name: &str,
    layer: &Layer,
    [rows, columns]: [Range<usize>; 2],
) -> String {
    let outputs = layer.shape[1];
    let part = rows.clone().flat_map(|row| {
        let start = row * outputs;
        layer.weight[start + columns.start..start + columns.end].iter()
    });
    let values: Vec<f32> = part.copied().collect();
    graph.constant(name, &[rows.len(), columns.len()], &values)
}

/// Names of the constants of the layers behind the first: weight, bias, and gain and shift of the layer before.
struct Placed {
    layers: Vec<[String; 2]>,
    norms: Vec<Option<[String; 2]>>,
    activation: Activation,
}

/// Adds the layers behind the first, and every normalisation.
fn placed(graph: &mut Graph, name: &str, network: &Network) -> Placed {
    let mut found = Placed {
        layers: Vec::new(),
        norms: Vec::new(),
        activation: network.activation,
    };
    for (i, layer) in network.layers.iter().enumerate() {
        let [inputs, outputs] = layer.shape;
        if i > 0 {
            let weight = format!("{name}.layers.{i}.weight");
            let weight = weights(graph, &weight, layer, [0..inputs, 0..outputs]);
            let bias = format!("{name}.layers.{i}.bias");
            found
                .layers
                .push([weight, graph.constant(&bias, &[outputs], &layer.bias)]);
        }
        found.norms.push(layer.norm.as_ref().map(|norm| {
            let names = ["gain", "shift"].map(|part| format!("{name}.layers.{i}.{part}"));
            [0, 1].map(|k| graph.constant(&names[k], &[outputs], &norm[k]))
        }));
    }
    found
}

impl Placed {
    /// Adds what follows the product of the first layer, bias included, and returns the output.
    fn rest(&self, graph: &mut Graph, mut z: String) -> String {
        for ([weight, bias], norm) in self.layers.iter().zip(&self.norms) {
            let hidden = activated(graph, z, norm.as_ref(), self.activation);
            let product = graph.node("MatMul", &[&hidden, weight], &[]);
            z = graph.node("Add", &[&product, bias], &[]);
        }
        z
    }
}

/// What follows the product of a hidden layer.
fn activated(graph: &mut Graph, z: String, norm: Option<&[String; 2]>, kind: Activation) -> String {
    let z = match norm {
        None => z,
        Some([gain, shift]) => {
            let own = [Integer("axis", -1), Float("epsilon", EPSILON)];
            graph.node("LayerNormalization", &[&z, gain, shift], &own)
        }
    };
    match kind {
        Activation::Relu => graph.node("Relu", &[&z], &[]),
        Activation::Silu => {
            let gate = graph.node("Sigmoid", &[&z], &[]);
            graph.node("Mul", &[&z, &gate], &[])
        }
        Activation::Mish => {
            let soft = graph.node("Softplus", &[&z], &[]);
            let gate = graph.node("Tanh", &[&soft], &[]);
            graph.node("Mul", &[&z, &gate], &[])
        }
        Activation::Gelu => {
            let scaled = scaled(graph, &z, std::f32::consts::FRAC_1_SQRT_2);
            let error = graph.node("Erf", &[&scaled], &[]);
            let gated = graph.node("Mul", &[&z, &error], &[]);
            let sum = graph.node("Add", &[&z, &gated], &[]);
            self::scaled(graph, &sum, 0.5)
        }
    }
}

/// A value times a number.
fn scaled(graph: &mut Graph, value: &str, factor: f32) -> String {
    let factor = graph.scalar(factor);
    graph.node("Mul", &[value, &factor], &[])
}

/// The state after all steps of denoising: [batch, dim] or [batch, N, dim].
fn denoised(graph: &mut Graph, policy: &PolicyNumbers, condition: &str) -> String {
    let [width, dim] = policy.widths();
    let first = &policy.network.layers[0];
    let (hidden, time) = (first.shape[1], policy.embedding[0].len());
    let rows = |range: Range<usize>| [range, 0..hidden];
    let of_state = weights(graph, "policy.layers.0.state", first, rows(0..dim));
    let start = dim + time;
    let of_condition = rows(start..start + width);
    let of_condition = weights(graph, "policy.layers.0.condition", first, of_condition);
    let known = graph.node("MatMul", &[condition, &of_condition], &[]);
    let rest = placed(graph, "policy", &policy.network);
    let outputs = policy.network.layers.last().expect("layers").shape[1];
    let mut state = at_step(graph, 0);
    for (k, embedding) in policy.embedding.iter().enumerate() {
        // The time of a step is known: its share of the first layer is a constant.
        let mut bias = first.bias.clone();
        for (value, row) in embedding
            .iter()
            .zip(first.weight[dim * hidden..].chunks_exact(hidden))
        {
            bias.iter_mut().zip(row).for_each(|(b, w)| *b += value * w);
        }
        let bias = graph.constant(&format!("policy.layers.0.time.{k}"), &[hidden], &bias);
        let seen = graph.node("MatMul", &[&state, &of_state], &[]);
        let sum = graph.node("Add", &[&seen, &known], &[]);
        let z = graph.node("Add", &[&sum, &bias], &[]);
        let out = rest.rest(graph, z);
        let mean = if outputs > dim {
            columns(graph, &out, 0..dim)
        } else {
            out.clone()
        };
        let kept = scaled(graph, &state, policy.state[k]);
        let moved = scaled(graph, &mean, policy.output[k]);
        let mean = graph.node("Add", &[&kept, &moved], &[]);
        let noise = at_step(graph, k + 1);
        let mut spread = scaled(graph, &noise, policy.sigma[k]);
        if let Some(limit) = policy.log_sigma_limit {
            let raw = columns(graph, &out, dim..2 * dim);
            let share = scaled(graph, &raw, 1.0 / limit);
            let bounded = graph.node("Tanh", &[&share], &[]);
            let log_scale = scaled(graph, &bounded, limit);
            let factor = graph.node("Exp", &[&log_scale], &[]);
            spread = graph.node("Mul", &[&spread, &factor], &[]);
        }
        state = graph.node("Add", &[&mean, &spread], &[]);
    }
    state
}

/// The noise of one step.
fn at_step(graph: &mut Graph, step: usize) -> String {
    let index = graph.integers(&format!("noise.index.{step}"), &[], &[step as i64]);
    graph.node("Gather", &["noise", &index], &[Integer("axis", 1)])
}

/// Some of the last axis.
fn columns(graph: &mut Graph, value: &str, range: Range<usize>) -> String {
    let indices: Vec<i64> = range.map(|i| i as i64).collect();
    let name = format!("{value}.columns.{}", indices[0]);
    let index = graph.integers(&name, &[indices.len()], &indices);
    graph.node("Gather", &[value, &index], &[Integer("axis", -1)])
}

/// Adds the choice of the candidate of the highest value as `action`.
fn selected(
    graph: &mut Graph,
    selection: &Selection,
    (width, condition): (usize, &str),
    candidates: &str,
) {
    let mut values = Vec::new();
    for (i, network) in selection.networks.iter().enumerate() {
        let (name, first) = (format!("critic.{i}"), &network.layers[0]);
        let [inputs, hidden] = first.shape;
        let part = |what: &str| format!("{name}.layers.0.{what}");
        let of_condition = weights(graph, &part("condition"), first, [0..width, 0..hidden]);
        let of_action = weights(graph, &part("action"), first, [width..inputs, 0..hidden]);
        let bias = graph.constant(&part("bias"), &[hidden], &first.bias);
        let known = graph.node("MatMul", &[condition, &of_condition], &[]);
        let seen = graph.node("MatMul", &[candidates, &of_action], &[]);
        let sum = graph.node("Add", &[&seen, &known], &[]);
        let z = graph.node("Add", &[&sum, &bias], &[]);
        values.push(placed(graph, &name, network).rest(graph, z));
    }
    let names: Vec<&str> = values.iter().map(String::as_str).collect();
    let value = if selection.lcb <= 0.0 {
        graph.node("Min", &names, &[])
    } else {
        let count = 1.0 / names.len() as f32;
        let sum = graph.node("Sum", &names, &[]);
        let mean = scaled(graph, &sum, count);
        let square = |graph: &mut Graph, name: &str| {
            let difference = graph.node("Sub", &[name, &mean], &[]);
            graph.node("Mul", &[&difference, &difference], &[])
        };
        let squares: Vec<String> = names.iter().map(|name| square(graph, name)).collect();
        let squares: Vec<&str> = squares.iter().map(String::as_str).collect();
        let sum = graph.node("Sum", &squares, &[]);
        let variance = scaled(graph, &sum, count);
        let deviation = graph.node("Sqrt", &[&variance], &[]);
        let less = scaled(graph, &deviation, selection.lcb as f32);
        graph.node("Sub", &[&mean, &less], &[])
    };
    // [batch, N, 1] → [batch, 1]: the first of the highest.
    let axis = graph.integers("values.axis", &[1], &[2]);
    let flat = graph.node("Squeeze", &[&value, &axis], &[]);
    let highest = [Integer("axis", 1), Integer("keepdims", 1)];
    let index = graph.node("ArgMax", &[&flat], &highest);
    let own = [Integer("batch_dims", 1)];
    graph.named("GatherND", &[candidates, &index], &own, "action");
}
