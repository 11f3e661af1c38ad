//! Baselines against worlds whose posterior is known.

use tiltrl_policies::agent::baselines::{Method, best_of, guided, resample, twisted_smc};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::sequential::Rows;
use tiltrl_policies::worlds::solve::{Recipe, distances, measure, train_baseline};
use tiltrl_policies::worlds::{
    Bandit, GaussianMixture, GaussianReward, Problem, Settings, bandit, line,
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
    let prior = measure(&problem, &problem.prior, 10_000, 2);
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
    let condition = Rows::join(&[problem.condition(0, n), problem.condition(1, n)]);
    let mut noise = Noise::keyed(3, "smc", 0);
    let found = twisted_smc(&problem.tilt(), &condition, n, &mut noise);
    for (index, log_z) in found.log_z.iter().enumerate() {
        let error = log_z - problem.log_z[index];
        assert!(error.abs() < 0.05, "condition {index}: off by {error}");
        let rows: Vec<usize> = {
            let weights = &found.log_weights[index * n..(index + 1) * n];
            let groups: Vec<f64> = weights.repeat(1000);
            resample(&groups, n, &mut noise)
        };
        let dim = problem.prior.dim();
        let samples: Vec<f64> = rows
            .iter()
            .flat_map(|row| {
                let row = index * n + row % n;
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
    let (tilt, condition) = (problem.tilt(), problem.condition(0, 4000));
    let mean = |weight: f64| {
        let samples = guided(&tilt, &condition, weight, &mut Noise::keyed(4, "guided", 0));
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
    let rows = resample(&weights, 2, &mut Noise::keyed(5, "resample", 0));
    assert!(rows.iter().enumerate().all(|(group, row)| row / 2 == group));
    let second = rows.iter().filter(|&row| row % 2 == 1).count() as f64 / 4000.0;
    assert!((second - 0.75).abs() < 0.03, "{second}");
}
