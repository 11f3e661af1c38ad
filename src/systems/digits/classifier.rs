//! p(c|x): a perceptron that names the class of an image, and what a target asks of it.

use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, MlpSpec, NetworkPass, Networks};
use tiltrl_policies::nets::Mlp;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;

use super::images::{Part, Set};
use crate::stage::cosine_decay;

/// Number of classes: the ten digits.
pub const CLASSES: usize = 10;

/// How a classifier is trained.
#[derive(Clone, Debug)]
pub struct ClassifierSettings {
    /// Hidden widths; the last is that of the features.
    pub hidden: Vec<usize>,
    /// Updates of the weights.
    pub updates: u64,
    /// Images per update.
    pub batch: usize,
    /// Standard deviation of the noise on what it learns from: samples of a diffusion are a little noisy.
    pub jitter: f32,
    /// Share of labels taken to be wrong: p(c|x) is at least a tenth of it.
    pub label_noise: f64,
}

impl Default for ClassifierSettings {
    fn default() -> Self {
        Self {
            hidden: vec![128, 32],
            updates: 2000,
            batch: 128,
            jitter: 0.2,
            label_noise: 0.01,
        }
    }
}

/// A trained classifier.
pub struct Classifier {
    /// The whole network, and the same without its last layer.
    networks: Networks,
    label_noise: f64,
    width: usize,
}

const WHOLE: usize = 0;
const BODY: usize = 1;

impl Classifier {
    /// Trains on a set.
    pub fn train(set: &Set, settings: &ClassifierSettings, seed: u64, compute: &Compute) -> Self {
        let dim = set.coordinates.dim;
        let sizes = [vec![dim], settings.hidden.clone(), vec![CLASSES]].concat();
        let spec = MlpSpec {
            sizes,
            activation: Activation::Silu,
            layer_norm: false,
        };
        let mut noise = Noise::keyed(seed, "classifier-init", 0);
        let first = Mlp::new(spec.clone(), 1.0, &mut noise, compute);
        let adam = AdamConfig {
            weight_decay: 1e-2,
            ..AdamConfig::plain(2e-3)
        };
        let mut networks = Networks::new(&compute.engine);
        networks.push(spec.clone(), first.parameters(), adam.clone(), false);
        for update in 0..settings.updates {
            let mut noise = Noise::keyed(seed, "classifier-update", update);
            networks.set_learning_rate(2e-3 * cosine_decay(update, settings.updates));
            step(&mut networks, &set.train, dim, settings, &mut noise);
        }
        let mut body = spec.clone();
        body.sizes.pop();
        let mut values = networks.values(WHOLE, false);
        values.truncate(body.num_parameters());
        let parameters = tiltrl_tilt::host::vector(values, &compute.device);
        networks.push(body, parameters, adam, false);
        Self {
            networks,
            label_noise: settings.label_noise,
            width: settings.hidden.last().copied().unwrap_or(dim),
        }
    }

    fn outputs(&self, network: usize, rows: &[f32]) -> Vec<f32> {
        let pass = NetworkPass {
            network,
            target: false,
            train: false,
            input: rows,
        };
        self.networks.evaluate(&[pass]).swap_remove(0)
    }

    /// Returns p(c|x) of rows, [rows · 10].
    pub fn probabilities(&self, rows: &[f32]) -> Vec<f64> {
        let logits = self.outputs(WHOLE, rows);
        let keep = 1.0 - self.label_noise;
        let floor = self.label_noise / CLASSES as f64;
        let each = logits.chunks_exact(CLASSES).flat_map(|l| {
            let p = softmax(l);
            p.map(|p| keep * p + floor)
        });
        each.collect()
    }

    /// Returns the most probable class of each row.
    pub fn classes(&self, rows: &[f32]) -> Vec<u8> {
        let logits = self.outputs(WHOLE, rows);
        let best = |l: &[f32]| (1..CLASSES).fold(0, |b, c| if l[c] > l[b] { c } else { b });
        logits
            .chunks_exact(CLASSES)
            .map(|l| best(l) as u8)
            .collect()
    }

    /// Returns the share of images whose class it names.
    pub fn accuracy(&self, part: &Part) -> f64 {
        let right = self.classes(&part.rows).into_iter().zip(&part.labels);
        right.filter(|(c, l)| c == *l).count() as f64 / part.labels.len() as f64
    }

    /// Returns what the last layer sees of rows, [rows · width].
    pub fn features(&self, rows: &[f32]) -> Vec<f32> {
        let before = self.outputs(BODY, rows);
        before.into_iter().map(|z| z / (1.0 + (-z).exp())).collect()
    }

    /// Returns the width of the features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns log Σ p(c|x) over the wanted classes, of each row: log r ≤ 0.
    pub fn log_reward(&self, rows: &[f32], wanted: &[u8]) -> Vec<f64> {
        let p = self.probabilities(rows);
        let sum = |p: &[f64]| wanted.iter().map(|&c| p[usize::from(c)]).sum::<f64>();
        p.chunks_exact(CLASSES)
            .map(|p| sum(p).min(1.0).ln())
            .collect()
    }

    /// Returns ∇ log r at each row, [rows · dim].
    pub fn gradient(&self, rows: &[f32], wanted: &[u8]) -> Vec<f32> {
        let keep = 1.0 - self.label_noise;
        let pass = NetworkPass {
            network: WHOLE,
            target: false,
            train: false,
            input: rows,
        };
        // ∂ log r / ∂ logit_j = keep · p_j (1[j wanted] − Σ_wanted p) / r.
        let weights = |outputs: &[Vec<f32>]| {
            let of_row = outputs[0].chunks_exact(CLASSES).flat_map(|l| {
                let p = softmax(l);
                let inside: f64 = wanted.iter().map(|&c| p[usize::from(c)]).sum();
                let floor = self.label_noise * wanted.len() as f64 / CLASSES as f64;
                let r = keep * inside + floor;
                let mut j = 0;
                p.map(|p| {
                    let own = f64::from(u8::from(wanted.contains(&(j as u8))));
                    j += 1;
                    (keep * p * (own - inside) / r) as f32
                })
            });
            vec![of_row.collect()]
        };
        self.networks
            .input_gradients(&[pass], weights)
            .swap_remove(0)
    }
}

fn softmax(logits: &[f32]) -> [f64; CLASSES] {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut p = [0.0; CLASSES];
    for (p, &l) in p.iter_mut().zip(logits) {
        *p = f64::from(l - top).exp();
    }
    let sum: f64 = p.iter().sum();
    p.map(|p| p / sum)
}

/// One step on the cross-entropy of a batch.
fn step(
    networks: &mut Networks,
    part: &Part,
    dim: usize,
    settings: &ClassifierSettings,
    noise: &mut Noise,
) {
    let chosen = noise.indices(settings.batch, part.labels.len());
    let z = noise.normals(settings.batch, dim);
    let input: Vec<f32> = chosen
        .iter()
        .flat_map(|&i| &part.rows[i * dim..(i + 1) * dim])
        .zip(&z)
        .map(|(x, z)| x + settings.jitter * z)
        .collect();
    let pass = NetworkPass {
        network: WHOLE,
        target: false,
        train: true,
        input: &input,
    };
    let labels: Vec<usize> = chosen
        .iter()
        .map(|&i| usize::from(part.labels[i]))
        .collect();
    networks.learn(&[pass], 0.0, |outputs, gradients| {
        let rows = outputs[0].chunks_exact(CLASSES);
        let places = gradients[0].chunks_exact_mut(CLASSES);
        for ((logits, place), &label) in rows.zip(places).zip(&labels) {
            let p = softmax(logits);
            for (c, slot) in place.iter_mut().enumerate() {
                let own = f64::from(u8::from(c == label));
                *slot = ((p[c] - own) / labels.len() as f64) as f32;
            }
        }
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::digits::images::load;

    /// It names nine in ten of what it has not seen, sums to one, and its gradient is that of its log-reward.
    #[test]
    fn a_small_classifier_learns_and_its_gradient_is_right() {
        let set = load(None, 0).expect("loads");
        let settings = ClassifierSettings {
            hidden: vec![32, 16],
            updates: 400,
            ..ClassifierSettings::default()
        };
        let classifier = Classifier::train(&set, &settings, 1, &Compute::cpu());
        assert!(
            classifier.accuracy(&set.test) > 0.9,
            "{}",
            classifier.accuracy(&set.test)
        );
        let row = &set.test.rows[..64];
        let p = classifier.probabilities(row);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(p.iter().all(|&p| p >= 0.001));
        assert_eq!(classifier.features(row).len(), 16);
        let wanted = [0, 2, 4, 6, 8];
        let gradient = classifier.gradient(row, &wanted);
        for i in [10, 20, 35] {
            let at = |shift: f32| {
                let mut moved = row.to_vec();
                moved[i] += shift;
                classifier.log_reward(&moved, &wanted)[0]
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let found = f64::from(gradient[i]);
            assert!(
                (slope - found).abs() < 1e-3 + 0.02 * slope.abs(),
                "{i}: {slope} {found}"
            );
        }
    }

    /// Features are what the last layer turns into logits.
    #[test]
    fn features_are_those_of_the_last_layer() {
        let set = load(None, 12).expect("loads");
        let settings = ClassifierSettings {
            hidden: vec![16, 8],
            updates: 20,
            ..ClassifierSettings::default()
        };
        let classifier = Classifier::train(&set, &settings, 2, &Compute::cpu());
        let row = &set.test.rows[..12];
        let features = classifier.features(row);
        let values = classifier.networks.values(WHOLE, false);
        let layer = classifier.networks.spec(WHOLE).layers()[2];
        let logits = classifier.outputs(WHOLE, row);
        for (c, logit) in logits.iter().enumerate() {
            let sum: f32 = (0..8)
                .map(|i| features[i] * values[layer.weight + i * CLASSES + c])
                .sum();
            assert!((sum + values[layer.bias + c] - logit).abs() < 1e-4);
        }
    }
}
