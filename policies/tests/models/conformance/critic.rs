//! The critic's update on every backend, and against burn's own operations.

use std::path::Path;

use burn::tensor::{Device, Tensor, activation};
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{Critic, CriticKind, LearnerShape, Lesson, Transitions};
use tiltrl_policies::tilt::checkpoint::Checkpoint;
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::{Adam, AdamConfig, Optimizer};
use tiltrl_policies::tilt::sequential::Batched;

use super::{devices, gap};

const ROWS: usize = 70;
const DISCOUNT: f32 = 0.9;
const EXPECTILE: f32 = 0.7;
const TARGET_RATE: f32 = 0.1;

fn critic(device: &Device) -> Box<dyn Critic> {
    let settings = serde_json::json!({
        "updates": 2, "batch_size": ROWS, "hidden": [24, 17], "layer_norm": true, "learning_rate": 1e-3, "expectile": EXPECTILE,
        "discount": DISCOUNT, "n_step": 1, "target_rate": TARGET_RATE, "ensemble": 2, "lcb": 0.0,
    });
    let shape = LearnerShape {
        observation_dim: 4,
        action_dim: 2,
        seed: 3,
        compute: Compute::on(device.clone()),
    };
    let all = CriticKind::all();
    let iql = all.iter().find(|kind| kind.name == "iql");
    let settings = settings.as_object().expect("an object");
    (iql.expect("in the table").make)(settings, &shape).expect("checked settings")
}

/// Every fifth transition ends its episode for good.
fn transitions() -> Transitions {
    let mut noise = Noise::keyed(8, "conformance", 0);
    let [observations, next_observations, actions, rewards] =
        [4, 4, 2, 1].map(|width| noise.normals(ROWS, width));
    Transitions {
        observation_dim: 4,
        action_dim: 2,
        observations: observations.into(),
        next_observations: next_observations.into(),
        actions: actions.into(),
        rewards,
        terminals: (0..ROWS).map(|i| i % 5 == 0).collect(),
        continues: vec![false; ROWS],
    }
}

fn lesson(transitions: &Transitions) -> Lesson<'_> {
    Lesson {
        transitions,
        prior: &|_, _| unreachable!("implicit Q-learning asks no prior"),
        seed: 11,
    }
}

fn stored(critic: &dyn Critic) -> Checkpoint {
    let mut checkpoint = Checkpoint::new("critic", 0);
    critic.save(&mut checkpoint);
    checkpoint
}

#[test]
fn the_critics_update_agrees() {
    let transitions = transitions();
    let of = |device: &Device| {
        let mut critic = critic(device);
        let updates = [0, 1].map(|update| {
            let found = critic.update(&lesson(&transitions), update);
            found.expect("finite")[0]
        });
        assert_eq!(critic.figures()[0], "q_loss");
        let loss = updates.map(|loss| loss as f32);
        let values = critic.values(&transitions.observations, &transitions.actions);
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        (loss, values)
    };
    let first = of(&Device::flex());
    for device in devices() {
        let found = of(&device);
        assert!(gap(&found.0, &first.0) < 1e-4 && gap(&found.1, &first.1) < 1e-3);
    }
}

/// One network of the critic in burn's own operations: 24 and 17 hidden units with layer normalisation and ReLU.
fn plainly(parameters: &Tensor<1>, input: &Tensor<2>) -> Tensor<1> {
    let (mut start, mut x) = (0, input.clone());
    let mut take = |length: usize| {
        start += length;
        parameters.clone().slice(start - length..start)
    };
    for (layer, outputs) in [24, 17, 1].into_iter().enumerate() {
        let [_, inputs] = x.dims();
        let weight = take(inputs * outputs).reshape([inputs, outputs]);
        x = x.matmul(weight) + take(outputs).reshape([1, outputs]);
        if layer == 2 {
            break;
        }
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
        let unit = centred / (variance + 1e-5).sqrt();
        let gain = take(outputs).reshape([1, outputs]);
        x = activation::relu(unit * gain + take(outputs).reshape([1, outputs]));
    }
    let rows = x.dims()[0];
    x.reshape([rows])
}

/// The numbers of one update in burn's own operations: losses of Q and V, and of every network its parameters after it, its
/// slow copy and its gradient.
struct Reference {
    losses: [f32; 2],
    networks: Vec<[Vec<f32>; 3]>,
}

/// L = Σ_i mean (Q_i − r − γ V(s'))² + mean |τ − 1(u < 0)| u² with u = min_i Q̄_i − V; one step of Adam; slow copies after it.
fn reference_update(start: &Checkpoint, transitions: &Transitions) -> Reference {
    let rows = Noise::keyed(11, "critic-update", 0).indices(ROWS, ROWS);
    let device = Device::flex();
    let pick = |values: &[f32], width: usize| matrix(values.to_vec(), width, &device).pick(&rows);
    let observations = pick(&transitions.observations, 4);
    let pairs = Tensor::cat(vec![observations.clone(), pick(&transitions.actions, 2)], 1);
    let next = pick(&transitions.next_observations, 4);
    let rewards = pick(&transitions.rewards, 1).reshape([ROWS]);
    let ends = transitions.terminals.iter();
    let discounts: Vec<f32> = ends.map(|&end| if end { 0.0 } else { DISCOUNT }).collect();
    let discounts = pick(&discounts, 1).reshape([ROWS]);
    let read = |name: &str| vector(start.tensors[name].clone(), &device);
    let own = (0..3).map(|i| read(&format!("critic{i}.parameters")));
    let tracked: Vec<Tensor<1>> = own.map(|p| p.autodiff().require_grad()).collect();
    let [first, second] = [0, 1].map(|i| plainly(&read(&format!("critic{i}.target")), &pairs));
    let lowest = first.min_pair(second);
    let bootstrap = plainly(&read("critic2.parameters"), &next);
    let aim = rewards + discounts * bootstrap;
    let q = |i: usize| {
        (plainly(&tracked[i], &pairs) - aim.clone())
            .powf_scalar(2.0)
            .mean()
    };
    let q_loss = q(0) + q(1);
    let error = lowest - plainly(&tracked[2], &observations);
    let signs = host(error.clone());
    let sides = signs
        .iter()
        .map(|&e| if e > 0.0 { EXPECTILE } else { 1.0 - EXPECTILE });
    let v_loss = (error.powf_scalar(2.0) * vector(sides.collect(), &device)).mean();
    let gradients = (q_loss.clone() + v_loss.clone()).backward();
    let networks = (0..3).map(|i| {
        let gradient = tracked[i].grad(&gradients);
        let mut adam = Adam::new(AdamConfig::plain(1e-3));
        let old = read(&format!("critic{i}.parameters"));
        let after = adam
            .step(vec![old], vec![gradient.clone()])
            .parameters
            .remove(0);
        let target = (i < 2).then(|| {
            let slow = read(&format!("critic{i}.target"));
            host(slow * (1.0 - TARGET_RATE) + after.clone() * TARGET_RATE)
        });
        let gradient = host(gradient.expect("tracked"));
        [host(after), target.unwrap_or_default(), gradient]
    });
    Reference {
        networks: networks.collect(),
        losses: [q_loss, v_loss].map(|l| host(l)[0]),
    }
}

#[test]
fn the_critics_update_is_that_of_plain_operations() {
    let transitions = transitions();
    for device in devices() {
        let mut critic = critic(&device);
        let start = stored(&*critic);
        let expected = reference_update(&start, &transitions);
        let found = critic.update(&lesson(&transitions), 0).expect("finite");
        let losses = [found[0] as f32, found[1] as f32];
        assert!(
            gap(&losses, &expected.losses) < 1e-5,
            "{losses:?} {:?}",
            expected.losses
        );
        let after = stored(&*critic);
        for (i, [parameters, target, gradient]) in expected.networks.iter().enumerate() {
            // Adam's first moment after one step is a tenth of the gradient.
            let first = after.tensors[&format!("first_critic{i}")].iter();
            let found: Vec<f32> = first.map(|m| 10.0 * m).collect();
            let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            let error = found.iter().zip(gradient).map(|(a, b)| (a - b).abs());
            let error = error.fold(0.0, f32::max) / largest;
            assert!(error < 1e-4, "gradient of network {i}: {error}");
            let name = format!("critic{i}.parameters");
            let moved = gap(&after.tensors[&name], &start.tensors[&name]);
            assert!(moved > 5e-4, "network {i} moved by {moved}");
            // Adam's first step is the sign of the gradient: entries whose gradient is rounding alone may go either way.
            let gaps = after.tensors[&name].iter().zip(parameters);
            let far = gaps.filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
            assert!(
                far * 200 <= parameters.len(),
                "{far} of {}",
                parameters.len()
            );
            if !target.is_empty() {
                let slow = &after.tensors[&format!("critic{i}.target")];
                let far = slow
                    .iter()
                    .zip(target)
                    .filter(|(a, b)| (*a - *b).abs() > 1e-6);
                assert!(far.count() * 200 <= target.len(), "slow copy {i}");
            }
        }
        // What was stored is what a resumed critic goes on from.
        let mut again = self::critic(&device);
        again.load(&after, Path::new("critic")).expect("fits");
        let rows = (&transitions.observations, &transitions.actions);
        assert_eq!(again.values(rows.0, rows.1), critic.values(rows.0, rows.1));
    }
}
