//! Critics: what they learn, with which bytes, and the gradient that guidance takes from them.

use std::sync::Arc;

use serde_json::{Value, json};
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{
    Coordinates, Critic, CriticKind, LearnerShape, Lesson, Normalizer, Transitions, critic_gradient,
};
use tiltrl_policies::fast::{Arithmetic, Engine};
use tiltrl_policies::tilt::checkpoint::Checkpoint;
use tiltrl_policies::tilt::noise::Noise;

/// Implicit Q-learning with small settings, some of them changed.
fn critic(changes: &[(&str, Value)], shape: &LearnerShape) -> Box<dyn Critic> {
    critic_of("iql", changes, shape)
}

fn critic_of(kind: &str, changes: &[(&str, Value)], shape: &LearnerShape) -> Box<dyn Critic> {
    let settings = json!({
        "updates": 1, "batch_size": 64, "hidden": [32], "layer_norm": false, "learning_rate": 3e-3, "expectile": 0.5,
        "discount": 0.9, "n_step": 1, "target_rate": 0.02, "ensemble": 2, "lcb": 0.0,
    });
    let mut settings = settings.as_object().expect("an object").clone();
    for (key, value) in changes {
        settings.insert((*key).into(), value.clone());
    }
    let all = CriticKind::all();
    let found = all.iter().find(|known| known.name == kind);
    (found.expect("in the table").make)(&settings, shape).expect("checked settings")
}

fn shape([observation_dim, action_dim]: [usize; 2], seed: u64) -> LearnerShape {
    LearnerShape {
        observation_dim,
        action_dim,
        seed,
        compute: Compute::cpu(),
    }
}

fn lesson(transitions: &Transitions) -> Lesson<'_> {
    Lesson {
        transitions,
        prior: &|_, _| unreachable!("implicit Q-learning asks no prior"),
        seed: 1,
    }
}

/// One state that leads to itself with reward 1: Q = 1/(1 − γ) = 10; cut by a terminal: Q = 1.
fn fixed_point(terminal: bool) -> f64 {
    let mut critic = critic(&[], &shape([1, 1], 1));
    let transitions = Transitions {
        observation_dim: 1,
        action_dim: 1,
        observations: vec![1.0_f32; 64].into(),
        next_observations: vec![1.0_f32; 64].into(),
        actions: vec![0.0_f32; 64].into(),
        rewards: vec![1.0; 64],
        terminals: vec![terminal; 64],
        continues: vec![false; 64],
    };
    for _ in 0..2500 {
        // Always the first: the step size stays.
        critic.update(&lesson(&transitions), 0).expect("finite");
    }
    critic.values(&[1.0], &[0.0])[0]
}

#[test]
fn silent_failure_27_terminals_cut_the_bootstrap_and_timeouts_do_not() {
    let (terminal, timeout) = (fixed_point(true), fixed_point(false));
    assert!((terminal - 1.0).abs() < 0.05, "{terminal}");
    assert!((timeout - 10.0).abs() < 0.5, "{timeout}");
}

/// Uniform numbers of [−1, 1].
fn symmetric(noise: &mut Noise, count: usize) -> Vec<f32> {
    let drawn = noise.uniform_rows(count, 1);
    drawn.iter().map(|u| (2.0 * u - 1.0) as f32).collect()
}

/// Two states: −1 leads to +1 whatever is done; at +1 the reward is the action, and the episode ends.
fn two_states(rows: usize) -> Transitions {
    let mut noise = Noise::keyed(5, "two-states", 0);
    let states: Vec<f32> = (0..rows).map(|i| [-1.0, 1.0][i % 2]).collect();
    let actions: Vec<f32> = symmetric(&mut noise, rows);
    let last = |i: usize| i % 2 == 1;
    Transitions {
        observation_dim: 1,
        action_dim: 1,
        rewards: (0..rows)
            .map(|i| if last(i) { actions[i] } else { 0.0 })
            .collect(),
        observations: states.into(),
        next_observations: vec![1.0_f32; rows].into(),
        actions: actions.into(),
        terminals: (0..rows).map(last).collect(),
        continues: vec![false; rows],
    }
}

/// Under a uniform prior on [−1, 1], Q(+1, a) = a gives V(+1) = α log(α sinh(1/α)), or coth(1/α) − α where the KL is not charged;
/// Q(−1, ·) is γ times that. The KL is 0 at −1, so its mean over states is half of that at +1.
#[test]
fn soft_policy_iteration_finds_the_exact_value_and_its_alpha() {
    let (alpha, discount) = (0.4_f64, 0.9);
    let log_z = (alpha * (1.0 / alpha).sinh()).ln();
    let mean = 1.0 / (1.0 / alpha).tanh() - alpha;
    let nats = 0.5 * (mean / alpha - log_z);
    let transitions = two_states(512);
    for (charged, value) in [(true, alpha * log_z), (false, mean)] {
        let changes = [
            ("discount", json!(discount)),
            ("batch_size", json!(128)),
            ("hidden", json!([64])),
            ("soft_updates", json!(1500)),
            ("samples", json!(128)),
            ("states", json!(32)),
            ("nats", json!(nats)),
            ("charged", json!(charged)),
        ];
        let mut critic = critic_of("soft", &changes, &shape([1, 1], 2));
        let lesson = Lesson {
            transitions: &transitions,
            prior: &|observations, noise| symmetric(noise, observations.len()),
            seed: 1,
        };
        assert_eq!(critic.alpha(), None);
        for update in 0..critic.updates() {
            critic.update(&lesson, update).expect("finite");
        }
        let found = critic.alpha().expect("set by the updates");
        assert!((found / alpha - 1.0).abs() < 0.05, "α {found}");
        let q = critic.values(&[-1.0, -1.0, 1.0, 1.0], &[-0.5, 0.5, -0.5, 0.5]);
        for (q, exact) in q
            .iter()
            .zip([discount * value, discount * value, -0.5, 0.5])
        {
            assert!(
                (q - exact).abs() < 0.03,
                "charged {charged}: {q} for {exact}"
            );
        }
    }
}

/// A critic that is stored in the middle of soft policy iteration and read back goes on with the same bytes, α included.
#[test]
fn soft_policy_iteration_goes_on_from_a_checkpoint_with_the_same_bytes() {
    let transitions = two_states(64);
    let changes = [
        ("updates", json!(4)),
        ("soft_updates", json!(8)),
        ("samples", json!(8)),
        ("states", json!(8)),
        ("nats", json!(0.5)),
        ("charged", json!(true)),
    ];
    let lesson = Lesson {
        transitions: &transitions,
        prior: &|observations, noise| symmetric(noise, observations.len()),
        seed: 1,
    };
    let train = |critic: &mut Box<dyn Critic>, updates: std::ops::Range<u64>| {
        for update in updates {
            critic.update(&lesson, update).expect("finite");
        }
        let mut stored = Checkpoint::new("critic", 0);
        critic.save(&mut stored);
        stored
    };
    let fresh = || critic_of("soft", &changes, &shape([1, 1], 2));
    let whole = train(&mut fresh(), 0..12);
    let half = train(&mut fresh(), 0..7);
    let mut again = fresh();
    // The number of its updates travels with the checkpoint.
    let half = Checkpoint { update: 7, ..half };
    again.load(&half, "critic".as_ref()).expect("fits");
    assert_eq!(train(&mut again, 7..12), whole);
    let mut damaged = half;
    damaged.settings.remove("soft_alpha_bits");
    let error = fresh()
        .load(&damaged, "critic".as_ref())
        .expect_err("missing");
    assert!(error.to_string().contains("soft_alpha_bits"), "{error}");
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_critic() {
    let rows = 300;
    let mut noise = Noise::keyed(3, "critic-paths", 0);
    let [observations, next_observations, actions, rewards] =
        [5, 5, 2, 1].map(|width| noise.normals(rows, width));
    let transitions = Transitions {
        observation_dim: 5,
        action_dim: 2,
        observations: observations.into(),
        next_observations: next_observations.into(),
        actions: actions.into(),
        rewards,
        terminals: vec![false; rows],
        continues: vec![false; rows],
    };
    for arithmetic in [Arithmetic::best(), Arithmetic::F32] {
        let run = |threads: usize| {
            let changes = [
                ("batch_size", rows.into()),
                ("layer_norm", true.into()),
                ("ensemble", 3.into()),
                ("expectile", 0.7.into()),
            ];
            let mut shape = shape([5, 2], 1);
            shape.compute.engine = Engine::new(arithmetic);
            let mut critic = critic(&changes, &shape);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().expect("pool").install(|| {
                let losses = [0, 1].map(|update| {
                    let found = critic.update(&lesson(&transitions), update);
                    found.expect("finite")
                });
                let mut stored = Checkpoint::new("critic", 2);
                critic.save(&mut stored);
                let values = critic.values(&transitions.observations, &transitions.actions);
                (losses, stored, values)
            })
        };
        assert_eq!(run(1), run(2), "{arithmetic}");
    }
}

/// Central differences of log r agree with the gradient, for the minimum and for the lower confidence bound.
#[test]
fn the_gradient_is_that_of_the_reward() {
    for lcb in [0.0, 1.0] {
        let changes = [
            ("hidden", json!([16, 16])),
            ("layer_norm", true.into()),
            ("ensemble", 3.into()),
            ("lcb", lcb.into()),
        ];
        let critic: Arc<dyn Critic> = critic(&changes, &shape([3, 2], 7)).into();
        let coordinates = Coordinates {
            observation: Normalizer {
                mean: vec![0.0; 3],
                std: vec![1.0; 3],
            },
            action: Normalizer {
                mean: vec![0.2, -0.1],
                std: vec![0.7, 1.3],
            },
        };
        let alpha = 0.05;
        let gradient = critic_gradient(&critic, &coordinates, alpha);
        let mut noise = Noise::keyed(3, "guidance-test", 0);
        let (x, observations) = (noise.normals(5, 2), noise.normals(5, 3));
        let found = gradient(&x, &[0; 5], &observations);
        let log_r = |x: &[f32]| critic.values(&observations, &coordinates.actions(x.to_vec()));
        for i in 0..x.len() {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-3;
            down[i] -= 1e-3;
            let slope = (log_r(&up)[i / 2] - log_r(&down)[i / 2]) / 2e-3 / alpha;
            let error = (slope - f64::from(found[i])).abs();
            assert!(error < 0.05 * slope.abs().max(1.0), "{slope} {}", found[i]);
        }
    }
}
