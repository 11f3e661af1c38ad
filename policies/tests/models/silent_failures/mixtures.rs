//! On mixtures, the bandit and learned variances.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_policies::agent::baselines::Method;
use tiltrl_policies::fast::HostField;
use tiltrl_policies::models::{GaussianDiffusion, Schedule, StepShape, Units};
use tiltrl_policies::tilt::certificate::{ConditionCertificate, PathScores, certify};
use tiltrl_policies::tilt::finetune::{LogZ, Mixture, Options};
use tiltrl_policies::tilt::host::{host, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::rtb::log_mean_exp;
use tiltrl_policies::tilt::sequential::SequentialModel;
use tiltrl_policies::tilt::weights;
use tiltrl_policies::worlds::{
    Bandit, GaussianMixture, GaussianReward, LinearGaussian, Problem, Recipe, Settings, bandit,
    line, measure, solve, train_baseline,
};

use super::common::{
    cosine, first, gain_and_offset, group, mean, none, path_sums, scored, tuner, variances,
};

/// Two far modes of weight 0.9 and 0.1; the reward lifts the small one.
fn far(log_scale: f64, steps: usize) -> Problem {
    let mixture = GaussianMixture {
        weights: vec![0.9, 0.1],
        means: vec![vec![-1.0], vec![1.0]],
        std: 0.2,
    };
    let reward = GaussianReward {
        centre: vec![1.0],
        width: 1.2,
        log_scale,
    };
    line(
        "far modes",
        &mixture,
        &reward,
        Settings::new(steps, &[48, 48]),
    )
}

fn certificate(problem: &Problem, model: &GaussianDiffusion, paths: usize) -> ConditionCertificate {
    let steps = model.num_steps();
    let condition = problem.condition(0, paths);
    let scores = |sampler: &GaussianDiffusion, index: u64| -> [Vec<f64>; 3] {
        let mut noise = Noise::keyed(3, "certificate", index);
        let path = sampler.sample_path(&condition, &mut noise).path;
        [
            path_sums(model.step_log_probs(&path, 0..steps)),
            path_sums(problem.tilt.prior.step_log_probs(&path, 0..steps)),
            problem
                .tilt
                .log_reward_of(&sampler.sample_of(&path), &condition),
        ]
    };
    let (q, p) = (scores(model, 0), scores(&problem.tilt.prior, 1));
    let view = |s: &'_ [Vec<f64>; 3]| -> [Vec<f64>; 3] { s.clone() };
    let (q, p) = (view(&q), view(&p));
    certify(
        &PathScores {
            log_posterior: &q[0],
            log_prior: &q[1],
            log_reward: &q[2],
        },
        &PathScores {
            log_posterior: &p[0],
            log_prior: &p[1],
            log_reward: &p[2],
        },
    )
}

#[test]
fn silent_failure_01_log_z_moves_by_exactly_k_and_the_gradient_stays() {
    let gradient = |log_scale: f64| {
        let problem = far(log_scale, 8);
        let tuner = tuner(&problem.tilt.prior, 1e-3, Mixture::on_policy(32));
        let value = |s: &Tensor<2>, c: &Tensor<2>| problem.tilt.log_reward_of(s, c);
        let mut noise = Noise::keyed(1, "update", 0);
        let gradient = tuner
            .gradient(&group(), &value, &mut noise)
            .expect("finite");
        let values: Vec<f32> = gradient
            .posterior
            .into_iter()
            .flat_map(|g| host(g.expect("trained")))
            .collect();
        (gradient.report, values, problem.log_z[0])
    };
    let (base, base_gradient, exact) = gradient(0.0);
    for k in [-7.0, 7.0] {
        let (moved, moved_gradient, moved_exact) = gradient(k);
        assert!((moved.log_z - base.log_z - k).abs() < 1e-9);
        assert!((moved_exact - exact - k).abs() < 1e-9);
        assert!((moved.loss - base.loss).abs() < 1e-9);
        assert!(base_gradient.iter().any(|g| *g != 0.0));
        let same = moved_gradient.iter().zip(&base_gradient);
        assert!(same.clone().all(|(a, b)| (a - b).abs() < 1e-6), "K = {k}");
    }
}

#[test]
fn silent_failure_24_far_modes_get_their_mass_and_a_dropped_mode_is_seen() {
    let problem = far(7.0, 12);
    let mut recipe = Recipe::new(600, 128);
    recipe.learning_rate = 1e-2;
    let tuner = solve(&problem, &recipe).expect("finite");
    let found = measure(&problem, tuner.posterior(), 20_000, 2);
    assert!(found.mode_error < 0.15, "{found:?}");
    assert!(found.log_z_error < 0.03 && found.ess > 0.8, "{found:?}");
    let good = certificate(&problem, tuner.posterior(), 4000);
    assert!(good.eubo - good.elbo < 0.5, "{good:?}");
    // A model that knows one mode only: its ELBO is low by a nat or two, as a merely imperfect model's would be; masses,
    // EUBO and the forward estimate show what it dropped.
    let single = GaussianMixture {
        weights: vec![1.0],
        means: vec![vec![1.0]],
        std: 0.2,
    };
    let reward = GaussianReward {
        centre: vec![1.0],
        width: 1.2,
        log_scale: 7.0,
    };
    let dropped = line("one mode", &single, &reward, Settings::new(12, &[48, 48]))
        .tilt
        .prior;
    let bad = certificate(&problem, &dropped, 4000);
    assert!(problem.log_z[0] - bad.elbo < 3.0, "{bad:?}");
    assert!(bad.eubo - bad.elbo > 10.0, "{bad:?}");
    assert!(measure(&problem, &dropped, 4000, 2).mode_error > 0.5);
}

/// The variance of the exact posterior kernel of each step.
///
/// log of h_k(x) = E[r(x_T) | x_k = x] is a parabola of curvature −λ_k: λ_T = c and λ_k = g² λ/(1 + λ σ²) with λ = λ_{k+1} and
/// the prior's gain g. The kernel's variance is (1/σ² + λ_{k+1})⁻¹.
fn posterior_variances(world: &LinearGaussian, schedule: &Schedule) -> Vec<f64> {
    let mut curvature = world.c;
    let mut variances = vec![0.0; schedule.sigma.len()];
    for (k, sigma) in schedule.sigma.iter().enumerate().rev() {
        let [gain, _] = gain_and_offset(world, schedule, k);
        let shrink = 1.0 + curvature * sigma.powi(2);
        variances[k] = sigma.powi(2) / shrink;
        curvature = gain * gain * curvature / shrink;
    }
    variances
}

#[test]
fn silent_failure_20_kernels_shrink_as_the_exact_posterior_says() {
    let world = LinearGaussian {
        mean: 0.2,
        std: 0.9,
        b: 0.5,
        c: 3.0,
        dim: 1,
    };
    let schedule = cosine(6);
    // A learned variance and shifts in units of σ.
    let mut settings = Settings::new(6, &[32]);
    settings.seed = 3;
    assert!(settings.step.learned_variance && settings.step.units == Units::Sigma);
    let prior = world.prior(&settings);
    let mut tuner = tuner(&prior, 1e-2, Mixture::on_policy(128));
    let value =
        |s: &Tensor<2>| -> Vec<f64> { first(s).iter().map(|&x| world.log_reward(x)).collect() };
    for update in 0..600u64 {
        tuner.set_learning_rate(1e-2 * (1.0 - update as f32 / 600.0) + 1e-4);
        let mut noise = Noise::keyed(4, "train", update);
        tuner
            .update(&group(), &|s, _| value(s), &mut noise)
            .expect("finite");
    }
    let mut noise = Noise::keyed(5, "path", 0);
    let path = tuner.posterior().sample_path(&none(4000), &mut noise).path;
    for (k, variance) in posterior_variances(&world, &schedule).iter().enumerate() {
        let found = mean(&variances(tuner.posterior(), &path.states[k], k));
        let ratio = found / variance;
        assert!(
            (ratio - 1.0).abs() < 0.06,
            "step {k}: variance ratio {ratio}"
        );
    }
    let l = scored(tuner.posterior(), tuner.prior(), &path, &value).log_weights();
    let [log_z, ..] = world.posterior(&schedule);
    assert!((log_mean_exp(&l) - log_z).abs() < 0.02);
    let center = mean(&l);
    let spread = mean(&l.iter().map(|x| (x - center).powi(2)).collect::<Vec<_>>());
    // A fixed variance cannot go below its floor here; a learned one does.
    assert!(spread < 0.02, "variance of ℓ {spread}");
}

#[test]
fn silent_failure_21_guidance_starts_at_zero_and_moves_along_the_gradient_of_the_reward() {
    let problem = far(0.0, 8);
    let slope = problem.tilt.gradient.clone();
    let guidance: Arc<HostField> = Arc::new(move |x: &[f32], _: &[usize], c: &[f32]| slope(x, c));
    let step = StepShape {
        guidance: Some(guidance),
        ..problem.tilt.prior.step().clone()
    };
    let wide = problem
        .tilt
        .prior
        .reshaped(step)
        .expect("a perceptron widens");
    let x = Tensor::<2>::from_floats([[-0.5], [0.2], [1.4]], &Device::flex());
    let moments = |m: &GaussianDiffusion| m.step_moments(&x, 4, &none(3));
    assert_eq!(moments(&wide), moments(&problem.tilt.prior));
    // The last output is the scale: its bias is the last parameter.
    let mut values = host(weights::tensors(wide.weights()).remove(0));
    *values.last_mut().expect("parameters") = 0.5;
    let values = vec![vector(values, &Device::flex())];
    let guided = wide.with_weights(weights::with_tensors(wide.weights().clone(), values));
    let (before, after) = (moments(&wide).mean, moments(&guided).mean);
    let along = (problem.tilt.gradient)(&host(x.clone()), &[0.0; 3]);
    let sigma = wide.schedule().sigma[4];
    for i in 0..3 {
        let moved = (after[i] - before[i]) / (0.5 * sigma * f64::from(along[i]));
        assert!((moved - 1.0).abs() < 1e-3, "{moved}");
    }
}

#[test]
fn silent_failure_25_reinforce_with_kl_reaches_the_same_posterior() {
    // F1: one Gaussian, whose posterior is one again.
    let world = GaussianMixture {
        weights: vec![1.0],
        means: vec![vec![0.4]],
        std: 0.8,
    };
    let reward = GaussianReward {
        centre: vec![1.5],
        width: 1.2,
        log_scale: 2.0,
    };
    let problem = line("F1", &world, &reward, Settings::new(8, &[32]));
    let mut recipe = Recipe::new(400, 128);
    recipe.learning_rate = 1e-2;
    let model = train_baseline(&problem, &recipe, Method::Reinforce).expect("finite");
    let found = measure(&problem, &model, 10_000, 2);
    assert!(found.log_z_error < 0.02 && found.ess > 0.95, "{found:?}");
}

#[test]
fn silent_failure_28_learned_log_z_agrees_with_the_prior_at_every_state() {
    let world = Bandit {
        weights: vec![0.5, 0.5],
        centres: vec![[-0.8, 0.3], [0.8, -0.4]],
        std: 0.3,
        best: [0.3, 0.8],
        curvature: 1.0,
        height: 1.0,
    };
    let states = [-0.9, -0.3, 0.3, 0.9];
    let problem = bandit("bandit", &world, 1.0, &states, Settings::new(8, &[32]));
    let mut recipe = Recipe::new(800, 8);
    recipe.learning_rate = 1e-2;
    recipe.conditions = 16;
    recipe.options = Options {
        log_z: LogZ::Learned,
        value_rate: 3.0,
        value_hidden: 32,
        ..Options::default()
    };
    let tuner = solve(&problem, &recipe).expect("finite");
    for (index, _) in states.iter().enumerate() {
        let condition = problem.condition(index, 8000);
        let mut noise = Noise::keyed(7, "prior", index as u64);
        let sample = problem.tilt.prior.sample(&condition, &mut noise);
        let independent = log_mean_exp(&problem.tilt.log_reward_of(&sample, &condition));
        assert!((independent - problem.log_z[index]).abs() < 0.05);
        let found = tuner
            .learned_log_z(&problem.condition(index, 1))
            .expect("learned")[0];
        assert!(
            (found - independent).abs() < 0.1,
            "state {index}: learned {found}, under the prior {independent}"
        );
    }
}
