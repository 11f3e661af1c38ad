//! Training of a prior by likelihood: steps get the variance of their state and condition.

use burn::tensor::Device;
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, HostAdam};
use tiltrl_policies::models::{GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::nets::{Network, NetworkShape, Perceptron};
use tiltrl_policies::tilt::host::{host, matrix};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::{AdamConfig, Optimizer};
use tiltrl_policies::tilt::sequential::SequentialModel;
use tiltrl_policies::tilt::weights;

/// Deviation of the data at −1 and at +1.
const SPREAD: [f32; 2] = [0.1, 1.0];

/// Rows of x ~ N(0, σ(s)²) with s = ±1 in turns.
fn data(rows: usize, noise: &mut Noise) -> [Vec<f32>; 2] {
    let states: Vec<f32> = (0..rows).map(|i| [-1.0, 1.0][i % 2]).collect();
    let drawn = noise.normals(rows, 1).into_iter().enumerate();
    [drawn.map(|(i, z)| SPREAD[i % 2] * z).collect(), states]
}

fn start() -> GaussianDiffusion {
    let shape = NetworkShape {
        dim: 1,
        condition_dim: 1,
        outputs: 1,
        hidden: vec![32, 32],
        activation: Activation::Silu,
        waves: 0,
    };
    let mut noise = Noise::keyed(1, "likelihood-start", 0);
    let net = Perceptron::new(&shape, 1.0, &mut noise, &Compute::cpu());
    let schedule = Schedule::new(ScheduleKind::Cosine, 5, Prediction::Velocity);
    let schedule = schedule.expect("memoryless");
    let network = Network::of(net);
    GaussianDiffusion::new(network, schedule, [1, 1], StepShape::default()).expect("fits")
}

/// Trains with one loss or the other.
fn train(mut model: GaussianDiffusion, updates: u64, likelihood: bool) -> GaussianDiffusion {
    let mut optimizer = HostAdam::new(AdamConfig::plain(3e-3));
    for update in 0..updates {
        let mut noise = Noise::keyed(2, "likelihood-batch", update);
        let [x, states] = data(128, &mut noise);
        let condition = matrix(states, 1, &Device::flex());
        let tracked = model.tracked();
        let loss = match likelihood {
            true => tracked.path_loss(&matrix(x, 1, &Device::flex()), &condition, &mut noise),
            false => tracked.denoising_loss(&x, &condition, &mut noise),
        };
        let gradient = weights::gradient(tracked.weights(), &loss.backward());
        optimizer.set_learning_rate(3e-3 * (1.0 - update as f32 / updates as f32));
        let stepped = optimizer
            .step(weights::tensors(model.weights()), gradient)
            .parameters;
        let shape = model.weights().clone();
        model = model.with_weights(weights::with_tensors(shape, stepped));
    }
    model
}

/// Deviation of a model's samples in both states, over that of the data.
fn spread(model: &GaussianDiffusion) -> [f64; 2] {
    [-1.0, 1.0].map(|state: f32| {
        let mut noise = Noise::keyed(3, "likelihood-samples", 0);
        let condition = matrix(vec![state; 4096], 1, &model.device());
        let x = host(model.sample(&condition, &mut noise));
        let square = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
        square.sqrt() / f64::from(SPREAD[usize::from(state > 0.0)])
    })
}

/// The pooled variance of the last step is too wide for the narrow state; a variance of the state's own is not.
#[test]
fn likelihood_gives_a_narrow_state_its_own_variance() {
    let denoised = train(start(), 1500, false);
    let mut noise = Noise::keyed(4, "likelihood-fit", 0);
    let [x, states] = data(4096, &mut noise);
    let condition = matrix(states, 1, &Device::flex());
    let pooled = denoised.with_fitted_variance(&x, &condition, &mut noise);
    let own = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    let widened = pooled.reshaped(own).expect("a perceptron gains outputs");
    for (now, was) in spread(&widened).iter().zip(spread(&pooled)) {
        assert!((now - was).abs() < 1e-6, "zero outputs change nothing");
    }
    let fitted = train(widened, 1500, true);
    let (before, after) = (spread(&pooled), spread(&fitted));
    assert!(before[0] > 1.5, "pooled: {before:?}");
    assert!(
        after.iter().all(|s| (s - 1.0).abs() < 0.08),
        "own: {after:?}"
    );
}
