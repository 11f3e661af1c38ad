//! A policy as a safetensors file: a JSON header with its length before it, then the numbers. The layout is docs/export.md's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::numbers::{Network, PolicyNumbers};

/// Name of the layout, in the metadata.
const LAYOUT: &str = "tiltrl-policy-1";

/// Tensors in the order of their names.
#[derive(Default)]
struct Tensors(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Tensors {
    fn vector(&mut self, name: &str, values: &[f32]) {
        self.0
            .insert(name.into(), (vec![values.len()], values.to_vec()));
    }

    /// Layers of a network, weights as [outputs, inputs].
    fn network(&mut self, name: &str, network: &Network) {
        for (i, layer) in network.layers.iter().enumerate() {
            let [inputs, outputs] = layer.shape;
            let place = |part: &str| format!("{name}.layers.{i}.{part}");
            let of_output = |o: usize| (0..inputs).map(move |i| layer.weight[i * outputs + o]);
            let values = (0..outputs).flat_map(of_output).collect();
            self.0
                .insert(place("weight"), (vec![outputs, inputs], values));
            self.vector(&place("bias"), &layer.bias);
            if let Some([gain, shift]) = &layer.norm {
                self.vector(&place("gain"), gain);
                self.vector(&place("shift"), shift);
            }
        }
    }
}

/// Returns the safetensors file of a policy, with what is said about it.
pub fn safetensors(policy: &PolicyNumbers, facts: &BTreeMap<String, String>) -> Vec<u8> {
    let mut tensors = Tensors::default();
    for (name, normalizer) in [
        ("observation", &policy.coordinates.observation),
        ("action", &policy.coordinates.action),
    ] {
        tensors.vector(&format!("{name}.mean"), &normalizer.mean);
        tensors.vector(&format!("{name}.std"), &normalizer.std);
    }
    if let Some(bounds) = &policy.bounds {
        tensors.vector("action.low", &bounds.low);
        tensors.vector("action.high", &bounds.high);
    }
    tensors.network("policy", &policy.network);
    let embedding = (
        vec![policy.embedding.len(), policy.embedding[0].len()],
        policy.embedding.concat(),
    );
    tensors.0.insert("time.embedding".into(), embedding);
    tensors.vector("schedule.state", &policy.state);
    tensors.vector("schedule.output", &policy.output);
    tensors.vector("schedule.sigma", &policy.sigma);
    tensors.vector("schedule.alpha_bar", &policy.alpha_bar);
    let mut metadata = facts.clone();
    let mut say = |key: &str, value: String| metadata.insert(key.into(), value);
    say("layout", LAYOUT.into());
    say("activation", policy.network.activation_name().into());
    say("num_steps", policy.sigma.len().to_string());
    let limit = policy.log_sigma_limit.unwrap_or(0.0);
    say("log_sigma_limit", limit.to_string());
    let count = policy.selection.as_ref().map_or(1, |s| s.count);
    say("candidates", count.to_string());
    if let Some(selection) = &policy.selection {
        say("critic.lcb", selection.lcb.to_string());
        say("critic.networks", selection.networks.len().to_string());
        say(
            "critic.activation",
            selection.networks[0].activation_name().into(),
        );
        for (i, network) in selection.networks.iter().enumerate() {
            tensors.network(&format!("critic.{i}"), network);
        }
    }
    file(&tensors, &metadata)
}

/// Written out: the crate's own writer takes the metadata in a hash map, whose order would change the bytes from call to call.
fn file(tensors: &Tensors, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!(metadata));
    let mut start = 0;
    for (name, (shape, values)) in &tensors.0 {
        let end = start + 4 * values.len();
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
        start = end;
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for (_, values) in tensors.0.values() {
        values
            .iter()
            .for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
    }
    bytes
}
