//! REINFORCE with a KL penalty, correctly specified: maximise E_q[log r − log q + log p], the log-reward itself and not its
//! exponential, and the KL itself and not its square. Its optimum is the same posterior.
//!
//! The weight of ∇log q of a step is the cost from that step on minus its mean over the group.

use burn::tensor::Tensor;

use crate::error::PolicyError;
use crate::gaussian::GaussianDiffusion;
use crate::kernels::adam::{Adam, AdamConfig};
use crate::nets::{host, matrix, vector};
use crate::noise::Noise;
use crate::sequential::SequentialModel;
use crate::solve::{Recipe, decay, repeated};
use crate::worlds::Problem;

/// Fine-tunes a world's prior and returns the model.
///
/// # Errors
/// [`PolicyError::NonFinite`].
pub fn reinforce(problem: &Problem, recipe: &Recipe) -> Result<GaussianDiffusion, PolicyError> {
    let paths = recipe.paths.total();
    train(
        problem,
        recipe,
        "reinforce",
        &|tracked, condition, noise| {
            let steps = tracked.num_steps();
            let (path, scores) = tracked.sample_path(condition, noise);
            let q = host(scores.clone().detach());
            let p = host(problem.prior.step_log_probs(&path, 0..steps));
            let reward = problem.log_reward_of(&tracked.sample_of(&path), condition);
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
            let device = problem.prior.parameters().device();
            (scores * matrix(weights, steps, &device)).sum()
        },
    )
}

/// One update's surrogate: (tracked model, condition rows, noise) → the scalar to descend.
pub(super) type Surrogate<'a> =
    dyn Fn(&GaussianDiffusion, &Tensor<2>, &mut Noise) -> Tensor<1> + 'a;

/// Descends a surrogate with the recipe's schedule; shared by all trained baselines.
pub(super) fn train(
    problem: &Problem,
    recipe: &Recipe,
    stage: &'static str,
    surrogate: &Surrogate<'_>,
) -> Result<GaussianDiffusion, PolicyError> {
    let mut model = problem.prior.clone();
    let adam = AdamConfig {
        learning_rate: recipe.learning_rate,
        weight_decay: 0.0,
        max_gradient_norm: recipe.max_gradient_norm,
    };
    let mut optimizer = Adam::new(adam, model.parameters().dims()[0]);
    let device = model.parameters().device();
    for update in 0..recipe.updates {
        let mut noise = Noise::keyed(recipe.seed, stage, update);
        let rows = (problem.draw)(recipe.conditions, &mut noise);
        let condition = repeated(&rows, problem.width, recipe.paths.total());
        let tracked = model.with_parameters(model.parameters().autodiff().require_grad());
        let loss = surrogate(&tracked, &condition, &mut noise);
        let gradients = loss.backward();
        let gradient = host(tracked.parameters().grad(&gradients).expect("tracked"));
        if !gradient.iter().all(|g| g.is_finite()) {
            return Err(PolicyError::NonFinite {
                stage,
                what: "gradient",
                update,
            });
        }
        optimizer.config.learning_rate = recipe.learning_rate * decay(update, recipe.updates);
        let mut parameters = host(model.parameters());
        optimizer.step(&mut parameters, &gradient);
        model = model.with_parameters(vector(parameters, &device));
    }
    Ok(model)
}
