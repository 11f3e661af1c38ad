//! Loops of diffusion models: acting, the prior's update, RTB's update, and closed episodes.

use burn::tensor::Tensor;
use ndarray::ArrayView2;
use tiltrl_envs::{EnvBatch, EnvOptions, Step};
use tiltrl_policies::Compute;
use tiltrl_policies::agent::{Choice, DiffusionPolicy, Policy};
use tiltrl_policies::agent::{Coordinates, Normalizer};
use tiltrl_policies::fast::{Activation, HostAdam, MlpSpec};
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::nets::{Mlp, Network, NetworkShape, Perceptron};
use tiltrl_policies::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_policies::tilt::host::{host, matrix};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::Optimizer;
use tiltrl_policies::tilt::reward::Reward;
use tiltrl_policies::tilt::rtb::{Shaping, gradient_weights, residual, vargrad_log_z};
use tiltrl_policies::tilt::score::{Known, Paths, score};
use tiltrl_policies::tilt::sequential::SequentialModel;
use tiltrl_policies::tilt::weights;

use super::ADAM;

const PATHS: usize = 64;
const GROUP: usize = 8;

/// Three hidden layers of 256.
fn model(dim: usize, condition_dim: usize) -> GaussianDiffusion {
    let schedule = Schedule::new(ScheduleKind::Cosine, 20, Prediction::Velocity);
    let shape = NetworkShape {
        dim,
        condition_dim,
        outputs: dim,
        hidden: vec![256; 3],
        activation: Activation::Silu,
        waves: 0,
    };
    let mut noise = Noise::keyed(1, "bench", 0);
    let net = Perceptron::new(&shape, 1.0, &mut noise, &Compute::cpu());
    let schedule = schedule.expect("memoryless");
    GaussianDiffusion::new(
        Network::of(net),
        schedule,
        [dim, condition_dim],
        StepShape::default(),
    )
    .expect("as many outputs")
}

fn usual() -> GaussianDiffusion {
    model(6, 65)
}

/// 20 sequential denoising steps of 64 rows, noise drawn and added.
pub fn denoising() -> Box<dyn FnMut()> {
    let model = usual();
    let mut noise = Noise::keyed(2, "bench", 0);
    let condition = matrix(noise.normals(PATHS, 65), 65, &model.device());
    Box::new(move || {
        std::hint::black_box(model.sample(&condition, &mut noise));
    })
}

/// Returns the model after one step of an optimizer on a loss of its tracked self.
fn stepped(
    model: &GaussianDiffusion,
    optimizer: &mut dyn FnMut(Vec<Tensor<1>>, Vec<Option<Tensor<1>>>) -> Vec<Tensor<1>>,
    loss: impl FnOnce(&GaussianDiffusion) -> Tensor<1>,
) -> GaussianDiffusion {
    let tracked = model.tracked();
    let gradient = weights::gradient(tracked.weights(), &loss(&tracked).backward());
    drop(tracked);
    let after = optimizer(weights::tensors(model.weights()), gradient);
    model.with_weights(weights::with_tensors(model.weights().clone(), after))
}

/// The prior's update on 256 samples: denoising loss, Adam, moving average.
pub fn prior() -> Box<dyn FnMut()> {
    let mut model = usual();
    let mut noise = Noise::keyed(2, "bench", 0);
    let (sample, condition) = (noise.normals(256, 6), noise.normals(256, 65));
    let averages = weights::tensors(model.weights()).into_iter().map(host);
    let mut averages: Vec<Vec<f32>> = averages.collect();
    let mut adam = HostAdam::new(ADAM);
    Box::new(move || {
        let condition = matrix(condition.clone(), 65, &model.device());
        let mut step = |p, g| adam.step_averaged(p, g, &mut averages, 0.995).parameters;
        model = stepped(&model, &mut step, |tracked| {
            tracked.denoising_loss(&sample, &condition, &mut noise)
        });
    })
}

/// RTB's update on 64 stored paths of 20 steps: posterior and prior scored, back-propagation, Adam.
pub fn stored() -> Box<dyn FnMut()> {
    let prior = usual();
    let mut posterior = prior.clone();
    let mut noise = Noise::keyed(2, "bench", 0);
    let condition = matrix(noise.normals(PATHS, 65), 65, &prior.device());
    let path = prior.sample_path(&condition, &mut noise).path;
    let value = |_: &Tensor<2>, _: &Tensor<2>| vec![0.5; PATHS];
    let mut adam = HostAdam::new(ADAM);
    Box::new(move || {
        let mut step = |p, g| adam.step(p, g).parameters;
        posterior = stepped(&posterior, &mut step, |tracked| {
            let reward = Reward {
                value: &value,
                alpha: 1.0,
            };
            let rows = Paths {
                condition: &condition,
                path: &path,
            };
            let scores = score(tracked, &prior, reward, rows, Known::default());
            let weights = scores.log_weights();
            let delta = residual(&vargrad_log_z(&weights, GROUP), &weights);
            let weights = gradient_weights(&delta, Shaping::default());
            let weights = weights.iter().flat_map(|&w| [w as f32; 20]).collect();
            (scores.tracked * matrix(weights, 20, &prior.device())).sum()
        });
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
        Mlp::new(spec, 1.0, &mut noise, &Compute::cpu())
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
    let mut noise = Noise::keyed(2, "bench", 0);
    let prior = usual();
    let conditions = matrix(noise.normals(PATHS / GROUP, 65), 65, &prior.device());
    let (adam, mixture) = (HostAdam::new(ADAM), Mixture::on_policy(GROUP));
    let tuner = Finetuner::new(prior.clone(), prior, adam, mixture, &conditions);
    let mut tuner = tuner.expect("the prior itself");
    let batch = Batch::new(conditions);
    let lower = twin();
    let value = move |sample: &Tensor<2>, condition: &Tensor<2>| -> Vec<f64> {
        if critics {
            return lower(sample, condition.clone());
        }
        let rows = host(sample.clone());
        let square = |row: &[f32]| row.iter().map(|x| f64::from(x * x)).sum::<f64>();
        rows.chunks_exact(6).map(|row| -0.1 * square(row)).collect()
    };
    Box::new(move || {
        tuner.update(&batch, &value, &mut noise).expect("finite");
    })
}

/// One timestep of 64 half-cheetahs under a policy of 20 denoising steps.
pub fn evaluation() -> Box<dyn FnMut()> {
    let (envs, width, dim) = (64, 17, 6);
    let model = model(dim, width);
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
