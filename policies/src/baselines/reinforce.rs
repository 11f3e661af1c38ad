//! REINFORCE with a KL penalty, correctly specified: maximise E_q[log r − log q + log p], the log-reward itself and not its
//! exponential, and the KL itself and not its square. Its optimum is the same posterior.
//!
//! The weight of ∇log q of a step is the cost from that step on minus its mean over the group.

use burn::tensor::Tensor;

use super::Tilt;
use crate::gaussian::GaussianDiffusion;
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::sequential::SequentialModel;

/// Returns the scalar to descend, from fresh paths of the model; groups are `paths` consecutive rows.
pub(super) fn surrogate(
    tilt: &Tilt,
    tracked: &GaussianDiffusion,
    condition: &Tensor<2>,
    paths: usize,
    noise: &mut Noise,
) -> Tensor<1> {
    let steps = tracked.num_steps();
    let (path, scores) = tracked.sample_path(condition, noise);
    let q = host(scores.clone().detach());
    let p = host(tilt.prior.step_log_probs(&path, 0..steps));
    let reward = tilt.log_reward_of(&tracked.sample_of(&path), condition);
    let mut costs = vec![0.0f64; q.len()];
    for (row, r) in reward.iter().enumerate() {
        let mut cost = -r;
        for k in (0..steps).rev() {
            let at = row * steps + k;
            cost += f64::from(q[at]) - f64::from(p[at]);
            costs[at] = cost;
        }
    }
    let count = reward.len() as f64;
    let mut weights = vec![0.0f32; q.len()];
    for group in 0..reward.len() / paths {
        for k in 0..steps {
            let cell = |i: usize| (group * paths + i) * steps + k;
            let mean = (0..paths).map(|i| costs[cell(i)]).sum::<f64>() / paths as f64;
            for i in 0..paths {
                weights[cell(i)] = ((costs[cell(i)] - mean) / count) as f32;
            }
        }
    }
    let device = tilt.prior.parameters().device();
    (scores * matrix(weights, steps, &device)).sum()
}
