//! The kernel of policies against the processor's engine: noise, networks of every shape, all denoising steps.

use ndarray::Array2;
use tiltrl::envs::gpu::policy::PolicyTables;
use tiltrl::envs::gpu::program::Program;
use tiltrl::envs::gpu::{DeviceEnvs, Mode};
use tiltrl::envs::{Margin, spec_of};
use tiltrl::export::PolicyNumbers;
use tiltrl::policies::Compute;
use tiltrl::policies::agent::{Choice, Coordinates, DiffusionPolicy, Normalizer, Policy};
use tiltrl::policies::fast::{Activation, Arithmetic, Engine};
use tiltrl::policies::models::{GaussianDiffusion, StepShape};
use tiltrl::policies::models::{Prediction, Schedule, ScheduleKind};
use tiltrl::policies::nets::{Network, NetworkShape, Perceptron};
use tiltrl::tilt::noise::Noise;

use crate::fake::Fake;
use crate::twin;

/// A driver whose kernels are twins.
pub fn driver(env: &str, mode: Mode) -> Box<Fake> {
    let program = Program::of(env, Margin::Max).unwrap();
    Box::new(Fake {
        program: Some((program, mode)),
        ..Fake::new()
    })
}

/// A policy with random weights: model, coordinates and the numbers of both.
pub struct Made {
    pub model: GaussianDiffusion,
    pub coordinates: Coordinates,
    pub numbers: PolicyNumbers,
}

impl Made {
    /// Plain f32 on the processor, so that both sides have the same kind of number.
    pub fn new(env: &str, hidden: &[usize], activation: Activation, learned: bool) -> Self {
        let spec = spec_of(env).unwrap();
        let (dim, width) = (spec.action_dim, spec.observation_dim);
        let mut noise = Noise::keyed(5, "policy", hidden.len() as u64);
        let compute = Compute {
            engine: Engine::new(Arithmetic::F32),
            ..Compute::cpu()
        };
        let step = StepShape {
            learned_variance: learned,
            ..StepShape::default()
        };
        let shape = NetworkShape {
            dim,
            condition_dim: width,
            outputs: dim + dim * usize::from(learned),
            hidden: hidden.to_vec(),
            activation,
            waves: 0,
        };
        let perceptron = Perceptron::new(&shape, 1.0, &mut noise, &compute);
        let schedule = Schedule::new(ScheduleKind::Cosine, 10, Prediction::Velocity).unwrap();
        let network = Network::of(perceptron.clone());
        let model = GaussianDiffusion::new(network, schedule, [dim, width], step).unwrap();
        let normal = |mean: f32, std: f32, width: usize| Normalizer {
            mean: (0..width).map(|k| mean * k as f32).collect(),
            std: (0..width).map(|k| std + 0.1 * k as f32).collect(),
        };
        let coordinates = Coordinates {
            observation: normal(0.02, 0.7, width),
            action: normal(-0.03, 0.4, dim),
        };
        let numbers = PolicyNumbers::of_model(&model, &perceptron, &coordinates);
        Self {
            model,
            coordinates,
            numbers,
        }
    }

    pub fn policy(&self) -> DiffusionPolicy<'_> {
        DiffusionPolicy {
            model: &self.model,
            coordinates: &self.coordinates,
            critic: None,
            choice: Choice::Sample,
        }
    }

    pub fn tables(&self) -> PolicyTables {
        self.numbers.tables().unwrap()
    }
}

fn rows(columns: &[f32], width: usize) -> Array2<f32> {
    let count = columns.len() / width;
    Array2::from_shape_fn((count, width), |(r, k)| columns[k * count + r])
}

/// The largest difference of an action over three steps of 37 environments: no multiple of a block.
fn difference(env: &str, made: &Made) -> f32 {
    const COUNT: usize = 37;
    let spec = spec_of(env).unwrap();
    let mut envs = DeviceEnvs::new(
        driver(env, Mode::F64),
        0,
        env,
        Margin::Max,
        Mode::F64,
        COUNT,
    );
    let envs = envs.as_mut().unwrap();
    let indices: Vec<u64> = (0..COUNT as u64).collect();
    let mut noise = Noise::streams(9, "episode-noise", &indices);
    envs.set_policy(&made.tables(), &noise.keys()).unwrap();
    envs.reset(3).unwrap();
    let (mut worst, mut spread) = (0.0_f32, 0.0_f32);
    for _ in 0..3 {
        let seen = rows(&envs.observations().unwrap(), spec.observation_dim);
        let want = made.policy().act(seen.view(), &mut noise);
        envs.act().unwrap();
        let found = rows(&envs.actions().unwrap(), spec.action_dim);
        for (a, b) in want.iter().zip(&found) {
            let apart = (a - b).abs();
            worst = if apart <= worst { worst } else { apart };
            spread = spread.max(a.abs());
        }
        envs.step().unwrap();
    }
    assert!(spread > 0.3, "actions that say nothing: {spread}");
    worst
}

#[test]
fn actions_are_the_processors_whatever_the_networks_shape() {
    if !twin::compiler() {
        return;
    }
    for (env, hidden, activation, learned) in [
        (
            "halfcheetah-v4",
            &[256, 256, 256][..],
            Activation::Silu,
            true,
        ),
        ("halfcheetah-v4", &[256, 256, 256], Activation::Silu, false),
        ("hopper-v4", &[128, 128], Activation::Mish, true),
        ("walker2d-v4", &[40, 300, 65], Activation::Gelu, false),
        ("hopper-v4", &[512, 512], Activation::Relu, true),
        ("pendulum-v1", &[700], Activation::Silu, true),
    ] {
        let worst = difference(env, &Made::new(env, hidden, activation, learned));
        eprintln!("{env} {hidden:?} {activation:?} {learned}: {worst:.1e}");
        assert!(worst < 2e-6, "{env} {hidden:?}: {worst:e}");
    }
}

/// A policy whose action is tanh of one standard normal number: of x_0, or of the only step's noise.
fn only_noise(of_start: bool) -> PolicyTables {
    let mut tables = Made::new("pendulum-v1", &[4], Activation::Relu, false).tables();
    tables.action = [vec![0.0], vec![1.0]];
    tables.steps.truncate(1);
    let share = f32::from(u8::from(of_start));
    let step = &mut tables.steps[0];
    (step.state, step.output, step.sigma) = (share, 0.0, 1.0 - share);
    tables
}

#[test]
fn noise_is_the_processors_number_for_number() {
    if !twin::compiler() {
        return;
    }
    const COUNT: usize = 1000;
    let env = "pendulum-v1";
    let indices: Vec<u64> = (0..COUNT as u64).collect();
    let mut largest = 0.0_f32;
    for of_start in [true, false] {
        let mut noise = Noise::streams(1, "episode-noise", &indices);
        let mut envs = DeviceEnvs::new(
            driver(env, Mode::F64),
            0,
            env,
            Margin::Max,
            Mode::F64,
            COUNT,
        )
        .unwrap();
        envs.set_policy(&only_noise(of_start), &noise.keys())
            .unwrap();
        envs.reset(0).unwrap();
        // 200,000 numbers: some hundred from the tail beyond 3.65, and thousands from the strips' wedges.
        for step in 0..100 {
            envs.act().unwrap();
            // Two numbers of each stream, x_0 and the step's.
            let pairs = noise.normals(COUNT * 2, 1);
            let found = envs.actions().unwrap();
            for (pair, action) in pairs.chunks_exact(2).zip(&found) {
                let number = if of_start { pair[0] } else { pair[1] };
                largest = largest.max(number.abs());
                assert!(
                    (number.tanh() - action).abs() < 2e-7,
                    "{number} {action} at {step}"
                );
            }
        }
    }
    assert!(largest > 3.7, "no number came from the tail: {largest}");
}

#[test]
fn an_environment_that_has_ended_keeps_its_noise_and_a_policy_of_another_width_is_refused() {
    if !twin::compiler() {
        return;
    }
    let env = "hopper-v4";
    let made = Made::new(env, &[32], Activation::Silu, true);
    let mut envs =
        DeviceEnvs::new(driver(env, Mode::F64), 0, env, Margin::Max, Mode::F64, 20).unwrap();
    let wrong = Made::new("pendulum-v1", &[32], Activation::Silu, true);
    let keys = Noise::streams(1, "x", &(0..20).collect::<Vec<_>>()).keys();
    let error = envs
        .set_policy(&wrong.tables(), &keys)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("[3, 1]") && error.contains("hint: "),
        "{error}"
    );
    let mut wide = made.tables();
    wide.layers[0].shape[1] = 2000;
    assert!(wide.kernel().unwrap_err().to_string().contains("layer 0"));
    envs.set_policy(&made.tables(), &keys).unwrap();
    envs.reset(0).unwrap();
    while !envs
        .statuses()
        .unwrap()
        .iter()
        .any(|s| *s != tiltrl::envs::gpu::Status::Running)
    {
        envs.act().unwrap();
        envs.step().unwrap();
    }
    let before = envs.actions().unwrap();
    envs.act().unwrap();
    let (after, statuses) = (envs.actions().unwrap(), envs.statuses().unwrap());
    for (k, status) in statuses.iter().enumerate() {
        let stays = before[k] == after[k];
        assert_eq!(
            stays,
            *status != tiltrl::envs::gpu::Status::Running,
            "environment {k}"
        );
    }
}
