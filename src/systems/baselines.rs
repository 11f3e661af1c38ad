//! Baselines of every system, for any sequential model: policy gradient with and without the KL to the prior, and training on
//! the best samples.

use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Batched, Scored, SequentialModel};
use tiltrl_tilt::weights;

use super::request::Request;
use super::train::{Descent, Recipe, Target, Tuned, descend, slug};
use crate::error::Error;

/// Trains by REINFORCE on E_q[log r] − `kl` · KL(q‖p), with the mean of the group as its baseline.
///
/// `kl` = 1 is the correctly specified one, whose optimum is the posterior; 0 is the reward alone. The reward is log r itself
/// and the KL is that of the path. `paths` paths per condition.
///
/// # Errors
/// As [`descend`].
pub fn policy_gradient<M: SequentialModel>(
    target: &Target<'_, M>,
    recipe: &Recipe,
    paths: usize,
    kl: f64,
    request: &Request,
) -> Result<Tuned<M>, Error> {
    let word = if kl > 0.0 { "gradient-kl" } else { "gradient" };
    let name = format!("{word}-{}", slug(target.task));
    let loss = |tracked: &M, noise: &mut Noise| reinforce(target, tracked, (paths, kl), noise);
    let start = target.prior.clone();
    descend(&name, start, recipe, &loss, target.distance, request)
}

fn reinforce<M: SequentialModel>(
    target: &Target<'_, M>,
    tracked: &M,
    (paths, kl): (usize, f64),
    noise: &mut Noise,
) -> Descent {
    let condition = (target.conditions)(noise).repeated(paths);
    let Scored { path, scores } = tracked.sample_path(&condition, noise);
    let reward = Reward {
        value: target.log_reward,
        alpha: 1.0,
    };
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let drawn = Paths {
        condition: &condition,
        path: &path,
    };
    let found = score(tracked, target.prior, reward, drawn, known);
    let (steps, gaps) = (found.num_steps, found.gaps());
    let count = found.log_reward.len();
    // The cost from each step on: rewards come at the end, the KL step by step.
    let mut costs = vec![0.0f64; gaps.len()];
    for (row, reward) in found.log_reward.iter().enumerate() {
        let mut cost = -reward;
        for at in (row * steps..(row + 1) * steps).rev() {
            cost += kl * gaps[at];
            costs[at] = cost;
        }
    }
    let mut by_step = vec![0.0f32; gaps.len()];
    for group in 0..count / paths {
        for step in 0..steps {
            let cell = |path: usize| (group * paths + path) * steps + step;
            let mean = (0..paths).map(|i| costs[cell(i)]).sum::<f64>() / paths as f64;
            for i in 0..paths {
                by_step[cell(i)] = ((costs[cell(i)] - mean) / count as f64) as f32;
            }
        }
    }
    let loss = costs.iter().step_by(steps).sum::<f64>() / count as f64;
    let device = weights::device(target.prior.weights());
    Descent {
        surrogate: (found.tracked * matrix(by_step, steps, &device)).sum(),
        loss,
    }
}

/// Trains on the `keep` best of `pool` samples of the prior under one condition each, by maximum likelihood of paths to them.
///
/// # Errors
/// As [`descend`].
pub fn best_samples<M: SequentialModel>(
    target: &Target<'_, M>,
    recipe: &Recipe,
    paths: usize,
    [pool, keep]: [usize; 2],
    request: &Request,
) -> Result<Tuned<M>, Error> {
    let name = format!("best-{}", slug(target.task));
    let mut noise = Noise::keyed(request.seed, &format!("{name}-pool"), 0);
    let condition = (target.conditions)(&mut noise);
    let repeated = condition.repeated(pool.div_ceil(condition.count()));
    let prior = target.prior;
    let path = prior.sample_path(&repeated, &mut noise).path;
    let samples = prior.sample_of(&path);
    let rewards = (target.log_reward)(&samples, &repeated);
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|&a, &b| rewards[b].total_cmp(&rewards[a]));
    order.truncate(keep);
    let (samples, conditions) = (samples.pick(&order), repeated.pick(&order));
    let loss = |tracked: &M, noise: &mut Noise| {
        let rows = noise.indices(paths, order.len());
        let path = prior.path_to(&conditions.pick(&rows), &samples.pick(&rows), noise);
        let scores = tracked.step_log_probs(&path, 0..tracked.num_steps());
        let surrogate = scores.sum() * (-1.0 / paths as f32);
        Descent {
            loss: tiltrl_tilt::host::host64(surrogate.clone())[0],
            surrogate,
        }
    };
    descend(
        &name,
        prior.clone(),
        recipe,
        &loss,
        target.distance,
        request,
    )
}
