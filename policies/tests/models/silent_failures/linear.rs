//! On the linear-Gaussian world.

use burn::tensor::Tensor;
use tiltrl_policies::Compute;
use tiltrl_policies::fast::Activation;
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::nets::{NetworkShape, Perceptron};
use tiltrl_policies::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::rtb::{effective_share, log_mean_exp, log_weights};
use tiltrl_policies::tilt::sequential::{Scored, SequentialModel};
use tiltrl_policies::tilt::weights;
use tiltrl_policies::worlds::LinearGaussian;

use super::common::{Tuner, cosine, first, fixed, mean, none, path_sums, tuner};

/// Trains on a linear-Gaussian world with any mixture of sources and any log-reward scale.
fn train(
    world: LinearGaussian,
    schedule: &Schedule,
    mixture: Mixture,
    scale: f64,
    updates: u64,
) -> Tuner<GaussianDiffusion> {
    let prior = world.prior(&fixed(schedule.clone(), 32, 3));
    let mut tuner = tuner(&prior, 5e-3, mixture);
    let reward = |sample: &Tensor<2>, _: &Tensor<2>| -> Vec<f64> {
        let first = first(sample);
        first.iter().map(|&x| scale * world.log_reward(x)).collect()
    };
    for update in 0..updates {
        tuner.set_learning_rate(if update * 3 < updates * 2 { 5e-3 } else { 5e-4 });
        let data = (mixture.data > 0)
            .then(|| prior.sample(&none(mixture.data), &mut Noise::keyed(9, "data", update)));
        let batch = Batch {
            conditions: none(1),
            data,
        };
        let mut noise = Noise::keyed(4, "test", update);
        tuner.update(&batch, &reward, &mut noise).expect("finite");
    }
    tuner
}

fn posterior_mean(tuner: &Tuner<GaussianDiffusion>) -> f64 {
    let mut noise = Noise::keyed(5, "sample", 0);
    mean(&first(&tuner.posterior().sample(&none(40_000), &mut noise)))
}

const ON_POLICY: Mixture = Mixture {
    on_policy: 128,
    prior: 0,
    data: 0,
};

#[test]
fn silent_failure_03_the_mean_shifts_by_b_times_the_variance() {
    let world = LinearGaussian {
        mean: -0.3,
        std: 0.7,
        b: 2.0,
        c: 0.0,
        dim: 1,
    };
    let schedule = cosine(15);
    let [m, v, _] = world.marginal(&schedule);
    let shift = (posterior_mean(&train(world, &schedule, ON_POLICY, 1.0, 500)) - m) / (world.b * v);
    assert!((shift - 1.0).abs() < 0.03, "shift ratio {shift}");
}

#[test]
fn silent_failure_03_a_schedule_with_memory_tilts_too_weakly() {
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let schedule = Schedule::unchecked(ScheduleKind::UnscaledLinear, 75, Prediction::Epsilon);
    let [m, v, _] = world.marginal(&schedule);
    let shift = (posterior_mean(&train(world, &schedule, ON_POLICY, 1.0, 300)) - m) / (world.b * v);
    assert!(
        (0.45..0.65).contains(&shift),
        "shift ratio {shift}, predicted 0.55"
    );
}

#[test]
fn silent_failure_04_the_posterior_starts_as_the_prior() {
    let shape = NetworkShape {
        dim: 3,
        condition_dim: 5,
        outputs: 3,
        hidden: vec![32],
        activation: Activation::Silu,
        waves: 0,
    };
    let compute = Compute::cpu();
    let net = Perceptron::new(&shape, 1.0, &mut Noise::keyed(1, "net", 0), &compute);
    let schedule = Schedule::new(ScheduleKind::Cosine, 10, Prediction::Velocity);
    let prior = GaussianDiffusion::new(
        net,
        schedule.expect("memoryless"),
        [3, 5],
        StepShape::default(),
    )
    .expect("fits");
    let condition = matrix(
        Noise::keyed(2, "condition", 0).normals(1000, 5),
        5,
        &compute.device,
    );
    let adam = super::common::adam(1e-3);
    let tuner =
        Finetuner::new(prior.clone(), prior, adam, ON_POLICY, &condition).expect("the same");
    let Scored { path, scores } = tuner
        .posterior()
        .sample_path(&condition, &mut Noise::keyed(3, "path", 0));
    let prior_scores = tuner.prior().step_log_probs(&path, 0..10);
    let worst = path_sums(scores)
        .iter()
        .zip(path_sums(prior_scores))
        .map(|(q, p)| (q - p).abs())
        .fold(0.0, f64::max);
    assert!(worst < 1e-4, "largest |log-ratio| {worst}");
}

#[test]
fn silent_failure_05_off_policy_paths_carry_their_reward() {
    let world = LinearGaussian {
        mean: 0.2,
        std: 0.8,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let schedule = cosine(10);
    let [m, v, _] = world.marginal(&schedule);
    // One on-policy path per group is only there for the log; nearly all gradient comes from the prior's paths.
    let mixture = Mixture {
        on_policy: 1,
        prior: 127,
        data: 0,
    };
    let shift = (posterior_mean(&train(world, &schedule, mixture, 1.0, 500)) - m) / (world.b * v);
    assert!((shift - 1.0).abs() < 0.05, "shift ratio {shift}");
}

#[test]
fn silent_failure_06_a_constant_reward_returns_the_prior() {
    let world = LinearGaussian {
        mean: 0.5,
        std: 1.0,
        b: 0.0,
        c: 0.0,
        dim: 2,
    };
    let schedule = cosine(8);
    let tuner = train(world, &schedule, ON_POLICY, 1.0, 50);
    let Scored { path, scores } = tuner
        .posterior()
        .sample_path(&none(500), &mut Noise::keyed(6, "path", 0));
    let prior = path_sums(tuner.prior().step_log_probs(&path, 0..8));
    let kl = mean(
        &path_sums(scores)
            .iter()
            .zip(&prior)
            .map(|(q, p)| q - p)
            .collect::<Vec<_>>(),
    );
    assert!(kl.abs() < 1e-3, "path-KL {kl}");
}

#[test]
fn silent_failure_07_the_tilt_does_not_depend_on_the_number_of_dimensions() {
    let schedule = cosine(8);
    for dim in [1, 4, 16] {
        let world = LinearGaussian {
            mean: 0.0,
            std: 0.9,
            b: 1.0,
            c: 0.0,
            dim,
        };
        let [m, v, _] = world.marginal(&schedule);
        let shift =
            (posterior_mean(&train(world, &schedule, ON_POLICY, 1.0, 500)) - m) / (world.b * v);
        assert!((shift - 1.0).abs() < 0.06, "dim {dim}: shift ratio {shift}");
    }
}

#[test]
fn silent_failure_08_the_shift_is_the_variance_over_alpha() {
    let schedule = cosine(10);
    let world = LinearGaussian {
        mean: 0.0,
        std: 0.8,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let [m, v, _] = world.marginal(&schedule);
    for alpha in [0.5, 1.0, 2.0] {
        let shift = posterior_mean(&train(world, &schedule, ON_POLICY, 1.0 / alpha, 500)) - m;
        assert!(
            (shift * alpha / v - 1.0).abs() < 0.04,
            "α = {alpha}: {}",
            shift * alpha / v
        );
    }
}

#[test]
fn silent_failure_09_scoring_a_stored_path_again_gives_the_sampled_scores() {
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.0,
        c: 0.0,
        dim: 3,
    };
    let prior = world.prior(&fixed(cosine(12), 16, 1));
    let Scored { path, scores } = prior.sample_path(&none(64), &mut Noise::keyed(1, "path", 0));
    let (a, b) = (host(scores), host(prior.step_log_probs(&path, 0..12)));
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-3));
    let tail = host(prior.step_log_probs(&path, 9..12));
    let expected: Vec<f32> = b
        .chunks_exact(12)
        .flat_map(|row| row[9..].to_vec())
        .collect();
    assert!(
        tail.iter()
            .zip(&expected)
            .all(|(x, y)| (x - y).abs() < 1e-5)
    );
}

#[test]
fn silent_failure_12_steps_are_scored_under_the_kernel_that_sampled_them() {
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let prior = world.prior(&fixed(cosine(10), 16, 1));
    let scores = prior
        .sample_path(&none(20_000), &mut Noise::keyed(1, "path", 0))
        .scores;
    let scores = host(scores);
    for step in 0..10 {
        // −2 log-score is χ² with one degree of freedom: mean 1, variance 2.
        let chi: f64 = scores
            .chunks_exact(10)
            .map(|row| -2.0 * f64::from(row[step]))
            .sum::<f64>()
            / 20_000.0;
        assert!((chi - 1.0).abs() < 0.05, "step {step}: {chi}");
    }
}

#[test]
fn silent_failure_14_noising_backwards_from_prior_samples_matches_the_prior_better_with_more_steps()
{
    let gap = |steps: usize| -> f64 {
        // Far from N(0, 1): a lost step leaves the start off-centre and too narrow.
        let world = LinearGaussian {
            mean: 2.0,
            std: 0.5,
            b: 0.0,
            c: 0.0,
            dim: 1,
        };
        let schedule = cosine(steps);
        let prior = world.prior(&fixed(schedule.clone(), 8, 1));
        let path = prior
            .sample_path(&none(8000), &mut Noise::keyed(1, "path", 0))
            .path;
        let back = prior.path_to(
            &none(8000),
            &prior.sample_of(&path),
            &mut Noise::keyed(2, "back", 0),
        );
        // The first state of a path noised backwards must be standard normal: memoryless and no step lost.
        let start = first(&back.states[0]);
        let square: Vec<f64> = start.iter().map(|x| x * x).collect();
        assert!(mean(&start).abs() < 0.05 && (mean(&square) - 1.0).abs() < 0.06);
        let chi = path_sums(prior.step_log_probs(&back, 0..steps));
        (mean(&chi) + 0.5 * steps as f64).abs() / steps as f64
    };
    assert!(gap(80) < gap(10), "{} {}", gap(80), gap(10));
}

#[test]
fn silent_failure_15_no_gradient_reaches_the_prior_or_the_sampled_states() {
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let tuner = train(world, &cosine(6), ON_POLICY, 1.0, 3);
    let start = world.prior(&fixed(cosine(6), 32, 3));
    let all = |m: &GaussianDiffusion| -> Vec<Vec<f32>> {
        weights::tensors(m.weights())
            .into_iter()
            .map(host)
            .collect()
    };
    assert_eq!(all(tuner.prior()), all(&start));
    assert_ne!(all(tuner.posterior()), all(&start));
    assert!(weights::tracked_names(tuner.prior().weights()).is_empty());
    assert!(weights::tracked_names(tuner.posterior().weights()).is_empty());
    let tracked = start.tracked();
    let path = tracked
        .sample_path(&none(4), &mut Noise::keyed(1, "path", 0))
        .path;
    assert!(
        path.states
            .iter()
            .all(|state| !state.device().is_autodiff())
    );
}

#[test]
fn silent_failure_15_the_on_policy_gradient_is_that_of_the_kl() {
    // E[∇½δ²] over on-policy paths = ∇KL(q ‖ posterior); checked by central differences with common noise.
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.5,
        c: 0.0,
        dim: 1,
    };
    let schedule = cosine(5);
    let model = world.prior(&fixed(schedule.clone(), 4, 1));
    let start = host(weights::tensors(model.weights()).remove(0));
    let bias = start.len() - 1;
    let kl = |shift: f32| -> f64 {
        let mut values = start.clone();
        values[bias] += shift;
        let values = vec![vector(values, &model.device())];
        let q = model.with_weights(weights::with_tensors(model.weights().clone(), values));
        let Scored { path, scores } = q.sample_path(&none(20_000), &mut Noise::keyed(8, "path", 0));
        let p = path_sums(model.step_log_probs(&path, 0..5));
        let r: Vec<f64> = first(&q.sample_of(&path))
            .iter()
            .map(|&x| world.log_reward(x))
            .collect();
        -mean(&log_weights(&path_sums(scores), &p, &r))
    };
    let numeric = (kl(0.05) - kl(-0.05)) / 0.1;
    let tracked = model.tracked();
    let Scored { path, scores } =
        tracked.sample_path(&none(20_000), &mut Noise::keyed(8, "path", 0));
    let p = path_sums(model.step_log_probs(&path, 0..5));
    let r: Vec<f64> = first(&model.sample_of(&path))
        .iter()
        .map(|&x| world.log_reward(x))
        .collect();
    let l = log_weights(&path_sums(scores.clone()), &p, &r);
    let center = mean(&l);
    let by_path = l.iter().map(|x| ((center - x) / 20_000.0) as f32).collect();
    let surrogate = (scores.sum_dim(1).reshape([20_000]) * vector(by_path, &model.device())).sum();
    let gradients = surrogate.backward();
    let gradient = weights::gradient(tracked.weights(), &gradients).remove(0);
    let gradient = host(gradient.expect("tracked"))[bias];
    assert!(
        (f64::from(gradient) - numeric).abs() < 0.05 * numeric.abs(),
        "{gradient} {numeric}"
    );
}

#[test]
fn silent_failure_23_the_target_is_the_samplers_own_marginal() {
    let world = LinearGaussian {
        mean: 0.5,
        std: 0.8,
        b: 1.2,
        c: 0.0,
        dim: 1,
    };
    let schedule = cosine(6);
    let tuner = train(world, &schedule, ON_POLICY, 1.0, 500);
    let Scored { path, scores } = tuner
        .posterior()
        .sample_path(&none(20_000), &mut Noise::keyed(6, "path", 0));
    let p = path_sums(tuner.prior().step_log_probs(&path, 0..6));
    let r: Vec<f64> = first(&tuner.posterior().sample_of(&path))
        .iter()
        .map(|&x| world.log_reward(x))
        .collect();
    let l = log_weights(&path_sums(scores), &p, &r);
    let [log_z, ..] = world.posterior(&schedule);
    let prior = first(
        &tuner
            .prior()
            .sample(&none(40_000), &mut Noise::keyed(7, "prior", 0)),
    );
    let independent = log_mean_exp(
        &prior
            .iter()
            .map(|&x| world.log_reward(x))
            .collect::<Vec<_>>(),
    );
    assert!((log_mean_exp(&l) - log_z).abs() < 0.02);
    assert!((independent - log_z).abs() < 0.05);
    assert!(effective_share(&l) > 0.95, "ESS/N {}", effective_share(&l));
}
