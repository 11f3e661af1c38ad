//! One suite for every backend in the build: networks against f64, and paths, fine-tuning and the critic against the plain
//! tensor path on the CPU. The default build has the CPU backend alone; `--features tch` adds libtorch.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_policies::finetune::{Exploration, Finetuner, Mixture, Options, ReplayOptions};
use tiltrl_policies::gaussian::{GaussianDiffusion, GaussianPath, Kernel};
use tiltrl_policies::iql::{Iql, IqlConfig, Transitions};
use tiltrl_policies::kernels::adam::AdamConfig;
use tiltrl_policies::kernels::fused::mlp_forward;
use tiltrl_policies::kernels::math::Activation;
use tiltrl_policies::kernels::mlp::MlpSpec;
use tiltrl_policies::nets::{Mlp, host, matrix, vector};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::rtb::Shaping;
use tiltrl_policies::schedule::{Prediction, Schedule, ScheduleKind};
use tiltrl_policies::sequential::SequentialModel;

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
            let net = Mlp::new(spec.clone(), 1.0, &mut noise, &device);
            let input = noise.normals(rows, spec.inputs());
            let parameters = net.parameters.clone().autodiff().require_grad();
            let x = matrix(input.clone(), spec.inputs(), &device);
            let x = x.autodiff().require_grad();
            let output = mlp_forward(&net.spec, &parameters, x.clone());
            let loss = (output.clone() * output).sum();
            let gradients = loss.clone().backward();
            let found = [
                parameters.grad(&gradients),
                x.grad(&gradients)
                    .map(|g| g.reshape([rows * spec.inputs()])),
            ];
            let found = found.map(|g| host(g.expect("tracked")));
            let (value, of_parameters, of_input) = reference(&spec, &host(net.parameters), &input);
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

/// A diffusion model that never takes the compiled path.
#[derive(Clone)]
struct Plain(GaussianDiffusion);

impl SequentialModel for Plain {
    type Condition = Tensor<2>;
    type Sample = Tensor<2>;
    type Path = GaussianPath;

    fn parameters(&self) -> Tensor<1> {
        self.0.parameters()
    }
    fn with_parameters(&self, parameters: Tensor<1>) -> Self {
        Self(self.0.with_parameters(parameters))
    }
    fn num_steps(&self) -> usize {
        self.0.num_steps()
    }
    fn sample_path(&self, c: &Tensor<2>, noise: &mut Noise) -> (GaussianPath, Tensor<2>) {
        self.0.path_by_tensors(c, noise)
    }
    fn explore(&self, c: &Tensor<2>, scale: f64, noise: &mut Noise) -> GaussianPath {
        self.0.exploration_by_tensors(c, scale, noise)
    }
    fn path_to(&self, c: &Tensor<2>, sample: &Tensor<2>, noise: &mut Noise) -> GaussianPath {
        self.0.path_to(c, sample, noise)
    }
    fn sample_of(&self, path: &GaussianPath) -> Tensor<2> {
        self.0.sample_of(path)
    }
    fn step_log_probs(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        self.0.scores_by_tensors(path, steps)
    }
    fn feature_widths(&self) -> [usize; 2] {
        self.0.feature_widths()
    }
    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        self.0.condition_features(condition)
    }
    fn state_features(&self, path: &GaussianPath, step: usize) -> Tensor<2> {
        self.0.state_features(path, step)
    }
}

fn model(device: &Device, guided: bool) -> GaussianDiffusion {
    let pull = |x: &[f32], _: &[usize], _: &[f32]| x.iter().map(|v| 0.3 - v).collect::<Vec<f32>>();
    let kernel = Kernel {
        learned_variance: guided,
        guidance: guided.then(|| Arc::new(pull) as Arc<_>),
        ..Kernel::default()
    };
    let spec = MlpSpec {
        sizes: vec![
            GaussianDiffusion::net_inputs(2, 5),
            33,
            20,
            kernel.outputs(2),
        ],
        activation: Activation::Silu,
        layer_norm: guided,
    };
    let schedule = Schedule::new(ScheduleKind::Cosine, 7, Prediction::Velocity);
    GaussianDiffusion {
        net: Mlp::new(spec, 0.3, &mut Noise::keyed(4, "conformance", 0), device),
        schedule: Arc::new(schedule.expect("memoryless")),
        dim: 2,
        condition_dim: 5,
        exact: None,
        kernel,
    }
}

/// Parameters after three updates, and the last report's loss.
fn tuned<M>(model: M, options: &Options, mixture: Mixture) -> (Vec<f32>, f64)
where
    M: SequentialModel<Condition = Tensor<2>, Sample = Tensor<2>>,
{
    let device = model.parameters().device().inner();
    let adam = AdamConfig {
        learning_rate: 1e-3,
        weight_decay: 0.0,
        max_gradient_norm: 1.0,
    };
    let mut tuner = Finetuner::new(model, adam, mixture, Shaping::default());
    tuner = tuner.with_options(options.clone(), 1);
    let rows = Noise::keyed(5, "conformance", 0).normals(9, 5);
    let repeat = |width: usize, count: usize| -> Tensor<2> {
        let part = rows
            .chunks_exact(5)
            .flat_map(|row| row[..width].repeat(count));
        matrix(part.collect(), width, &device)
    };
    let value = |sample: &Tensor<2>, _: usize| -> Vec<f64> {
        let rows = host(sample.clone());
        rows.chunks_exact(2)
            .map(|r| f64::from(r[0] - 0.3 * r[1] * r[1]))
            .collect()
    };
    let mut noise = Noise::keyed(6, "conformance", 0);
    let mut loss = 0.0;
    for _ in 0..3 {
        let report = tuner.update(&|c| repeat(5, c), &|c| repeat(2, c), &value, &mut noise);
        loss = report.expect("finite").loss;
    }
    (host(tuner.posterior.parameters()), loss)
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
            let plain = tuned(Plain(model(&Device::flex(), guided)), &options, mixture);
            for device in devices() {
                let found = tuned(model(&device, guided), &options, mixture);
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
        let tracked = model.with_parameters(model.parameters().autodiff().require_grad());
        let mut noise = Noise::keyed(7, "conformance", 0);
        let (sample, condition) = (noise.normals(50, 2), noise.normals(50, 5));
        let loss = tracked.denoising_loss(&sample, matrix(condition, 5, device), &mut noise);
        let gradient = tracked.parameters().grad(&loss.clone().backward());
        [host(loss), host(gradient.expect("tracked"))]
    };
    let first = of(&Device::flex());
    for device in devices() {
        let found = of(&device);
        assert!(gap(&found[0], &first[0]) < 1e-5 && gap(&found[1], &first[1]) < 1e-5);
    }
}

#[test]
fn the_critics_update_agrees() {
    let of = |device: &Device| {
        let config = IqlConfig {
            updates: 0,
            batch_size: 70,
            hidden: vec![24, 17],
            layer_norm: true,
            learning_rate: 1e-3,
            expectile: 0.7,
            discount: 0.9,
            num_steps: 1,
            target_rate: 0.1,
            ensemble: 2,
            lcb: 0.0,
            advantage_updates: 0,
            caution: 1.0,
        };
        let mut critic = Iql::new(config, 4, 2, 3, device);
        let mut noise = Noise::keyed(8, "conformance", 0);
        let [o, next, a, r] = [4, 4, 2, 1].map(|width| noise.normals(70, width));
        let discounts = vec![0.9; 70];
        let batch = Transitions {
            observations: &o,
            actions: &a,
            rewards: &r,
            next_observations: &next,
            discounts: &discounts,
        };
        let loss = [(); 2].map(|()| critic.update(&batch).expect("finite").q_loss as f32);
        let values: Vec<f32> = critic.value_of(&o, &a).iter().map(|&v| v as f32).collect();
        (loss, values)
    };
    let first = of(&Device::flex());
    for device in devices() {
        let found = of(&device);
        assert!(gap(&found.0, &first.0) < 1e-4 && gap(&found.1, &first.1) < 1e-3);
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
            let (path, scores) = model.sample_path(&condition, &mut noise);
            assert_eq!(scores.dims(), [rows, 7]);
            assert_eq!(model.sample_of(&path).dims(), [rows, 2]);
            assert_eq!(model.step_log_probs(&path, 2..5).dims(), [rows, 3]);
        }
    }
}
