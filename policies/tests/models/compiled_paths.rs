//! Compiled models against their tensors: samples, scores, gradients; and compiled forms that follow the weights.
//!
//! The step of a diffusion is written twice: by tensors (`models/gaussian/step.rs`) and for the CPU (`cpu/src/paths/steps.rs`).
//! These tests fail when either moves.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, Arithmetic, Engine, MlpSpec};
use tiltrl_policies::models::{GaussianDiffusion, GaussianPath, StepShape, Units};
use tiltrl_policies::models::{Prediction, Schedule, ScheduleKind};
use tiltrl_policies::nets::{Mlp, Network, NetworkShape, Perceptron};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::sequential::{Explore, Scored, SequentialModel};
use tiltrl_policies::tilt::weights;

use crate::plain::by_tensors;

fn shape() -> NetworkShape {
    NetworkShape {
        dim: 3,
        condition_dim: 7,
        outputs: 3,
        hidden: vec![40, 24],
        activation: Activation::Silu,
        waves: 0,
    }
}

fn schedule() -> Schedule {
    Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity).expect("memoryless")
}

fn network(layer_norm: bool, compute: &Compute) -> Perceptron {
    let spec = MlpSpec {
        sizes: Perceptron::sizes(&shape()),
        activation: Activation::Silu,
        layer_norm,
    };
    let mut noise = Noise::keyed(1, "acting", 0);
    Perceptron::over(Mlp::new(spec, 1.0, &mut noise, compute), &shape())
}

fn model_on(layer_norm: bool, compute: &Compute) -> GaussianDiffusion {
    GaussianDiffusion::new(
        Network::of(network(layer_norm, compute)),
        schedule(),
        [3, 7],
        StepShape::default(),
    )
    .expect("fits")
}

fn model(layer_norm: bool) -> GaussianDiffusion {
    model_on(layer_norm, &Compute::cpu())
}

/// A model whose network also sets the variance of each step.
fn with_learned_variance() -> GaussianDiffusion {
    let step = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    widened(&model(false), step)
}

/// A model that also follows a gradient, with learned variances.
fn with_guidance(layer_norm: bool) -> GaussianDiffusion {
    let gradient = |x: &[f32], steps: &[usize], condition: &[f32]| -> Vec<f32> {
        let width = condition.len() / steps.len().max(1);
        let of_row = |i: usize| 0.1 * steps[i / 3] as f32 + condition[i / 3 * width];
        (0..x.len()).map(|i| of_row(i) - x[i]).collect()
    };
    let step = StepShape {
        learned_variance: true,
        guidance: Some(Arc::new(gradient)),
        ..StepShape::default()
    };
    widened(&model(layer_norm), step)
}

/// Shifts of the mean in units of sigma.
fn in_units_of_sigma() -> GaussianDiffusion {
    let step = StepShape {
        units: Units::Sigma,
        ..StepShape::default()
    };
    let net = network(false, &Compute::cpu());
    GaussianDiffusion::new(Network::of(net), schedule(), [3, 7], step).expect("fits")
}

/// A model that sees waves of its state, with an exact part that depends on everything it is given.
fn with_waves_and_an_exact_part() -> GaussianDiffusion {
    let waves = NetworkShape {
        waves: 2,
        ..shape()
    };
    let net = Perceptron::new(
        &waves,
        1.0,
        &mut Noise::keyed(1, "waves", 0),
        &Compute::cpu(),
    );
    let model = GaussianDiffusion::new(Network::of(net), schedule(), [3, 7], StepShape::default())
        .expect("fits");
    let exact = |x: &[f32], steps: &[usize], condition: &[f32]| -> Vec<f32> {
        let of_row = |i: usize| condition[i / 3 * 7] - 0.2 * steps[i / 3] as f32;
        (0..x.len()).map(|i| of_row(i) + x[i].sin()).collect()
    };
    model.with_exact(Arc::new(exact))
}

/// A model without a condition, with waves, an exact part, learned variances and guidance.
fn without_a_condition() -> GaussianDiffusion {
    let bare = NetworkShape {
        condition_dim: 0,
        waves: 3,
        ..shape()
    };
    let net = Perceptron::new(&bare, 1.0, &mut Noise::keyed(1, "bare", 0), &Compute::cpu());
    let bare = GaussianDiffusion::new(Network::of(net), schedule(), [3, 0], StepShape::default())
        .expect("fits");
    let field = |factor: f32| {
        move |x: &[f32], steps: &[usize], _: &[f32]| -> Vec<f32> {
            let of_row = |i: usize| factor * (steps[i / 3] + 1) as f32;
            (0..x.len()).map(|i| of_row(i) * x[i].cos()).collect()
        }
    };
    let step = StepShape {
        learned_variance: true,
        guidance: Some(Arc::new(field(0.1))),
        ..StepShape::default()
    };
    widened(&bare.with_exact(Arc::new(field(0.05))), step)
}

/// The model with other outputs and all weights moved, so that no new output stays at zero.
fn widened(model: &GaussianDiffusion, step: StepShape) -> GaussianDiffusion {
    let wide = model.reshaped(step).expect("a perceptron widens");
    let parameters = weights::tensors(wide.weights()).into_iter();
    let mut noise = Noise::keyed(5, "acting", 0);
    let moved = parameters.map(|p| {
        let mut values = host(p);
        let shift = noise.normals(values.len(), 1);
        values
            .iter_mut()
            .zip(&shift)
            .for_each(|(v, z)| *v += 0.1 * z);
        vector(values, &Device::flex())
    });
    wide.with_weights(weights::with_tensors(
        wide.weights().clone(),
        moved.collect(),
    ))
}

fn conditions(rows: usize) -> Tensor<2> {
    let values = Noise::keyed(2, "acting", 0).normals(rows, 7);
    matrix(values, 7, &Device::flex())
}

fn sample(model: &GaussianDiffusion, condition: &Tensor<2>, mut noise: Noise) -> Vec<f32> {
    assert!(model.is_compiled());
    host(model.sample(condition, &mut noise))
}

#[test]
fn the_compiled_policy_samples_what_the_tensors_sample() {
    let cases = [
        (model(false), 1),
        (model(true), 70),
        (model(false), 200),
        (model(true), 0),
        (with_learned_variance(), 70),
        (with_guidance(true), 70),
        (in_units_of_sigma(), 33),
        (with_waves_and_an_exact_part(), 70),
        (without_a_condition(), 70),
    ];
    for (model, rows) in cases {
        let (condition, noise) = (conditions(rows), Noise::keyed(3, "acting", 0));
        let compiled = sample(&model, &condition, noise.clone());
        // burn cannot expand to no rows: there is nothing to compare an empty batch with.
        if rows == 0 {
            assert!(compiled.is_empty());
            continue;
        }
        let mut plain = by_tensors(&model).explore(&condition, 1.0, &mut noise.clone());
        let plain = host(plain.states.pop().expect("a path has states"));
        assert!(worst(&compiled, &plain) < 1e-4, "{rows} rows");
    }
}

#[test]
fn threads_and_other_rows_change_no_bit() {
    for engine in [Engine::best(), Engine::new(Arithmetic::F32)] {
        let device = Device::flex();
        let model = model_on(true, &Compute { device, engine });
        let streams: Vec<u64> = (0..150).collect();
        let condition = conditions(150);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let noise = Noise::streams(4, "acting", &streams);
            let sample = || sample(&model, &condition, noise);
            pool.build().expect("pool").install(sample)
        };
        let one = run(1);
        assert_eq!(one, run(3));
        let row = condition.clone().slice([77..78, 0..7]);
        let alone = sample(&model, &row, Noise::streams(4, "acting", &[77]));
        assert_eq!(alone, one[77 * 3..78 * 3]);
    }
}

/// Every weight counts, and those that a model has now: a compiled form of old weights would sample the same.
#[test]
fn a_model_with_other_weights_gives_other_samples_and_the_same_model_the_same() {
    let condition = conditions(20);
    let draw = |m: &GaussianDiffusion| sample(m, &condition, Noise::keyed(3, "acting", 0));
    let model = model(false);
    let first = draw(&model);
    assert_eq!(first, draw(&model));
    assert_eq!(first, draw(&model.clone()));
    let start = host(weights::tensors(model.weights()).remove(0));
    for index in [0, start.len() / 2, start.len() - 1] {
        let mut values = start.clone();
        values[index] += 1.0;
        let values = vec![vector(values, &Device::flex())];
        let weights = weights::with_tensors(model.weights().clone(), values);
        let other = model.with_weights(weights);
        assert_ne!(first, draw(&other), "weight {index}");
        assert_eq!(first, draw(&other.with_weights(model.weights().clone())));
    }
    // And so do scores, whose form is compiled with the weights too.
    let Scored { path, scores } = model.sample_path(&condition, &mut Noise::keyed(3, "acting", 0));
    let wide = with_learned_variance();
    assert_ne!(host(wide.step_log_probs(&path, 0..6)), host(scores.clone()));
    assert_eq!(host(model.step_log_probs(&path, 0..6)), host(scores));
    // Other noise levels are another compiled form.
    let mut shorter = schedule();
    shorter.sigma.iter_mut().for_each(|s| *s *= 0.5);
    assert_ne!(first, draw(&model.clone().with_schedule(shorter)));
    assert_eq!(first, draw(&model));
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    let gap = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gap.fold(0.0, f32::max) / scale
}

/// Gradient of Σ weights · scores; the weights differ from path to path and from step to step.
fn gradient(model: &GaussianDiffusion, scores: Tensor<2>) -> Vec<f32> {
    let [paths, steps] = scores.dims();
    let weights = Noise::keyed(8, "acting", 0).normals(paths, steps);
    let loss = (scores * matrix(weights, steps, &Device::flex())).sum();
    let gradients = loss.backward();
    let all = weights::gradient(model.weights(), &gradients).into_iter();
    all.flat_map(|g| host(g.expect("tracked"))).collect()
}

#[test]
fn paths_scores_and_gradients_are_those_of_the_tensors() {
    let cases = [
        (model(false), 1),
        (model(true), 70),
        (model(false), 200),
        (with_learned_variance(), 65),
        (with_guidance(false), 70),
        (with_guidance(true), 5),
        (in_units_of_sigma(), 33),
        (with_learned_variance(), 1),
        (with_guidance(true), 1),
        (with_waves_and_an_exact_part(), 70),
        (without_a_condition(), 70),
        (without_a_condition(), 1),
    ];
    for (model, rows) in cases {
        assert!(model.is_compiled());
        let condition = conditions(rows);
        let noise = || Noise::keyed(3, "acting", 0);
        let (one, two) = (model.tracked(), by_tensors(&model).tracked());
        let Scored { path, scores } = one.sample_path(&condition, &mut noise());
        let reference = two.sample_path(&condition, &mut noise());
        let (reference, plain) = (reference.path, reference.scores);
        for (a, b) in path.states.iter().zip(&reference.states) {
            assert!(worst(&host(a.clone()), &host(b.clone())) < 1e-4);
        }
        assert!(worst(&host(scores.clone()), &host(plain.clone())) < 1e-4);
        assert!(worst(&gradient(&one, scores), &gradient(&two, plain)) < 1e-4);
        for steps in [0..6, 2..5] {
            let (one, two) = (model.tracked(), by_tensors(&model).tracked());
            let scores = one.step_log_probs(&reference, steps.clone());
            let plain = two.step_log_probs(&reference, steps);
            assert!(worst(&host(scores.clone()), &host(plain.clone())) < 1e-4);
            assert!(worst(&gradient(&one, scores), &gradient(&two, plain)) < 1e-4);
        }
    }
}

#[test]
fn an_empty_batch_has_no_paths_and_no_gradient() {
    let models = [model(true), with_learned_variance(), with_guidance(false)];
    for model in models {
        let (model, condition) = (model.tracked(), matrix(vec![], 7, &Device::flex()));
        let Scored { path, scores } =
            model.sample_path(&condition, &mut Noise::keyed(3, "acting", 0));
        assert_eq!((path.states.len(), scores.dims()), (7, [0, 6]));
        assert!(path.states.iter().all(|s| s.dims() == [0, 3]));
        let again = model.step_log_probs(&path, 2..5);
        for scores in [scores, again] {
            assert!(gradient(&model, scores).iter().all(|&g| g == 0.0));
        }
    }
}

#[test]
fn exploration_is_that_of_the_tensors() {
    let model = with_learned_variance();
    let condition = conditions(40);
    let noise = || Noise::keyed(3, "acting", 0);
    let wide: GaussianPath = model.explore(&condition, 2.0, &mut noise());
    let plain = by_tensors(&model).explore(&condition, 2.0, &mut noise());
    for (a, b) in wide.states.iter().zip(&plain.states) {
        assert!(worst(&host(a.clone()), &host(b.clone())) < 1e-4);
    }
}

#[test]
fn threads_change_no_bit_of_a_gradient() {
    let model = with_guidance(true);
    let condition = conditions(150);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().expect("pool").install(|| {
            let model = model.tracked();
            let Scored { path, scores } =
                model.sample_path(&condition, &mut Noise::keyed(3, "acting", 0));
            let values = host(scores.clone());
            (
                gradient(&model, scores),
                values,
                host(path.states[6].clone()),
            )
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_network_without_its_type_computes_the_same_bytes() {
    let compute = Compute::cpu();
    let typed = GaussianDiffusion::new(
        network(false, &compute),
        schedule(),
        [3, 7],
        StepShape::default(),
    )
    .expect("fits");
    let erased = model(false);
    assert!(typed.is_compiled() && erased.is_compiled());
    let condition = matrix(Noise::keyed(4, "c", 0).normals(9, 7), 7, &Device::flex());
    let noise = || Noise::keyed(5, "path", 0);
    let (a, b) = (typed.tracked(), erased.tracked());
    let path = a.sample_path(&condition, &mut noise()).path;
    let other = b.sample_path(&condition, &mut noise());
    let (other, scores) = (other.path, other.scores);
    assert_eq!(host(a.sample_of(&path)), host(b.sample_of(&other)));
    let loss = |scores: Tensor<2>| scores.sum().backward();
    let of = |g: Vec<Option<Tensor<1>>>| host(g[0].clone().expect("reached"));
    let first = of(weights::gradient(
        a.weights(),
        &loss(a.step_log_probs(&path, 0..6)),
    ));
    let second = of(weights::gradient(b.weights(), &loss(scores)));
    assert!(first.iter().any(|g| *g != 0.0));
    let third = of(weights::gradient(
        b.weights(),
        &loss(b.step_log_probs(&other, 0..6)),
    ));
    assert_eq!(first, third, "scored again");
    let close = first
        .iter()
        .zip(&second)
        .all(|(x, y)| (x - y).abs() < 1e-3 * (1.0 + x.abs()));
    assert!(close, "as it was sampled");
}
