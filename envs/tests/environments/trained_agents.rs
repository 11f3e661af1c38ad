//! Agents that others trained on Gymnasium earn here what they earn there.
//!
//! The actors stand beside the checkout (`shared/agents`) and are not committed; without them the test is skipped aloud.

use crate::support::shared;
use tiltrl_envs::{Engine, EnvBatch, EnvOptions, Step};

/// A dense layer: weights [outputs, inputs] by rows, biases [outputs].
struct Layer {
    weights: Vec<Vec<f32>>,
    biases: Vec<f32>,
}

fn read_layers(path: &std::path::Path) -> Vec<Layer> {
    let bytes = std::fs::read(path).unwrap();
    let mut words = bytes
        .chunks_exact(4)
        .map(|word| <[u8; 4]>::try_from(word).unwrap());
    let mut layers = Vec::new();
    while let Some(outputs) = words.next() {
        let outputs = i32::from_le_bytes(outputs) as usize;
        let inputs = i32::from_le_bytes(words.next().unwrap()) as usize;
        let mut floats = |count: usize| -> Vec<f32> {
            words.by_ref().take(count).map(f32::from_le_bytes).collect()
        };
        let weights = (0..outputs).map(|_| floats(inputs)).collect();
        layers.push(Layer {
            weights,
            biases: floats(outputs),
        });
    }
    layers
}

impl Layer {
    fn apply(&self, input: &[f32]) -> Vec<f32> {
        self.weights
            .iter()
            .zip(&self.biases)
            .map(|(row, bias)| {
                // Eight sums side by side, so that the compiler can use vectors.
                let mut sums = [0.0_f32; 8];
                for (w, x) in row.chunks(8).zip(input.chunks(8)) {
                    for (sum, (w, x)) in sums.iter_mut().zip(w.iter().zip(x)) {
                        *sum += w * x;
                    }
                }
                bias + sums.iter().sum::<f32>()
            })
            .collect()
    }
}

/// The actor's deterministic action.
fn act(layers: &[Layer], observation: &[f32]) -> Vec<f32> {
    let mut hidden = observation.to_vec();
    for layer in &layers[..2] {
        hidden = layer
            .apply(&hidden)
            .into_iter()
            .map(|x| x.max(0.0))
            .collect();
    }
    layers[2]
        .apply(&hidden)
        .into_iter()
        .map(f32::tanh)
        .collect()
}

/// The returns of the first `count` episodes.
fn returns(id: &str, engine: &Engine, layers: &[Layer], count: usize) -> Vec<f64> {
    let options = EnvOptions {
        engine: engine.clone(),
        ..EnvOptions::default()
    };
    let mut batch = EnvBatch::new(id, &options, count).unwrap();
    let (width, horizon) = (batch.spec().observation_dim, batch.spec().horizon);
    let mut running: Vec<usize> = (0..count).collect();
    let seeds: Vec<u64> = (0..count as u64).collect();
    let mut observations = vec![0.0; count * width];
    batch.reset(&running, &seeds, &mut observations);
    let mut returns = vec![0.0; count];
    for _ in 0..horizon {
        let actions: Vec<f32> = observations
            .chunks(width)
            .flat_map(|row| act(layers, row))
            .collect();
        let mut steps = vec![Step::default(); running.len()];
        batch.step(&running, &actions, &mut observations, &mut steps);
        let (mut alive, mut kept) = (Vec::new(), Vec::new());
        for ((&env, step), row) in running.iter().zip(&steps).zip(observations.chunks(width)) {
            returns[env] += step.reward;
            if !step.terminated {
                alive.push(env);
                kept.extend_from_slice(row);
            }
        }
        (running, observations) = (alive, kept);
    }
    returns
}

#[test]
fn trained_agents_earn_what_they_earn_on_gymnasium() {
    // Mean and its standard error over 100 episodes of the TQC actors on Gymnasium's tasks.
    for (id, name, mean, error) in [
        ("halfcheetah-v4", "HalfCheetah", 12_100.0, 15.0),
        ("hopper-v4", "Hopper", 3_280.0, 56.0),
        ("walker2d-v4", "Walker2d", 4_119.0, 59.0_f64),
    ] {
        let Some(path) = shared(&format!("agents/tqc_{name}.bin")) else {
            return;
        };
        let layers = read_layers(&path);
        for engine in [Engine::Embedded, Engine::EmbeddedF32] {
            let returns = returns(id, &engine, &layers, 100);
            let ours = returns.iter().sum::<f64>() / 100.0;
            let variance = returns.iter().map(|r| (r - ours).powi(2)).sum::<f64>() / 99.0;
            let ours_error = (variance / 100.0).sqrt();
            eprintln!(
                "{id} {engine}: {ours:.0} ± {ours_error:.0}, on Gymnasium {mean:.0} ± {error:.0}"
            );
            let allowed = 3.0 * error.hypot(ours_error);
            assert!(
                (ours - mean).abs() < allowed,
                "{id} {engine}: {ours} ± {ours_error}"
            );
        }
    }
}
