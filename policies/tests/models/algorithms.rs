//! Every algorithm on a bandit whose optimum is known: one state, data a ~ N(m, s²), reward c − ½ k (a − b)², the episode ends.

use serde_json::Value;
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{
    AlgorithmKind, LearnerShape, Normalizer, PolicyLearner, Trains, Transitions,
};
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

/// Mean and deviation of the data's actions.
const DATA: [f64; 2] = [-0.2, 0.25];
/// Height c, curvature k and place b of the reward.
const REWARD: [f64; 3] = [3.0, 4.0, 0.5];

fn bandit(rows: usize) -> Transitions {
    let mut noise = Noise::keyed(11, "bandit", 0);
    let clip = |z: f32| (DATA[0] + DATA[1] * f64::from(z)).clamp(-0.999, 0.999) as f32;
    let actions: Vec<f32> = noise.normals(rows, 1).into_iter().map(clip).collect();
    let reward =
        |a: &f32| (REWARD[0] - 0.5 * REWARD[1] * (f64::from(*a) - REWARD[2]).powi(2)) as f32;
    Transitions {
        observation_dim: 1,
        action_dim: 1,
        observations: vec![0.3_f32; rows].into(),
        next_observations: vec![0.3_f32; rows].into(),
        rewards: actions.iter().map(reward).collect(),
        actions: actions.into(),
        terminals: vec![true; rows],
        continues: vec![false; rows],
    }
}

fn learner(name: &str, set: &[(&str, Value)], seed: u64) -> Box<dyn PolicyLearner> {
    let kind = AlgorithmKind::all().iter().find(|k| k.name == name);
    let kind = kind.expect("known");
    let mut settings = (kind.defaults)();
    for (key, value) in set {
        let old = settings.insert((*key).into(), value.clone());
        assert!(old.is_some(), "{key}");
    }
    let shape = LearnerShape {
        observation_dim: 1,
        action_dim: 1,
        seed,
        compute: Compute::cpu(),
    };
    let observation = Normalizer {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let Trains::Policy(make) = kind.trains else {
        panic!("{name} trains no policy of its own");
    };
    make(&settings, &shape, &observation).expect("valid")
}

fn trained(name: &str, set: &[(&str, Value)]) -> Box<dyn PolicyLearner> {
    let data = bandit(4096);
    let mut learner = learner(name, set, 1);
    for update in 0..learner.updates() {
        learner.update(&data, update).expect("finite");
    }
    learner
}

fn action(learner: &dyn PolicyLearner) -> f64 {
    f64::from(learner.act(&[0.3], &mut Noise::keyed(5, "act", 0))[0])
}

/// Small networks, and as many updates as they need.
fn small(updates: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("updates", updates.into()),
        ("hidden", vec![48, 48].into()),
        ("learning_rate", 1e-3.into()),
        ("batch_size", 256.into()),
    ]
}

/// The stationary point of −w Q(π)/|Q(π)| + p (π − m)², by bisection: w k (b − π)/Q(π) = 2 p (π − m).
fn optimum(w: f64, p: f64) -> f64 {
    let [c, k, b] = REWARD;
    let slope = |a: f64| {
        let q = c - 0.5 * k * (a - b).powi(2);
        w * k * (b - a) / q.abs() - 2.0 * p * (a - DATA[0])
    };
    let (mut low, mut high) = (DATA[0], b);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(middle) > 0.0 {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

#[test]
fn bc_finds_the_mean_of_the_data() {
    let found = action(&*trained("bc", &small(1500)));
    let data = bandit(4096).actions;
    let mean = data.iter().map(|&a| f64::from(a)).sum::<f64>() / 4096.0;
    assert!((found - mean).abs() < 0.02, "{found} {mean}");
}

#[test]
fn td3bc_finds_the_optimum_of_its_objective() {
    // Weights near one, where the optimum lies between the data and the reward's peak.
    for alpha in [0.5, 2.5] {
        let settings = [small(4000), vec![("alpha", alpha.into())]].concat();
        let found = action(&*trained("td3bc", &settings));
        let exact = optimum(alpha, 1.0);
        assert!(
            (found - exact).abs() < 0.03,
            "alpha {alpha}: {found} {exact}"
        );
    }
}

#[test]
fn rebrac_finds_the_optimum_of_its_objective() {
    for actor_bc in [0.5, 3.0] {
        let settings = [small(4000), vec![("actor_bc", actor_bc.into())]].concat();
        let found = action(&*trained("rebrac", &settings));
        let exact = optimum(1.0, actor_bc);
        assert!((found - exact).abs() < 0.03, "{actor_bc}: {found} {exact}");
    }
}

/// Weights e^{β Q} of Gaussian data and quadratic Q make a Gaussian again.
#[test]
fn iql_finds_the_mean_of_the_weighted_data() {
    let beta = 2.0;
    let settings = [small(5000), vec![("beta", beta.into())]].concat();
    let found = action(&*trained("iql", &settings));
    let ([m, s], [_, k, b]) = (DATA, REWARD);
    let precision = 1.0 / (s * s) + beta * k;
    let exact = (m / (s * s) + beta * k * b) / precision;
    assert!((found - exact).abs() < 0.03, "{found} {exact}");
    let unweighted = [small(1500), vec![("beta", 0.0.into())]].concat();
    let found = action(&*trained("iql", &unweighted));
    assert!((found - m).abs() < 0.03, "{found}");
}

/// Mean and deviation of the samples of the authors' five steps with the best denoiser of Gaussian data: each step is affine.
/// The variance of the steps is the lower bound and the last has no noise, so the samples are narrower than the data.
fn five_steps() -> [f64; 2] {
    let ([m, s], total) = (DATA, 5.0f64);
    let mut before = 1.0f64;
    let mut steps = Vec::new();
    for t in 0..5 {
        let rate = 0.1 / total + 0.5 * 9.9 * f64::from(2 * t + 1) / (total * total);
        let alpha = (-rate).exp();
        let (beta, product) = (1.0 - alpha, before * alpha);
        let of_estimate = beta * before.sqrt() / (1.0 - product);
        let of_state = (1.0 - before) * alpha.sqrt() / (1.0 - product);
        let noise = beta * (1.0 - before) / (1.0 - product);
        steps.push((product, of_estimate, of_state, noise));
        before = product;
    }
    let (mut mean, mut variance) = (0.0, 1.0);
    for (product, of_estimate, of_state, noise) in steps.into_iter().rev() {
        let gain = s * s * product.sqrt() / (product * s * s + 1.0 - product);
        let estimate = m + gain * (mean - product.sqrt() * m);
        mean = of_estimate * estimate + of_state * mean;
        variance *= (of_estimate * gain + of_state).powi(2);
        variance += noise;
    }
    [mean, variance.sqrt()]
}

/// Without a Q term it samples as its steps must; with one, samples move to where Q is high; the best of many is nearer its peak.
#[test]
fn diffusion_ql_models_the_data_and_is_moved_by_its_q_term() {
    let settings = |eta: f64, samples: u64| {
        let own = vec![
            ("eta", eta.into()),
            ("samples", samples.into()),
            ("learning_rate", 2e-3.into()),
        ];
        [small(1200), own].concat()
    };
    let moments = |learner: &dyn PolicyLearner| {
        let found = learner.act(&[0.3; 2000], &mut Noise::keyed(5, "act", 0));
        let mean = found.iter().map(|&a| f64::from(a)).sum::<f64>() / 2000.0;
        let square = found
            .iter()
            .map(|&a| (f64::from(a) - mean).powi(2))
            .sum::<f64>();
        (mean, (square / 2000.0).sqrt())
    };
    let plain = trained("diffusion-ql", &settings(0.0, 1));
    let ((mean, std), exact) = (moments(&*plain), five_steps());
    assert!((mean - exact[0]).abs() < 0.03, "{mean} {exact:?}");
    assert!((std - exact[1]).abs() < 0.03, "{std} {exact:?}");
    let mut best = learner("diffusion-ql", &settings(0.0, 64), 1);
    let stored = checkpoint(&*plain, 1200);
    best.load(&stored, std::path::Path::new("policy"))
        .expect("fits");
    let best = action(&*best);
    assert!(best > mean + std && best < REWARD[2], "{best}");
    let (moved, _) = moments(&*trained("diffusion-ql", &settings(0.3, 1)));
    assert!(moved > mean + 0.05, "{moved} {mean}");
}

/// Real transitions, with next actions, terminals and ends by the clock.
fn episodes() -> Transitions {
    let mut noise = Noise::keyed(3, "episodes", 0);
    let rows = 512;
    let continues: Vec<bool> = (0..rows).map(|i| i % 16 != 15).collect();
    Transitions {
        observation_dim: 1,
        action_dim: 1,
        observations: noise.normals(rows, 1).into(),
        next_observations: noise.normals(rows, 1).into(),
        actions: noise
            .normals(rows, 1)
            .iter()
            .map(|a| (0.5 * a).tanh())
            .collect::<Vec<f32>>()
            .into(),
        rewards: noise.normals(rows, 1),
        terminals: continues
            .iter()
            .enumerate()
            .map(|(i, go)| !go && i % 32 == 15)
            .collect(),
        continues,
    }
}

fn checkpoint(learner: &dyn PolicyLearner, update: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::new("policy", update);
    learner.save(&mut checkpoint);
    checkpoint
}

#[test]
fn a_restored_policy_goes_on_with_the_same_bytes_and_threads_change_none() {
    let data = episodes();
    for kind in AlgorithmKind::all()
        .iter()
        .filter(|k| matches!(k.trains, Trains::Policy(_)))
    {
        let settings = small(40);
        let train = |learner: &mut dyn PolicyLearner, from: u64, to: u64| {
            for update in from..to {
                let found = learner.update(&data, update).expect("finite");
                assert_eq!(found.len(), learner.figures().len(), "{}", kind.name);
            }
        };
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let whole = |threads| {
            pool(threads).expect("a pool").install(|| {
                let mut learner = learner(kind.name, &settings, 1);
                train(&mut *learner, 0, 21);
                checkpoint(&*learner, 21)
            })
        };
        let one = whole(1);
        assert!(one == whole(3), "{}: threads change bytes", kind.name);
        let mut first = learner(kind.name, &settings, 1);
        train(&mut *first, 0, 9);
        let mut second = learner(kind.name, &settings, 1);
        let stored = checkpoint(&*first, 9);
        second
            .load(&stored, std::path::Path::new("policy"))
            .expect("fits");
        train(&mut *second, 9, 21);
        assert!(
            one == checkpoint(&*second, 21),
            "{}: a restored one differs",
            kind.name
        );
        let other = learner(kind.name, &settings, 2);
        assert!(checkpoint(&*other, 0) != checkpoint(&*learner(kind.name, &settings, 1), 0));
    }
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    let mut data = episodes();
    data.rewards.fill(f32::NAN);
    for name in ["td3bc", "rebrac", "iql", "diffusion-ql"] {
        let mut learner = learner(name, &small(10), 1);
        let error = learner.update(&data, 0).expect_err(name).to_string();
        assert!(
            error.contains("policy") && error.contains("loss"),
            "{error}"
        );
    }
}
