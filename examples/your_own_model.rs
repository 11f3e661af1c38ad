//! A model of your own: a small transformer over tokens, written as a burn module, tilted by the fine-tuner and checked against the
//! exact posterior. Nothing here but burn and the method: a path is a string written token by token.

#![allow(clippy::print_stdout)]

use std::ops::Range;

use burn::module::Module;
use burn::nn::attention::generate_autoregressive_mask;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tiltrl::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl::tilt::host::{host, host64};
use tiltrl::tilt::optimizer::{Adam, AdamConfig};
use tiltrl::tilt::sequential::Batched;
use tiltrl::tilt::{Noise, Scored, SequentialModel, conformity};

const LETTERS: usize = 4;
const LENGTH: usize = 4;
const WIDTH: usize = 16;

/// Tokens see those before them; token `LETTERS` starts a string.
#[derive(Module, Debug)]
struct Transformer {
    tokens: Embedding,
    positions: Embedding,
    encoder: TransformerEncoder,
    head: Linear,
}

impl Transformer {
    fn new(device: &Device) -> Self {
        device.seed(7);
        let encoder = TransformerEncoderConfig::new(WIDTH, 2 * WIDTH, 2, 1).with_dropout(0.0);
        Self {
            tokens: EmbeddingConfig::new(LETTERS + 1, WIDTH).init(device),
            positions: EmbeddingConfig::new(LENGTH, WIDTH).init(device),
            encoder: encoder.init(device),
            head: LinearConfig::new(WIDTH, LETTERS).init(device),
        }
    }

    /// Logits [rows, LENGTH, LETTERS] of every token given those before it.
    fn logits(&self, strings: &Words) -> Tensor<3> {
        let device = self.head.weight.val().device().inner();
        let integers = |values: Vec<i64>, rows: usize| -> Tensor<2, Int> {
            Tensor::from_data(TensorData::new(values, [rows, LENGTH]), &device)
        };
        let before = |word: &[usize; LENGTH]| -> [i64; LENGTH] {
            std::array::from_fn(|i| if i == 0 { LETTERS } else { word[i - 1] } as i64)
        };
        let rows = strings.0.len();
        let shifted = strings.0.iter().flat_map(before).collect();
        let embedded = self.tokens.forward(integers(shifted, rows))
            + self
                .positions
                .forward(integers((0..LENGTH as i64).collect(), 1));
        let mask = generate_autoregressive_mask(rows, LENGTH, &device);
        let input = TransformerEncoderInput::new(embedded).mask_attn(mask);
        self.head.forward(self.encoder.forward(input))
    }
}

/// Strings; also the paths, since there is one way to write a string.
#[derive(Clone)]
struct Words(Vec<[usize; LENGTH]>);

impl Batched for Words {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn pick(&self, rows: &[usize]) -> Self {
        Self(rows.iter().map(|&row| self.0[row]).collect())
    }
    fn join(parts: &[Self]) -> Self {
        Self(parts.iter().flat_map(|part| part.0.clone()).collect())
    }
    fn numbers(&self) -> Vec<f64> {
        self.0.iter().flatten().map(|&t| t as f64).collect()
    }
}

/// What the fine-tuner asks of a model.
#[derive(Clone)]
struct Writer(Transformer);

impl SequentialModel for Writer {
    type Weights = Transformer;
    type Condition = Tensor<2>;
    type Sample = Words;
    type Path = Words;

    fn weights(&self) -> &Transformer {
        &self.0
    }
    fn with_weights(&self, weights: Transformer) -> Self {
        Self(weights)
    }
    fn num_steps(&self) -> usize {
        LENGTH
    }
    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<Words> {
        let mut words = Words(vec![[0; LENGTH]; condition.dims()[0]]);
        let net = self.0.valid();
        for step in 0..LENGTH {
            let shares = host64(activation::softmax(net.logits(&words), 2));
            let draws = noise.uniform_rows(words.0.len(), 1);
            for (row, (word, mut left)) in words.0.iter_mut().zip(draws).enumerate() {
                let at = (row * LENGTH + step) * LETTERS;
                let shares = &shares[at..at + LETTERS];
                let drawn = shares.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                word[step] = drawn.unwrap_or(LETTERS - 1);
            }
        }
        let scores = self.step_log_probs(&words, 0..LENGTH);
        Scored {
            path: words,
            scores,
        }
    }
    fn path_to(&self, _: &Tensor<2>, sample: &Words, _: &mut Noise) -> Words {
        sample.clone()
    }
    fn sample_of(&self, path: &Words) -> Words {
        path.clone()
    }
    fn step_log_probs(&self, path: &Words, steps: Range<usize>) -> Tensor<2> {
        let log_probs = activation::log_softmax(self.0.logits(path), 2);
        let device = log_probs.device().inner();
        let chosen: Vec<i64> = path.0.iter().flatten().map(|&t| t as i64).collect();
        let rows = path.0.len();
        let chosen = TensorData::new(chosen, [rows, LENGTH, 1]);
        let chosen = Tensor::<3, Int>::from_data(chosen, &device);
        let all = log_probs.gather(2, chosen).reshape([rows, LENGTH]);
        all.slice([0..rows, steps])
    }
}

/// log r: two nats for every pair of equal neighbours.
fn log_reward(words: &Words) -> Vec<f64> {
    let pairs = |w: &[usize; LENGTH]| w.windows(2).filter(|p| p[0] == p[1]).count();
    words.0.iter().map(|w| 2.0 * pairs(w) as f64).collect()
}

/// The probability of every string, exactly.
fn enumerate(model: &Writer, all: &Words) -> Vec<f64> {
    let scores = host(model.step_log_probs(all, 0..LENGTH));
    let rows = scores.chunks_exact(LENGTH);
    rows.map(|row| f64::from(row.iter().sum::<f32>()).exp())
        .collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let digit = |i: usize, place: usize| i / LETTERS.pow(place as u32) % LETTERS;
    let all = Words(
        (0..256)
            .map(|i| std::array::from_fn(|place| digit(i, place)))
            .collect(),
    );
    let prior = Writer(Transformer::new(&device).valid());
    let none = |rows: usize| Tensor::<2>::zeros([rows, 1], &device);
    conformity::check(&prior, &none(8), conformity::Settings::default())
        .map_err(|broken| broken.join("\n"))?;
    let weights: Vec<f64> = enumerate(&prior, &all)
        .iter()
        .zip(log_reward(&all))
        .map(|(p, r)| p * r.exp())
        .collect();
    let z: f64 = weights.iter().sum();
    let distance = |model: &Writer| -> f64 {
        let found = enumerate(model, &all);
        0.5 * found
            .iter()
            .zip(&weights)
            .map(|(q, w)| (q - w / z).abs())
            .sum::<f64>()
    };
    let adam = Adam::new(AdamConfig::plain(1e-2));
    let mixture = Mixture::on_policy(64);
    let mut tuner = Finetuner::new(prior.clone(), prior.clone(), adam, mixture, &none(8))?;
    let mut log_z = 0.0;
    for update in 0..400u64 {
        tuner.set_learning_rate(1e-2 * (1.0 - update as f32 / 400.0) + 1e-4);
        let batch = Batch::new(none(1));
        let reward = |words: &Words, _: &Tensor<2>| log_reward(words);
        let mut noise = Noise::keyed(1, "update", update);
        log_z = tuner.update(&batch, &reward, &mut noise)?.log_z;
    }
    let (before, after) = (distance(&prior), distance(tuner.posterior()));
    println!("total variation to the exact posterior: {before:.3} before, {after:.3} after");
    println!("log Z: exact {:.3}, learned {log_z:.3}", z.ln());
    assert!(after < 0.05, "the posterior must come close");
    Ok(())
}
