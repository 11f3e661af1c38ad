//! One suite for every backend in the build: networks against f64, and paths, fine-tuning and the critic against the plain
//! tensor path on the CPU. The default build has the CPU backend alone; `--features tch` adds libtorch.

mod critic;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, HostAdam, MlpSpec};
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::nets::{Mlp, Network, NetworkShape, Perceptron};
use tiltrl_policies::tilt::finetune::{
    Batch, Exploration, Finetuner, Mixture, Options, ReplayOptions,
};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::{Adam, AdamConfig, Optimizer};
use tiltrl_policies::tilt::sequential::{
    Batched, ConditionFeatures, Explore, Scored, SequentialModel, StateFeatures,
};
use tiltrl_policies::tilt::weights;

use crate::plain::by_tensors;

fn devices() -> Vec<Device> {
    vec![
        Device::flex(),
        #[cfg(feature = "tch")]
        Device::libtorch(),
    ]
}

/// Largest difference, relative to the largest value (at least 1).
fn gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    let gaps = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, f32::max) / scale
}

// --- networks against f64 -------------------------------------------------------------------------------------------

/// Φ(z) by Simpson's rule.
fn distribution(z: f64) -> f64 {
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let h = z / 400.0;
    let inner: f64 = (1..400)
        .map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 })
        .sum();
    0.5 + (density(0.0) + density(z) + inner) * h / 3.0
}

fn activated(kind: Activation, z: f64) -> f64 {
    match kind {
        Activation::Relu => z.max(0.0),
        Activation::Silu => z / (1.0 + (-z).exp()),
        Activation::Mish => z * z.exp().ln_1p().tanh(),
        Activation::Gelu => z * distribution(z),
    }
}

/// Σ output² of one row, in f64.
fn loss64(spec: &MlpSpec, parameters: &[f64], row: &[f64]) -> f64 {
    let layers = spec.layers();
    let mut h = row.to_vec();
    for (i, layer) in layers.iter().enumerate() {
        let [inputs, outputs] = layer.shape;
        let sum = |c: usize| -> f64 {
            let products = (0..inputs).map(|j| h[j] * parameters[layer.weight + j * outputs + c]);
            products.sum::<f64>() + parameters[layer.bias + c]
        };
        let mut z: Vec<f64> = (0..outputs).map(sum).collect();
        if let Some(norm) = layer.norm {
            let mean = z.iter().sum::<f64>() / outputs as f64;
            let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / outputs as f64;
            for (c, v) in z.iter_mut().enumerate() {
                let unit = (*v - mean) / (variance + 1e-5).sqrt();
                *v = unit * parameters[norm + c] + parameters[norm + outputs + c];
            }
        }
        h = z;
        if i + 1 < layers.len() {
            h.iter_mut()
                .for_each(|v| *v = activated(spec.activation, *v));
        }
    }
    h.iter().map(|v| v * v).sum()
}

/// Loss, and its gradients with respect to parameters and input by central differences in f64.
fn reference(spec: &MlpSpec, parameters: &[f32], input: &[f32]) -> (f64, Vec<f32>, Vec<f32>) {
    let mut p: Vec<f64> = parameters.iter().map(|&v| f64::from(v)).collect();
    let mut x: Vec<f64> = input.iter().map(|&v| f64::from(v)).collect();
    let loss = |p: &[f64], x: &[f64]| -> f64 {
        x.chunks(spec.inputs())
            .map(|row| loss64(spec, p, row))
            .sum()
    };
    let value = loss(&p, &x);
    let h = 1e-5;
    let mut of_parameters = Vec::new();
    for i in 0..p.len() {
        let kept = p[i];
        p[i] = kept + h;
        let up = loss(&p, &x);
        p[i] = kept - h;
        of_parameters.push(((up - loss(&p, &x)) / (2.0 * h)) as f32);
        p[i] = kept;
    }
    let mut of_input = Vec::new();
    for i in 0..x.len() {
        let kept = x[i];
        x[i] = kept + h;
        let up = loss(&p, &x);
        x[i] = kept - h;
        of_input.push(((up - loss(&p, &x)) / (2.0 * h)) as f32);
        x[i] = kept;
    }
    (value, of_parameters, of_input)
}

#[test]
fn networks_and_their_gradients_agree_with_f64() {
    let kinds = [Activation::Silu, Activation::Mish, Activation::Gelu];
    let mut draw = Noise::keyed(11, "conformance-shapes", 0);
    for case in 0..40u64 {
        let mut pick = |bound: usize| 1 + draw.indices(1, bound)[0];
        let (rows, hidden) = (if case % 4 == 0 { 1 } else { pick(5) }, 4 + pick(28));
        let spec = MlpSpec {
            sizes: [vec![pick(9)], vec![hidden; pick(3) - 1], vec![pick(5)]].concat(),
            activation: kinds[case as usize % 3],
            layer_norm: case % 2 == 0,
        };
        let mut noise = Noise::keyed(case, "conformance", 0);
        for device in devices() {
            let mut noise = noise.clone();
            let net = Mlp::new(spec.clone(), 1.0, &mut noise, &Compute::on(device.clone())).train();
            let input = noise.normals(rows, spec.inputs());
            let parameters = net.parameters();
            let x = matrix(input.clone(), spec.inputs(), &device);
            let x = x.autodiff().require_grad();
            let output = net.forward(x.clone());
            let loss = (output.clone() * output).sum();
            let gradients = loss.clone().backward();
            let found = [
                weights::gradient(&net, &gradients).remove(0),
                x.grad(&gradients)
                    .map(|g| g.reshape([rows * spec.inputs()])),
            ];
            let found = found.map(|g| host(g.expect("tracked")));
            let (value, of_parameters, of_input) = reference(&spec, &host(parameters), &input);
            let near = (f64::from(host(loss)[0]) - value).abs() < 1e-4 * value.max(1.0);
            assert!(near, "case {case}: {spec:?}");
            // A normalised row near zero multiplies rounding by up to 300.
            assert!(
                gap(&found[0], &of_parameters) < 1e-3,
                "case {case}: {spec:?}"
            );
            assert!(gap(&found[1], &of_input) < 1e-3, "case {case}: {spec:?}");
        }
        noise.uniform();
    }
}

// --- paths and fine-tuning against plain tensors --------------------------------------------------------------------

fn model(device: &Device, guided: bool) -> GaussianDiffusion {
    let pull = |x: &[f32], _: &[usize], _: &[f32]| x.iter().map(|v| 0.3 - v).collect::<Vec<f32>>();
    let step = StepShape {
        learned_variance: guided,
        guidance: guided.then(|| Arc::new(pull) as Arc<_>),
        ..StepShape::default()
    };
    let shape = NetworkShape {
        dim: 2,
        condition_dim: 5,
        outputs: if guided { 5 } else { 2 },
        hidden: vec![33, 20],
        activation: Activation::Silu,
        waves: 0,
    };
    let spec = MlpSpec {
        sizes: Perceptron::sizes(&shape),
        activation: Activation::Silu,
        layer_norm: guided,
    };
    let mut noise = Noise::keyed(4, "conformance", 0);
    let net = Mlp::new(spec, 0.3, &mut noise, &Compute::on(device.clone()));
    let net = Perceptron::over(net, &shape);
    let schedule = Schedule::new(ScheduleKind::Cosine, 7, Prediction::Velocity);
    let schedule = schedule.expect("memoryless");
    GaussianDiffusion::new(Network::of(net), schedule, [2, 5], step).expect("fits")
}

/// All parameters, one after another.
fn parameters<M: SequentialModel>(model: &M) -> Vec<f32> {
    let all = weights::tensors(model.weights()).into_iter();
    all.flat_map(host).collect()
}

/// Parameters after three updates, and the last report's loss.
fn tuned<M, O: Optimizer>(
    model: &M,
    optimizer: impl FnOnce(AdamConfig) -> O,
    options: &Options,
    mixture: Mixture,
) -> (Vec<f32>, f64)
where
    M: SequentialModel<Condition = Tensor<2>, Sample = Tensor<2>>
        + Explore
        + ConditionFeatures
        + StateFeatures,
{
    let device = weights::device(model.weights());
    let adam = AdamConfig {
        max_gradient_norm: 1.0,
        ..AdamConfig::plain(1e-3)
    };
    let values = Noise::keyed(5, "conformance", 0).normals(9, 5);
    let conditions = matrix(values, 5, &device);
    let data = (mixture.data > 0).then(|| {
        let samples = conditions.clone().slice([0..9, 0..2]);
        samples.repeated(mixture.data)
    });
    let (prior, posterior) = (model.clone(), model.clone());
    let tuner = Finetuner::new(prior, posterior, optimizer(adam), mixture, &conditions);
    let mut tuner = tuner.expect("the same").with_options(options.clone(), 1);
    let batch = Batch { conditions, data };
    let value = |sample: &Tensor<2>, _: &Tensor<2>| -> Vec<f64> {
        let rows = host(sample.clone());
        rows.chunks_exact(2)
            .map(|r| f64::from(r[0] - 0.3 * r[1] * r[1]))
            .collect()
    };
    let mut noise = Noise::keyed(6, "conformance", 0);
    let mut loss = 0.0;
    for _ in 0..3 {
        let report = tuner.update(&batch, &value, &mut noise);
        loss = report.expect("finite").loss;
    }
    (parameters(tuner.posterior()), loss)
}

#[test]
fn fine_tuning_agrees_with_the_plain_path() {
    let on_policy = Mixture {
        on_policy: 6,
        prior: 0,
        data: 0,
    };
    let mixed = Mixture {
        on_policy: 3,
        prior: 2,
        data: 1,
    };
    let whole = Options::default();
    let chunked = Options {
        chunk: 3,
        ..Options::default()
    };
    let off_policy = Options {
        exploration: Exploration {
            paths: 2,
            ..Exploration::default()
        },
        replay: ReplayOptions {
            groups: 2,
            paths: 3,
            ..ReplayOptions::default()
        },
        ..Options::default()
    };
    for (options, mixture) in [
        (whole, on_policy),
        (chunked, on_policy),
        (off_policy, mixed),
    ] {
        for guided in [false, true] {
            let reference = by_tensors(&model(&Device::flex(), guided));
            let plain = tuned(&reference, Adam::new, &options, mixture);
            assert!(gap(&plain.0, &parameters(&reference)) > 1e-3);
            for device in devices() {
                let own = model(&device, guided);
                assert_eq!(own.is_compiled(), device == Device::flex());
                let found = tuned(&own, HostAdam::new, &options, mixture);
                // Adam divides by the gradient's size: rounding of small entries moves them by a share of 3 · 1e-3.
                assert!(
                    gap(&found.0, &plain.0) < 3e-4,
                    "{options:?} {guided} {device:?}"
                );
                assert!((found.1 - plain.1).abs() < 1e-3 * plain.1.abs().max(1.0));
            }
        }
    }
}

#[test]
fn the_priors_loss_and_gradient_agree() {
    let of = |device: &Device| {
        let model = model(device, false);
        let tracked = model.tracked();
        let mut noise = Noise::keyed(7, "conformance", 0);
        let (sample, condition) = (noise.normals(50, 2), noise.normals(50, 5));
        let condition = matrix(condition, 5, device);
        let loss = tracked.denoising_loss(&sample, &condition, &mut noise);
        let gradients = loss.clone().backward();
        let gradient = weights::gradient(tracked.weights(), &gradients).remove(0);
        [host(loss), host(gradient.expect("tracked"))]
    };
    let first = of(&Device::flex());
    for device in devices() {
        let found = of(&device);
        assert!(gap(&found[0], &first[0]) < 1e-5 && gap(&found[1], &first[1]) < 1e-5);
    }
}

#[test]
fn empty_batches_and_single_rows_pass() {
    for device in devices() {
        let model = model(&device, true);
        for rows in [0, 1] {
            let condition = vector(vec![0.5; rows * 5], &device).reshape([rows, 5]);
            if rows == 0 && device != Device::flex() {
                continue;
            }
            let mut noise = Noise::keyed(9, "conformance", 0);
            let Scored { path, scores } = model.sample_path(&condition, &mut noise);
            assert_eq!(scores.dims(), [rows, 7]);
            assert_eq!(model.sample_of(&path).dims(), [rows, 2]);
            assert_eq!(model.step_log_probs(&path, 2..5).dims(), [rows, 3]);
        }
    }
}
