//! Loops of diffusion models: acting, the prior's update, RTB's update, and closed episodes.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use ndarray::ArrayView2;
use tiltrl_envs::{EnvBatch, EnvOptions, Step};
use tiltrl_policies::acting::FrozenPolicy;
use tiltrl_policies::finetune::{Finetuner, Mixture, path_sums};
use tiltrl_policies::gaussian::{GaussianDiffusion, Kernel};
use tiltrl_policies::kernels::adam::Adam;
use tiltrl_policies::kernels::host::HostVector;
use tiltrl_policies::kernels::math::Activation;
use tiltrl_policies::kernels::mlp::MlpSpec;
use tiltrl_policies::nets::{Mlp, host, matrix, vector};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::normalizer::Normalizer;
use tiltrl_policies::policy::{Choice, Coordinates, DiffusionPolicy, Policy};
use tiltrl_policies::rtb::{Shaping, gradient_weights, log_weights, residual, vargrad_log_z};
use tiltrl_policies::schedule::{Prediction, Schedule, ScheduleKind};
use tiltrl_policies::sequential::SequentialModel;

use super::{ADAM, spec};

const PATHS: usize = 64;
const GROUP: usize = 8;

fn model(spec: MlpSpec, dim: usize, condition_dim: usize) -> GaussianDiffusion {
    let schedule = Schedule::new(ScheduleKind::Cosine, 20, Prediction::Velocity);
    let mut noise = Noise::keyed(1, "bench", 0);
    GaussianDiffusion {
        net: Mlp::new(spec, 1.0, &mut noise, &Device::flex()),
        schedule: Arc::new(schedule.expect("memoryless")),
        dim,
        condition_dim,
        exact: None,
        kernel: Kernel::default(),
    }
}

fn usual() -> GaussianDiffusion {
    model(spec(Activation::Silu, false), 6, 65)
}

/// 20 sequential denoising steps of 64 rows, noise drawn and added.
pub fn denoising() -> Box<dyn FnMut()> {
    let frozen = FrozenPolicy::new(&usual()).expect("plain");
    let mut noise = Noise::keyed(2, "bench", 0);
    let condition = noise.normals(PATHS, 65);
    Box::new(move || {
        std::hint::black_box(frozen.sample(&condition, &mut noise));
    })
}

/// The prior's update on 256 samples: denoising loss, Adam, moving average.
pub fn prior() -> Box<dyn FnMut()> {
    let mut model = usual();
    let mut noise = Noise::keyed(2, "bench", 0);
    let (sample, condition) = (noise.normals(256, 6), noise.normals(256, 65));
    let mut average = host(model.net.parameters.clone());
    let mut optimizer = Adam::new(ADAM, average.len());
    Box::new(move || {
        let tracked = GaussianDiffusion {
            net: model.net.tracked(),
            ..model.clone()
        };
        let condition = matrix(condition.clone(), 65, &Device::flex());
        let loss = tracked.denoising_loss(&sample, condition, &mut noise);
        let gradient = tracked.net.parameters.grad(&loss.backward());
        drop(tracked);
        let mut values = HostVector::take(&mut model.net.parameters);
        let gradient = host(gradient.expect("tracked"));
        optimizer.step_averaged(values.values_mut(), &gradient, Some((&mut average, 0.995)));
        model.net.parameters = values.into_tensor();
    })
}

/// RTB's update on 64 stored paths of 20 steps: posterior and prior scored, back-propagation, Adam.
pub fn stored() -> Box<dyn FnMut()> {
    let prior = usual();
    let mut posterior = prior.clone();
    let mut noise = Noise::keyed(2, "bench", 0);
    let condition = matrix(noise.normals(PATHS, 65), 65, &Device::flex());
    let (path, _) = prior.sample_path(&condition, &mut noise);
    let reward = vec![0.5; PATHS];
    let mut optimizer = Adam::new(ADAM, prior.net.spec.num_parameters());
    Box::new(move || {
        let parameters = posterior.parameters().autodiff().require_grad();
        let tracked = posterior.with_parameters(parameters);
        let scores = tracked.step_log_probs(&path, 0..20);
        let q = path_sums(scores.clone().detach());
        let p = path_sums(prior.step_log_probs(&path, 0..20));
        let weights = log_weights(&q, &p, &reward);
        let delta = residual(&vargrad_log_z(&weights, GROUP), &weights);
        let weights = gradient_weights(&delta, Shaping::default());
        let weights = weights.iter().flat_map(|&w| [w as f32; 20]).collect();
        let loss = (scores * matrix(weights, 20, &Device::flex())).sum();
        let gradient = tracked.parameters().grad(&loss.backward());
        let mut values = host(posterior.parameters());
        optimizer.step(&mut values, &host(gradient.expect("tracked")));
        posterior = posterior.with_parameters(vector(values, &Device::flex()));
    })
}

/// The lower of two critics of 65 observations and 6 actions.
fn twin() -> impl Fn(&Tensor<2>, Tensor<2>) -> Vec<f64> {
    let net = |key: u64| {
        let spec = MlpSpec {
            sizes: vec![71, 256, 256, 1],
            activation: Activation::Silu,
            layer_norm: false,
        };
        let mut noise = Noise::keyed(key, "bench-critic", 0);
        Mlp::new(spec, 1.0, &mut noise, &Device::flex())
    };
    let nets = [net(1), net(2)];
    move |sample, condition| {
        let pairs = Tensor::cat(vec![condition, sample.clone()], 1);
        let [first, second] = [0, 1].map(|i: usize| host(nets[i].forward(pairs.clone())));
        let lower = first.iter().zip(&second).map(|(a, b)| f64::from(a.min(*b)));
        lower.collect()
    }
}

/// A whole update of RTB on 64 paths, 8 per condition: sampling, both scores, back-propagation, Adam. The reward is a square,
/// or the lower of two critics.
pub fn update(critics: bool) -> Box<dyn FnMut()> {
    let mixture = Mixture {
        on_policy: GROUP,
        prior: 0,
        data: 0,
    };
    let mut tuner = Finetuner::new(usual(), ADAM, mixture, Shaping::default());
    let mut noise = Noise::keyed(2, "bench", 0);
    let rows = noise.normals(PATHS / GROUP, 65);
    let condition = move |count: usize| -> Tensor<2> {
        let rows = rows.chunks_exact(65);
        let repeated = rows.flat_map(|row| row.repeat(count)).collect();
        matrix(repeated, 65, &Device::flex())
    };
    let lower = twin();
    let all = condition(GROUP);
    let value = move |sample: &Tensor<2>, _: usize| -> Vec<f64> {
        if critics {
            return lower(sample, all.clone());
        }
        let rows = host(sample.clone());
        let square = |row: &[f32]| row.iter().map(|x| f64::from(x * x)).sum::<f64>();
        rows.chunks_exact(6).map(|row| -0.1 * square(row)).collect()
    };
    Box::new(move || {
        let data = |_| -> Tensor<2> { unreachable!("no path starts from data") };
        let report = tuner.update(&condition, &data, &value, &mut noise);
        report.expect("finite");
    })
}

/// One timestep of 64 half-cheetahs under a policy of 20 denoising steps.
pub fn evaluation() -> Box<dyn FnMut()> {
    let (envs, width, dim) = (64, 17, 6);
    let spec = MlpSpec {
        sizes: vec![
            GaussianDiffusion::net_inputs(dim, width),
            256,
            256,
            256,
            dim,
        ],
        activation: Activation::Silu,
        layer_norm: false,
    };
    let model = model(spec, dim, width);
    let identity = |width: usize| Normalizer {
        mean: vec![0.0; width],
        std: vec![1.0; width],
    };
    let coordinates = Coordinates {
        observation: identity(width),
        action: identity(dim),
    };
    let options = EnvOptions::default();
    let mut batch = EnvBatch::new("halfcheetah-v4", &options, envs).expect("a known id");
    let indices: Vec<usize> = (0..envs).collect();
    let seeds: Vec<u64> = (0..envs as u64).collect();
    let mut observations = vec![0.0f32; envs * width];
    batch.reset(&indices, &seeds, &mut observations);
    let mut noise = Noise::streams(3, "bench", &seeds);
    let mut steps = vec![Step::default(); envs];
    Box::new(move || {
        let policy = DiffusionPolicy {
            model: &model,
            coordinates: &coordinates,
            critic: None,
            choice: Choice::Sample,
        };
        let view = ArrayView2::from_shape((envs, width), &observations).expect("rows");
        let actions: Vec<f32> = policy.act(view, &mut noise).into_iter().collect();
        batch.step(&indices, &actions, &mut observations, &mut steps);
    })
}
