//! Compiled models against their tensors: samples, scores, gradients, and the cache.

use super::*;
use burn::tensor::{Device, Tensor};

use crate::gaussian::{GaussianPath, Kernel, Units};
use crate::kernels::math::Activation;
use crate::nets::{Mlp, host, matrix};
use crate::schedule::{Prediction, ScheduleKind};
use crate::sequential::SequentialModel;

fn model(layer_norm: bool) -> GaussianDiffusion {
    let spec = MlpSpec {
        sizes: vec![GaussianDiffusion::net_inputs(3, 7), 40, 24, 3],
        activation: Activation::Silu,
        layer_norm,
    };
    let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
    GaussianDiffusion {
        net: Mlp::new(
            spec,
            1.0,
            &mut Noise::keyed(1, "acting", 0),
            &Device::flex(),
        ),
        schedule: Arc::new(schedule.expect("memoryless")),
        dim: 3,
        condition_dim: 7,
        exact: None,
        kernel: Kernel::default(),
    }
}

/// A model whose network also sets the variance of each step.
fn with_learned_variance() -> GaussianDiffusion {
    widened(
        model(false),
        Kernel {
            learned_variance: true,
            ..Kernel::default()
        },
    )
}

/// A model that also follows a gradient, with learned variances.
fn with_guidance(layer_norm: bool) -> GaussianDiffusion {
    let gradient = |x: &[f32], steps: &[usize], condition: &[f32]| -> Vec<f32> {
        let width = condition.len() / steps.len().max(1);
        let of_row = |i: usize| 0.1 * steps[i / 3] as f32 + condition[i / 3 * width];
        (0..x.len()).map(|i| of_row(i) - x[i]).collect()
    };
    widened(
        model(layer_norm),
        Kernel {
            learned_variance: true,
            guidance: Some(Arc::new(gradient)),
            ..Kernel::default()
        },
    )
}

/// Shifts of the mean in units of sigma.
fn in_units_of_sigma() -> GaussianDiffusion {
    let mut model = model(false);
    model.kernel.units = Units::Sigma;
    model
}

fn widened(model: GaussianDiffusion, kernel: Kernel) -> GaussianDiffusion {
    let mut wide = model.widened(kernel);
    let mut values = HostVector::take(&mut wide.net.parameters);
    let (noise, count) = (&mut Noise::keyed(5, "acting", 0), values.values().len());
    for (value, z) in values.values_mut().iter_mut().zip(noise.normals(count, 1)) {
        *value += 0.1 * z;
    }
    wide.net.parameters = values.into_tensor();
    wide
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
    ];
    for (model, rows) in cases {
        let condition = Noise::keyed(2, "acting", 0).normals(rows, 7);
        let noise = || Noise::keyed(3, "acting", 0);
        let frozen = FrozenPolicy::new(&model).expect("plain");
        let compiled = frozen.sample(&condition, &mut noise());
        // burn cannot expand to no rows: there is nothing to compare an empty batch with.
        if rows == 0 {
            assert!(compiled.is_empty());
            continue;
        }
        let tensor = matrix(condition, 7, &Device::flex());
        let plain = host(model.sample_by_tensors(&tensor, &mut noise()));
        assert!(worst(&compiled, &plain) < 1e-4, "{rows} rows");
    }
}

#[test]
fn threads_and_other_rows_change_no_bit() {
    let frozen = FrozenPolicy::new(&model(true)).expect("plain");
    let streams: Vec<u64> = (0..150).collect();
    let condition = Noise::keyed(2, "acting", 0).normals(150, 7);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let sample = || frozen.sample(&condition, &mut Noise::streams(4, "acting", &streams));
        pool.build().expect("pool").install(sample)
    };
    let one = run(1);
    assert_eq!(one, run(3));
    let alone = frozen.sample(
        &condition[77 * 7..78 * 7],
        &mut Noise::streams(4, "acting", &[77]),
    );
    assert_eq!(alone, one[77 * 3..78 * 3]);
}

#[test]
fn the_cache_follows_the_parameters() {
    let mut model = model(false);
    let first = FrozenPolicy::of(&model).expect("plain");
    assert!(Arc::ptr_eq(
        &first,
        &FrozenPolicy::of(&model).expect("plain")
    ));
    let mut values = HostVector::take(&mut model.net.parameters);
    values.values_mut()[0] += 1.0;
    model.net.parameters = values.into_tensor();
    let second = FrozenPolicy::of(&model).expect("plain");
    assert!(!Arc::ptr_eq(&first, &second));
    assert_ne!(first.parameters.values()[0], second.parameters.values()[0]);
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
    host(model.net.parameters.grad(&gradients).expect("tracked"))
}

fn tracked(model: &GaussianDiffusion) -> GaussianDiffusion {
    model.with_parameters(model.net.parameters.clone().autodiff().require_grad())
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
    ];
    for (model, rows) in cases {
        let condition = Noise::keyed(2, "acting", 0).normals(rows, 7);
        let condition = matrix(condition, 7, &Device::flex());
        let noise = || Noise::keyed(3, "acting", 0);
        let (one, two) = (tracked(&model), tracked(&model));
        let (path, scores) = one.sample_path(&condition, &mut noise());
        let (reference, plain) = two.path_by_tensors(&condition, &mut noise());
        for (a, b) in path.states.iter().zip(&reference.states) {
            assert!(worst(&host(a.clone()), &host(b.clone())) < 1e-4);
        }
        assert!(worst(&host(scores.clone()), &host(plain.clone())) < 1e-4);
        assert!(worst(&gradient(&one, scores), &gradient(&two, plain)) < 1e-4);
        for steps in [0..6, 2..5] {
            let (one, two) = (tracked(&model), tracked(&model));
            let scores = one.step_log_probs(&reference, steps.clone());
            let plain = two.scores_by_tensors(&reference, steps);
            assert!(worst(&host(scores.clone()), &host(plain.clone())) < 1e-4);
            assert!(worst(&gradient(&one, scores), &gradient(&two, plain)) < 1e-4);
        }
    }
}

#[test]
fn an_empty_batch_has_no_paths_and_no_gradient() {
    let models = [model(true), with_learned_variance(), with_guidance(false)];
    for model in models {
        let (model, condition) = (tracked(&model), matrix(vec![], 7, &Device::flex()));
        let (path, scores) = model.sample_path(&condition, &mut Noise::keyed(3, "acting", 0));
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
    let condition = matrix(
        Noise::keyed(2, "acting", 0).normals(40, 7),
        7,
        &Device::flex(),
    );
    let noise = || Noise::keyed(3, "acting", 0);
    let wide: GaussianPath = model.explore(&condition, 2.0, &mut noise());
    let plain = model.exploration_by_tensors(&condition, 2.0, &mut noise());
    for (a, b) in wide.states.iter().zip(&plain.states) {
        assert!(worst(&host(a.clone()), &host(b.clone())) < 1e-4);
    }
}

#[test]
fn threads_change_no_bit_of_a_gradient() {
    let model = with_guidance(true);
    let condition = matrix(
        Noise::keyed(2, "acting", 0).normals(150, 7),
        7,
        &Device::flex(),
    );
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().expect("pool").install(|| {
            let model = tracked(&model);
            let (path, scores) = model.sample_path(&condition, &mut Noise::keyed(3, "acting", 0));
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
