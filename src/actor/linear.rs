//! A layer of a perceptron in f32.

/// Partial sums of a dot product; a fixed number, so that the result is the same everywhere.
const LANES: usize = 16;

/// A matrix and what is added to its products.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub(super) inputs: usize,
    /// `[outputs, inputs]`, row-major.
    pub(super) weights: Vec<f32>,
    /// What is added, `[outputs]`.
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    pub(super) fn apply(&self, input: &[f32], activation: impl Fn(f32) -> f32) -> Vec<f32> {
        let rows = self.weights.chunks_exact(self.inputs);
        rows.zip(&self.bias)
            .map(|(row, bias)| activation(dot(row, input) + bias))
            .collect()
    }
}

/// The dot product, summed in a fixed order that vectorises.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (left_blocks, right_blocks) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = left_blocks.remainder().iter().zip(right_blocks.remainder());
    for (left, right) in left_blocks.zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = rest.map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f32>() + rest
}
