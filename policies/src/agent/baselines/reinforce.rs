//! REINFORCE with a KL penalty, correctly specified: maximise E_q[log r − log q + log p], the log-reward itself and not its
//! exponential, and the KL itself and not its square. Its optimum is the same posterior.
//!
//! The weight of ∇log q of a step is the cost from that step on minus its mean over the group.

use burn::tensor::Tensor;

use super::tilt::Tilt;
use crate::models::GaussianDiffusion;
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Scored, SequentialModel};

/// Returns the scalar to descend, from fresh paths of the model; groups are `paths` consecutive rows.
pub(super) fn surrogate(
    tilt: &Tilt,
    tracked: &GaussianDiffusion,
    condition: &Tensor<2>,
    paths: usize,
    noise: &mut Noise,
) -> Tensor<1> {
    let steps = tracked.num_steps();
    let Scored { path, scores } = tracked.sample_path(condition, noise);
    let value = |sample: &Tensor<2>, c: &Tensor<2>| tilt.log_reward_of(sample, c);
    let reward = Reward {
        value: &value,
        alpha: 1.0,
    };
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let paths_of = Paths {
        condition,
        path: &path,
    };
    let found = score(tracked, &tilt.prior, reward, paths_of, known);
    let (gaps, reward) = (found.gaps(), found.log_reward);
    let mut costs = vec![0.0f64; gaps.len()];
    for (row, r) in reward.iter().enumerate() {
        let mut cost = -r;
        for k in (0..steps).rev() {
            let at = row * steps + k;
            cost += gaps[at];
            costs[at] = cost;
        }
    }
    let count = reward.len() as f64;
    let mut weights = vec![0.0f32; gaps.len()];
    for group in 0..reward.len() / paths {
        for k in 0..steps {
            let cell = |i: usize| (group * paths + i) * steps + k;
            let mean = (0..paths).map(|i| costs[cell(i)]).sum::<f64>() / paths as f64;
            for i in 0..paths {
                weights[cell(i)] = ((costs[cell(i)] - mean) / count) as f32;
            }
        }
    }
    (found.tracked * matrix(weights, steps, &tilt.prior.device())).sum()
}
