//! The network of the rationales: it sees the running value and the operations that are left, and writes the next value.
//!
//! What it sees is counted from the step on, so that a step of a longer question looks like one of a shorter. It also sees by how much
//! the steps so far are off: after a wrong step the answer does not follow from what is left, and the posterior undoes the error.
//! With nothing left it writes the answer.

use std::collections::HashMap;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData, activation};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, MlpSpec};
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::{CausalNet, Contexts, Mlp};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::weights;

use super::questions::{LEAST, OPERANDS, Question, VALUES, WIDTH, token};

/// Columns of an operation that is left: its digit in one-hot, and plus or minus.
const OPERATION: usize = 12;
/// Columns of the running value and of what is left.
const LEFT: usize = VALUES + OPERATION * (OPERANDS - 1);
/// Largest error of the running value that is told from larger ones.
const OFF: i32 = 9;
/// Columns of the input: those, and the running value's error in one-hot; none is set where it is right.
const INPUTS: usize = LEFT + 2 * OFF as usize + 1;
/// Added to the logit of a value that a step cannot have.
const CLOSED: f32 = -1e4;

/// A model of rationales given questions.
pub type Rationales = Autoregressive<StepNet>;

/// Logits of a rationale's next step, given the question and what stands before it.
#[derive(Module, Debug)]
pub struct StepNet {
    net: Mlp,
    outputs: usize,
}

impl StepNet {
    /// Returns a network with random weights; it does not see errors until it learns to.
    pub fn new(hidden: usize, noise: &mut Noise, compute: &Compute) -> Self {
        let spec = MlpSpec {
            sizes: vec![INPUTS, hidden, hidden, VALUES + 1],
            activation: Activation::Silu,
            layer_norm: false,
        };
        let net = Mlp::new(spec, 1.0, noise, compute);
        // The first layer comes first, a row per input.
        let mut values = host(net.parameters());
        values[LEFT * hidden..INPUTS * hidden].fill(0.0);
        let values = tiltrl_tilt::host::vector(values, &compute.device);
        Self {
            net: weights::with_tensors(net, vec![values]),
            outputs: VALUES + 1,
        }
    }

    /// Logits [rows, VALUES + 1] of rows of the input.
    fn forward(&self, rows: Vec<f32>) -> Tensor<2> {
        let device = self.net.parameters().device().inner();
        self.net.forward(matrix(rows, INPUTS, &device))
    }

    /// Returns log p(answer | last value), [rows, VALUES + 1]; tracked where the network is.
    pub fn answers(&self, last: &[usize]) -> Tensor<2> {
        let mut rows = vec![0.0; last.len() * INPUTS];
        for (row, &value) in rows.chunks_exact_mut(INPUTS).zip(last) {
            row[value] = 1.0;
        }
        activation::log_softmax(self.forward(rows), 1)
    }

    /// Returns the probabilities of the next value after each of these running values at a step, a row each.
    pub fn next_values(&self, question: &Question, step: usize, before: &[usize]) -> Vec<Vec<f64>> {
        let mut rows = vec![0.0; before.len() * INPUTS];
        for (row, &value) in rows.chunks_exact_mut(INPUTS).zip(before) {
            fill(row, question, step, value);
        }
        let logits = host(self.forward(rows));
        let closed = closed(question, step);
        logits
            .chunks_exact(VALUES + 1)
            .map(|row| {
                let open = row.iter().zip(&closed).map(|(l, c)| f64::from(l + c));
                let open: Vec<f64> = open.collect();
                let top = open.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = open.iter().map(|l| (l - top).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights[..VALUES].iter().map(|w| w / sum).collect()
            })
            .collect()
    }
}

/// Fills the input of a step from a running value.
fn fill(row: &mut [f32], question: &Question, step: usize, value: usize) {
    row[value] = 1.0;
    for (ahead, at) in (step..question.steps()).enumerate() {
        let columns = VALUES + ahead * OPERATION;
        row[columns + question.operands[at + 1] as usize] = 1.0;
        row[columns + 10 + usize::from(question.minus[at])] = 1.0;
    }
    let right = match step {
        0 => question.operands[0],
        _ => question.values()[step - 1],
    };
    let off = (value as i32 + LEAST - right).clamp(-OFF, OFF);
    if off != 0 {
        row[LEFT + (off + OFF) as usize] = 1.0;
    }
}

/// What a step cannot write: values out of its range, and the end before the last.
fn closed(question: &Question, step: usize) -> Vec<f32> {
    let mut out = vec![CLOSED; VALUES + 1];
    if step >= question.steps() {
        out[VALUES] = 0.0;
    } else {
        let [low, high] = Question::range(step);
        out[token(low)..=token(high)].fill(0.0);
    }
    out
}

impl CausalNet for StepNet {
    fn vocabulary(&self) -> usize {
        self.outputs
    }

    fn length(&self) -> usize {
        OPERANDS - 1
    }

    fn logits(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<3> {
        let (rows, count) = (condition.dims()[0], positions.len());
        let Contexts { logits, which } = self.contexts(strings, positions, condition);
        let which: Vec<i64> = which.iter().map(|&at| at as i64).collect();
        let device = logits.device().inner();
        let which = Tensor::<1, Int>::from_data(TensorData::new(which, [rows * count]), &device);
        let logits = logits.select(0, which);
        logits.reshape([rows, count, VALUES + 1])
    }

    /// The question, the step and the running value are all that the network sees; the rationales of a question share them.
    fn contexts(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Contexts {
        let conditions = host(condition.clone());
        let questions: Vec<Question> = conditions
            .chunks_exact(WIDTH)
            .map(Question::decoded)
            .collect();
        let (mut seen, mut which) = (HashMap::new(), Vec::new());
        let (mut inputs, mut added) = (Vec::new(), Vec::new());
        for (question, row) in questions
            .iter()
            .zip(strings.tokens.chunks_exact(strings.length))
        {
            for step in positions.clone() {
                let before = match step {
                    0 => token(question.operands[0]),
                    _ => row[step - 1] as usize,
                };
                let goes_on = before < VALUES && step < question.steps();
                let own = goes_on.then_some((before, &question.operands, &question.minus));
                let next = seen.len();
                let ended = step >= question.steps();
                let at = *seen.entry((step, ended, own)).or_insert(next);
                if at == next {
                    let start = inputs.len();
                    inputs.resize(start + INPUTS, 0.0);
                    if goes_on {
                        fill(&mut inputs[start..], question, step, before);
                    }
                    added.extend(closed(question, step));
                }
                which.push(at);
            }
        }
        let outputs = self.forward(inputs);
        let device = outputs.device().inner();
        Contexts {
            logits: outputs + matrix(added, VALUES + 1, &device),
            which,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a wrong step the answer does not follow from what is left: the input says how wrong it was, and nothing where it was right.
    #[test]
    fn errors_are_seen_and_right_steps_look_alike() {
        let row = |text: &str, before: i32| {
            let question = Question::parse(&format!("Question: {text} = ? Answer:"));
            let mut row = vec![0.0; INPUTS];
            fill(&mut row, &question.expect("one"), 2, token(before));
            row
        };
        // 6 - 3 + 4 and 2 + 1 + 4 are 7.
        let right = row("6 - 3 + 4 - 1", 7);
        assert_eq!(right, row("2 + 1 + 4 - 1", 7));
        assert_eq!(right.iter().sum::<f32>(), 1.0 + 2.0);
        let [low, high] = [row("7 - 3 + 4 - 1", 7), row("5 - 3 + 4 - 1", 7)];
        assert_eq!(low[..LEFT], right[..LEFT]);
        assert_eq!((low[LEFT + 8], high[LEFT + 10]), (1.0, 1.0));
        let net = StepNet::new(8, &mut Noise::keyed(1, "net", 0), &Compute::cpu());
        let next = |text: &str| {
            let question = Question::parse(&format!("Question: {text} = ? Answer:"));
            net.next_values(&question.expect("one"), 2, &[token(7)])
        };
        let same = next("6 - 3 + 4 - 1") == next("9 - 3 + 4 - 1");
        assert!(same, "a new network does not see it yet");
    }
}
