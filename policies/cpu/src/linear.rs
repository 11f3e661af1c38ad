//! Scores of rows of a network's outputs, computed on the host and back-propagated as one operation.
//!
//! A log-softmax has a gradient that is known where its value is. Several scores may belong to one row of outputs: a network then
//! reads each distinct input once.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Scores with their gradients.
#[derive(Clone, Debug, Default)]
pub struct HostScores {
    /// The row of outputs that each score belongs to, `[scores]`.
    pub rows: Vec<usize>,
    /// The scores, `[scores]`.
    pub values: Vec<f32>,
    /// Gradient of each score by its row of outputs, [scores, columns].
    pub gradient: Vec<f32>,
}

/// Backends on which scores of the host enter the graph as one operation.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ScoreBackend: Backend {
    /// Returns the scores, `[scores]`.
    fn host_scores(outputs: FloatTensor<Self>, scores: Arc<HostScores>) -> FloatTensor<Self>;
}

fn found(scores: &HostScores) -> FloatTensor<Flex> {
    let values = scores.values.clone();
    let count = values.len();
    FloatTensor::<Flex>::from_data(TensorData::new(values, [count]))
}

impl ScoreBackend for Flex {
    fn host_scores(_: FloatTensor<Self>, scores: Arc<HostScores>) -> FloatTensor<Self> {
        found(&scores)
    }
}

#[derive(Debug)]
struct RowScores;

#[derive(Clone, Debug)]
struct RowState {
    scores: Arc<HostScores>,
    shape: [usize; 2],
}

impl Backward<Flex, 1> for RowScores {
    type State = RowState;

    fn backward(self, ops: Ops<RowState, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let weights = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Some(node) = node else { return };
        let weights = weights.as_slice::<f32>().expect("made contiguous");
        let RowState { scores, shape } = ops.state;
        let [rows, columns] = shape;
        let mut sum = vec![0.0f32; rows * columns];
        let gradients = scores.gradient.chunks_exact(columns);
        for ((&row, gradient), &weight) in scores.rows.iter().zip(gradients).zip(weights) {
            let slots = sum[row * columns..(row + 1) * columns].iter_mut();
            slots
                .zip(gradient)
                .for_each(|(slot, g)| *slot += weight * g);
        }
        let sum = FloatTensor::<Flex>::from_data(TensorData::new(sum, [rows, columns]));
        grads.register::<Flex>(node.id, sum);
    }
}

impl<C: CheckpointStrategy> ScoreBackend for Autodiff<Flex, C> {
    fn host_scores(outputs: FloatTensor<Self>, scores: Arc<HostScores>) -> FloatTensor<Self> {
        let prepared = RowScores.prepare::<C>([outputs.node()]).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(prep) => {
                let columns = scores.gradient.len() / scores.values.len().max(1);
                let outputs = outputs.into_primitive().to_contiguous();
                let cells = outputs.as_slice::<f32>().expect("made contiguous").len();
                let state = RowState {
                    shape: [cells / columns.max(1), columns],
                    scores: scores.clone(),
                };
                prep.finish(state, found(&scores))
            }
            OpsKind::UnTracked(prep) => prep.finish(found(&scores)),
        }
    }
}

/// Returns the scores as a tensor `[scores]` whose gradient by `outputs` [rows, columns] is the one given.
///
/// # Panics
/// When the gradient has not one row of columns per score.
pub fn host_scores(outputs: Tensor<2>, scores: HostScores) -> Tensor<1> {
    let [count, columns] = [scores.values.len(), outputs.dims()[1]];
    assert_eq!(scores.gradient.len(), count * columns, "a row per score");
    if outputs.device().inner() == Device::flex() {
        let outputs = outputs.into_dispatch();
        let found = <Dispatch as ScoreBackend>::host_scores(outputs, Arc::new(scores));
        return Tensor::from_dispatch(found);
    }
    linear_portable(outputs, scores)
}

/// Returns the same from plain burn operations: the reference, and the path of other backends.
fn linear_portable(outputs: Tensor<2>, scores: HostScores) -> Tensor<1> {
    let [count, columns] = [scores.values.len(), outputs.dims()[1]];
    let device = outputs.device().inner();
    let rows: Vec<i64> = scores.rows.iter().map(|&row| row as i64).collect();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device);
    let gradient = TensorData::new(scores.gradient, [count, columns]);
    let gradient = Tensor::<2>::from_data(gradient, &device);
    let linear = (outputs.select(0, rows) * gradient)
        .sum_dim(1)
        .reshape([count]);
    let values = Tensor::<1>::from_data(TensorData::new(scores.values, [count]), &device);
    // The value is the score, the derivative that of the linear form.
    let rest = values - linear.clone().without_autodiff();
    linear + rest
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::host::{host, matrix, vector};

    use super::*;

    /// Value and gradient of the operation are those of plain tensor operations, rows with several scores and with none included.
    #[test]
    fn the_operation_is_the_linear_form_of_plain_tensors() {
        let device = Device::flex();
        let scores = HostScores {
            rows: vec![2, 0, 2, 0],
            values: vec![0.5, -1.0, 2.0, 0.25],
            gradient: (0..12).map(|i| (i as f32).sin()).collect(),
        };
        let outputs = matrix((0..9).map(|i| (i as f32).cos()).collect(), 3, &device);
        let weights = vector(vec![1.0, -2.0, 0.5, 3.0], &device);
        let found = [host_scores, linear_portable].map(|score| {
            let tracked = outputs.clone().autodiff().require_grad();
            let found = score(tracked.clone(), scores.clone());
            let values = host(found.clone());
            let gradients = (found * weights.clone()).sum().backward();
            let gradient = tracked.grad(&gradients).expect("tracked");
            [values, host(gradient)]
        });
        assert_eq!(host(host_scores(outputs, scores.clone())), scores.values);
        for (one, other) in found[0].iter().zip(&found[1]) {
            assert_eq!(one.len(), other.len());
            let near = one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near, "{one:?} {other:?}");
        }
        assert!(found[0][1][3..6].iter().all(|g| *g == 0.0), "no score");
        assert!(found[0][1][..3].iter().any(|g| g.abs() > 0.1));
    }
}
