//! Baselines against worlds whose posterior is known.

use std::sync::Arc;

use tiltrl_policies::agent::baselines::{Method, Tilt, best_of, guided, resample, twisted_smc};
use tiltrl_policies::agent::{Tail, tailed};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::sequential::{Batched, SequentialModel};
use tiltrl_policies::tilt::weights;
use tiltrl_policies::worlds::{
    Bandit, GaussianMixture, GaussianReward, LinearGaussian, Problem, Recipe, Settings, bandit,
    distances, line, measure, train_baseline,
};

/// F1: one Gaussian under a Gaussian reward.
fn chain() -> Problem {
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
    line("F1", &world, &reward, Settings::new(12, &[32]))
}

fn contextual() -> Problem {
    let world = Bandit {
        weights: vec![0.5, 0.5],
        centres: vec![[-0.8, 0.3], [0.8, -0.4]],
        std: 0.3,
        best: [0.3, 0.8],
        curvature: 1.0,
        height: 1.0,
    };
    let states = [-0.9, 0.9];
    bandit("bandit", &world, 0.5, &states, Settings::new(8, &[32]))
}

/// Every trained method comes close to the posterior; the prior is far from it.
#[test]
fn trained_baselines_approach_the_posterior() {
    let problem = chain();
    let prior = measure(&problem, &problem.tilt.prior, 10_000, 2);
    assert!(prior.energy > 0.05, "{prior:?}");
    let mut recipe = Recipe::new(300, 128);
    recipe.learning_rate = 1e-2;
    for method in Method::ALL {
        let model = train_baseline(&problem, &recipe, method).expect("finite");
        let found = measure(&problem, &model, 10_000, 2);
        assert!(found.energy < 0.02, "{}: {found:?}", method.name());
    }
}

/// Groups have their own condition, weights and log Z.
#[test]
fn groups_of_smc_keep_to_their_conditions() {
    let problem = contextual();
    let n = 4000;
    let condition = Batched::join(&[problem.condition(0, n), problem.condition(1, n)]);
    let mut noise = Noise::keyed(3, "smc", 0);
    let found = twisted_smc(&problem.tilt, &condition, n, &mut noise);
    for (index, log_z) in found.log_z.iter().enumerate() {
        let error = log_z - problem.log_z[index];
        assert!(error.abs() < 0.05, "condition {index}: off by {error}");
        let rows: Vec<usize> = {
            let weights = &found.log_weights[index * n..(index + 1) * n];
            resample(weights, [n, 1000], &mut noise)
        };
        let dim = problem.tilt.prior.dim();
        let samples: Vec<f64> = rows
            .iter()
            .flat_map(|row| {
                let row = index * n + row;
                &found.samples[row * dim..(row + 1) * dim]
            })
            .map(|&v| f64::from(v))
            .collect();
        let [energy, floor] = distances(&problem, index, &samples, &mut noise);
        assert!(energy < floor + 0.02, "{energy} against {floor}");
    }
}

/// Guidance moves samples towards the reward, in proportion to its weight.
#[test]
fn guidance_climbs_the_reward() {
    let problem = chain();
    let (tilt, condition) = (&problem.tilt, problem.condition(0, 4000));
    let mean = |weight: f64| {
        let samples = guided(tilt, &condition, weight, &mut Noise::keyed(4, "guided", 0));
        samples.iter().map(|&v| f64::from(v)).sum::<f64>() / samples.len() as f64
    };
    let (none, half, full) = (mean(0.0), mean(0.5), mean(1.0));
    assert!((none - 0.4).abs() < 0.05, "{none}");
    assert!(half > none + 0.1 && full > half + 0.05, "{half} {full}");
}

#[test]
fn choices_among_samples_stay_in_their_group() {
    let values = [1.0, 3.0, 2.0, 9.0, 8.0, 7.0];
    assert_eq!(best_of(&values, 3), [1, 3]);
    let weights = [0.0f64, 3f64.ln()].repeat(4000);
    let rows = resample(&weights, [2, 1], &mut Noise::keyed(5, "resample", 0));
    assert!(rows.iter().enumerate().all(|(group, row)| row / 2 == group));
    let second = rows.iter().filter(|&row| row % 2 == 1).count() as f64 / 4000.0;
    assert!((second - 0.75).abs() < 0.03, "{second}");
}

/// Whatever the posterior, the weights' mean is Z and weighted samples have the posterior's mean; more ends, more even weights.
#[test]
fn ends_of_a_wrong_posterior_estimate_z_without_bias() {
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 2.0,
        c: 2.0,
        dim: 1,
    };
    let settings = Settings::new(10, &[16]);
    let (schedule, device) = (settings.schedule.clone(), settings.compute.device.clone());
    let prior = world.prior(&settings);
    // A posterior that is neither the prior nor right.
    let moved = weights::tensors(prior.weights()).into_iter().map(|p| {
        let values: Vec<f32> = host(p).iter().map(|v| v + 0.02).collect();
        vector(values, &device)
    });
    let moved = weights::with_tensors(prior.weights().clone(), moved.collect());
    let posterior = prior.with_weights(moved);
    let log_reward = move |x: &[f32], _: &[f32]| -> Vec<f64> {
        x.iter().map(|x| world.log_reward(f64::from(*x))).collect()
    };
    let tilt = Tilt {
        prior,
        log_reward: Arc::new(log_reward),
        gradient: Arc::new(|x: &[f32], _: &[f32]| x.to_vec()),
    };
    let rows = 20_000;
    let condition = matrix(vec![0.0; rows], 1, &device);
    let [log_z, mean, _] = world.posterior(&schedule);
    let mut spreads = Vec::new();
    for (ends, steps) in [(1, 3), (8, 3), (8, 10)] {
        let tail = Tail { ends, steps };
        let mut noise = Noise::keyed(1, "tail", 0);
        let found = tailed(&posterior, &tilt, &condition, tail, &mut noise);
        let weights: Vec<f64> = found.log_z.iter().map(|l| (l - log_z).exp()).collect();
        let total: f64 = weights.iter().sum();
        let ratio = total / rows as f64;
        assert!(
            (ratio - 1.0).abs() < 0.03,
            "{ends} ends of {steps}: {ratio}"
        );
        let samples = found.samples.iter().zip(&weights);
        let weighted = samples.map(|(x, w)| f64::from(*x) * w).sum::<f64>() / total;
        assert!(
            (weighted - mean).abs() < 0.02,
            "{ends} ends of {steps}: {weighted}, {mean}"
        );
        spreads.push(weights.iter().map(|w| (w - ratio).powi(2)).sum::<f64>() / rows as f64);
    }
    assert!(
        spreads[1] < 0.9 * spreads[0] && spreads[2] < 0.5 * spreads[0],
        "{spreads:?}"
    );
}
