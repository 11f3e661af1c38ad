//! F3: a categorical chain whose transition logits are its parameters. Small enough to enumerate every path.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::sequential::{
    ConditionFeatures, Explore, Scored, SequentialModel, StateFeatures,
};

use tiltrl_policies::models::Strings;

/// Logits [steps, states, states], flat.
#[derive(Module, Debug)]
pub struct ChainLogits {
    values: Param<Tensor<1>>,
}

/// Starts in state 0; step k goes from i to j with probability softmax(logits[k, i, ·])_j. A sample is the last state.
#[derive(Clone)]
pub struct CategoricalChain {
    logits: ChainLogits,
    /// Number of states.
    pub states: usize,
    /// Number of steps.
    pub steps: usize,
}

/// Visited states [paths, steps + 1].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainPath {
    /// States, row-major; the first is 0.
    pub visited: Strings,
}

impl CategoricalChain {
    /// Returns a chain with standard normal logits times `scale`.
    pub fn random(states: usize, steps: usize, scale: f32, seed: u64) -> Self {
        let count = steps * states * states;
        let values = Noise::keyed(seed, "chain", 0).normals(count, 1);
        let logits = values.iter().map(|v| v * scale).collect();
        Self {
            logits: ChainLogits {
                values: Param::from_tensor(vector(logits, &Device::flex())),
            },
            states,
            steps,
        }
    }

    /// Returns the logits [steps, states, states], flat.
    pub fn logits(&self) -> Tensor<1> {
        self.logits.values.val()
    }

    /// Returns every path.
    pub fn all_paths(&self) -> ChainPath {
        let tails = Strings::all(self.states, self.steps);
        let rows = tails.tokens.chunks_exact(self.steps);
        let tokens = rows.flat_map(|tail| [&[0u32], tail].concat()).collect();
        ChainPath {
            visited: Strings {
                tokens,
                length: self.steps + 1,
            },
        }
    }

    /// Returns the exact probability of every sample, in f64, by the forward recursion.
    pub fn enumerate(&self) -> Vec<f64> {
        let logits = host(self.logits());
        let n = self.states;
        let mut mass = vec![0.0; n];
        mass[0] = 1.0;
        for k in 0..self.steps {
            let mut next = vec![0.0; n];
            for (i, mass) in mass.iter().enumerate() {
                let at = (k * n + i) * n;
                let shares = softmax(&logits[at..at + n], 1.0);
                next.iter_mut()
                    .zip(shares)
                    .for_each(|(slot, p)| *slot += mass * p);
            }
            mass = next;
        }
        mass
    }
}

impl SequentialModel for CategoricalChain {
    type Weights = ChainLogits;
    type Condition = Tensor<2>;
    type Sample = Strings;
    type Path = ChainPath;

    fn weights(&self) -> &ChainLogits {
        &self.logits
    }

    fn with_weights(&self, logits: ChainLogits) -> Self {
        Self {
            logits,
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.steps
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<ChainPath> {
        let path = self.explore(condition, 1.0, noise);
        let scores = self.step_log_probs(&path, 0..self.steps);
        Scored { path, scores }
    }

    /// States between the first and the last are uniform.
    fn path_to(&self, _: &Tensor<2>, sample: &Strings, noise: &mut Noise) -> ChainPath {
        let uniforms = noise.uniform_rows(sample.tokens.len(), self.steps);
        let rows = sample.tokens.iter().zip(uniforms.chunks_exact(self.steps));
        let row = |(&last, draws): (&u32, &[f64])| {
            let between = draws[1..].iter().map(|u| (u * self.states as f64) as u32);
            [vec![0], between.collect(), vec![last]].concat()
        };
        ChainPath {
            visited: Strings {
                tokens: rows.flat_map(row).collect(),
                length: self.steps + 1,
            },
        }
    }

    fn sample_of(&self, path: &ChainPath) -> Strings {
        let rows = path.visited.tokens.chunks_exact(self.steps + 1);
        Strings {
            tokens: rows.map(|row| row[self.steps]).collect(),
            length: 1,
        }
    }

    fn step_log_probs(&self, path: &ChainPath, steps: Range<usize>) -> Tensor<2> {
        let n = self.states;
        let table = self.logits().reshape([self.steps * n, n]);
        let flat = activation::log_softmax(table, 1).reshape([self.steps * n * n]);
        let rows = path.visited.tokens.chunks_exact(self.steps + 1);
        let paths = rows.len();
        let picked: Vec<i64> = rows
            .flat_map(|row| {
                let cell = |k: usize| (k * n + row[k] as usize) * n + row[k + 1] as usize;
                steps.clone().map(move |k| cell(k) as i64)
            })
            .collect();
        let count = picked.len();
        let device = self.logits().device().inner();
        let picked = Tensor::<1, Int>::from_data(TensorData::new(picked, [count]), &device);
        flat.select(0, picked).reshape([paths, steps.len()])
    }
}

impl Explore for CategoricalChain {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> ChainPath {
        let (rows, n) = (condition.dims()[0], self.states);
        let logits = host(self.logits());
        let uniforms = noise.uniform_rows(rows, self.steps);
        let mut tokens = Vec::with_capacity(rows * (self.steps + 1));
        for draws in uniforms.chunks_exact(self.steps) {
            let mut state = 0u32;
            tokens.push(state);
            for (k, &uniform) in draws.iter().enumerate() {
                let at = (k * n + state as usize) * n;
                state = pick(&softmax(&logits[at..at + n], scale), uniform) as u32;
                tokens.push(state);
            }
        }
        ChainPath {
            visited: Strings {
                tokens,
                length: self.steps + 1,
            },
        }
    }
}

impl ConditionFeatures for CategoricalChain {
    fn condition_width(&self) -> usize {
        1
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        Tensor::zeros([condition.dims()[0], 1], &self.logits().device().inner())
    }
}

impl StateFeatures for CategoricalChain {
    fn state_width(&self) -> usize {
        self.steps * self.states
    }

    fn state_features(&self, path: &ChainPath, step: usize) -> Tensor<2> {
        let width = self.steps * self.states;
        let rows = path.visited.tokens.chunks_exact(self.steps + 1);
        let mut hot = vec![0.0; rows.len() * width];
        for (i, row) in rows.enumerate() {
            hot[i * width + step * self.states + row[step] as usize] = 1.0;
        }
        matrix(hot, width, &self.logits().device().inner())
    }
}

fn pick(probabilities: &[f64], uniform: f64) -> usize {
    let mut below = 0.0;
    let ends = probabilities.iter().map(|p| {
        below += p;
        below
    });
    let passed = ends.take_while(|end| uniform >= *end).count();
    passed.min(probabilities.len() - 1)
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let weights = logits.iter().map(|l| (f64::from(*l) / temperature).exp());
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}
