//! One more column of a model's conditions: the same distribution before training, and one posterior for a range of temperatures.

use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, HostAdam};
use tiltrl_policies::models::{
    GaussianDiffusion, Prediction, Schedule, ScheduleKind, StepShape, Units,
};
use tiltrl_policies::nets::{Network, NetworkKind, NetworkShape, Perceptron};
use tiltrl_policies::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_policies::tilt::host::{host, host64, matrix};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::AdamConfig;
use tiltrl_policies::tilt::sequential::{Scored, SequentialModel};
use tiltrl_policies::tilt::weights;
use tiltrl_policies::worlds::{LinearGaussian, Settings};

use crate::plain::by_tensors;

const DIM: usize = 3;

/// A model that uses everything: waves, learned variances, an exact part and a guidance term that look at the condition.
fn rich(condition_dim: usize) -> GaussianDiffusion {
    let shape = NetworkShape {
        dim: DIM,
        condition_dim,
        outputs: 2 * DIM + 1,
        hidden: vec![40, 24],
        activation: Activation::Silu,
        waves: 2,
    };
    let field = move |x: &[f32], steps: &[usize], condition: &[f32]| -> Vec<f32> {
        assert_eq!(condition.len(), steps.len() * condition_dim.max(1));
        let of_row = |i: usize| condition[i / DIM * condition_dim.max(1)] + steps[i / DIM] as f32;
        (0..x.len()).map(|i| 0.1 * of_row(i) - 0.2 * x[i]).collect()
    };
    let step = StepShape {
        units: Units::Denoiser,
        learned_variance: true,
        guidance: Some(Arc::new(field)),
    };
    let mut noise = Noise::keyed(1, "column", 0);
    let net = Perceptron::new(&shape, 1.0, &mut noise, &Compute::cpu());
    let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
    let schedule = schedule.expect("memoryless");
    let model = GaussianDiffusion::new(Network::of(net), schedule, [DIM, condition_dim], step);
    model.expect("fits").with_exact(Arc::new(field))
}

/// The residual network of burn's layers.
fn residual() -> GaussianDiffusion {
    let shape = NetworkShape {
        dim: DIM,
        condition_dim: 4,
        outputs: DIM,
        hidden: vec![16, 16],
        activation: Activation::Mish,
        waves: 0,
    };
    let all = NetworkKind::all();
    let kind = all.iter().find(|k| k.name == "residual").expect("built in");
    let mut noise = Noise::keyed(2, "column", 0);
    let net = (kind.make)(&shape, &mut noise, &Compute::cpu()).expect("of that shape");
    let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
    let schedule = schedule.expect("memoryless");
    GaussianDiffusion::new(net, schedule, [DIM, 4], StepShape::default()).expect("fits")
}

/// Conditions [rows, width] and the same with a last column.
fn conditions(rows: usize, width: usize, column: &dyn Fn(usize) -> f32) -> [Tensor<2>; 2] {
    let device = Compute::cpu().device;
    let values = Noise::keyed(3, "conditions", 0).normals(rows, width.max(1));
    let wide: Vec<f32> = (0..rows)
        .flat_map(|i| {
            let row = &values[i * width..(i + 1) * width];
            row.iter().copied().chain([column(i)]).collect::<Vec<_>>()
        })
        .collect();
    let narrow = if width == 0 { vec![0.0; rows] } else { values };
    [
        matrix(narrow, width.max(1), &device),
        matrix(wide, width + 1, &device),
    ]
}

/// Samples, states and scores of paths, as bits.
fn bits(model: &GaussianDiffusion, condition: &Tensor<2>) -> Vec<u32> {
    let mut noise = Noise::keyed(4, "paths", 0);
    let Scored { path, scores } = model.sample_path(condition, &mut noise);
    let again = model.step_log_probs(&path, 1..4);
    let states = path.states.iter().flat_map(|s| host(s.clone()));
    let sampled = host(model.sample(condition, &mut noise)).into_iter();
    let moments = model.step_moments(&path.states[2], 2, condition);
    let moments = moments.mean.into_iter().chain(moments.std);
    states
        .chain(host(scores))
        .chain(host(again))
        .chain(sampled)
        .chain(moments.map(|m| m as f32))
        .map(f32::to_bits)
        .collect()
}

#[test]
fn a_model_with_one_more_column_is_the_same_distribution_bit_for_bit() {
    let all = [rich(4), rich(0), by_tensors(&rich(4)), residual()];
    for (model, width) in all.into_iter().zip([4, 0, 4, 4]) {
        let [narrow, wide] = conditions(150, width, &|i| i as f32 / 75.0 - 1.0);
        let widened = model.with_condition_column().expect("gains one");
        assert_eq!(widened.is_compiled(), model.is_compiled());
        assert!(bits(&model, &narrow) == bits(&widened, &wide), "{width}");
        // Held at any value it is the model again.
        let held = widened.at_condition_column(0.7).expect("loses it");
        assert!(bits(&model, &narrow) == bits(&held, &narrow), "{width}");
    }
}

/// A held column is that column: scores of given paths agree to rounding, and the column matters.
#[test]
fn a_held_column_is_a_column_of_that_value() {
    for (model, width) in [(rich(4), 4), (rich(0), 0), (residual(), 4)] {
        let widened = model.with_condition_column().expect("gains one");
        let tensors = weights::tensors(widened.weights()).into_iter();
        let moved = tensors.map(|t| t.clone() + t.cos() * 0.03).collect();
        let own = widened.weights().clone();
        let moved = widened.with_weights(weights::with_tensors(own, moved));
        for value in [-1.0f32, 0.4] {
            let [narrow, wide] = conditions(60, width, &|_| value);
            let Scored { path, scores } = moved.sample_path(&wide, &mut Noise::keyed(5, "held", 0));
            let held = moved.at_condition_column(value).expect("loses it");
            let mut given = path.clone();
            given.condition = narrow;
            let found = host64(held.step_log_probs(&given, 0..6));
            let other = moved.at_condition_column(value + 0.5).expect("loses it");
            let other = host64(other.step_log_probs(&given, 0..6));
            let pairs = host64(scores).into_iter().zip(found).zip(other);
            let mut differs = 0.0f64;
            for ((own, held), other) in pairs {
                assert!(
                    (own - held).abs() < 2e-3 * own.abs().max(1.0),
                    "{own} {held}"
                );
                differs = differs.max((own - other).abs());
            }
            assert!(differs > 0.02, "{width}: {differs}");
        }
    }
}

#[test]
fn what_has_no_column_loses_none() {
    let error = rich(0).at_condition_column(0.0).err().expect("has none");
    assert!(error.to_string().contains("no column"), "{error}");
}

/// Q(x) = b x − c x²/2 on a Gaussian: one network, each group of paths at its own β, has the exact mean and log Z at both ends and
/// in the middle. What it is fine-tuned with knows of no β: the value is already multiplied.
#[test]
fn one_posterior_has_the_exact_means_over_a_range_of_temperatures() {
    let at = |beta: f64| LinearGaussian {
        mean: 0.5,
        std: 1.0,
        b: beta,
        c: 0.5 * beta,
        dim: 1,
    };
    let scale = 4f64.ln();
    let beta = |setting: f32| (f64::from(setting) * scale).exp();
    let settings = Settings::new(10, &[32, 32]);
    let device = settings.compute.device.clone();
    let prior = at(1.0).prior(&settings).with_condition_column();
    let prior = prior.expect("gains one");
    let (groups, updates) = (8, 600);
    let probe = matrix(vec![0.0; 8], 1, &device);
    let mixture = Mixture::on_policy(32);
    let adam = HostAdam::new(AdamConfig::plain(1e-2));
    let tuner = Finetuner::new(prior.clone(), prior.clone(), adam, mixture, &probe);
    let mut tuner = tuner.expect("the prior itself");
    let value = |x: &Tensor<2>, condition: &Tensor<2>| -> Vec<f64> {
        let rows = host64(x.clone()).into_iter().zip(host(condition.clone()));
        rows.map(|(x, setting)| at(1.0).log_reward(x) * beta(setting))
            .collect()
    };
    for update in 0..updates {
        tuner.set_learning_rate(1e-2 * (1.0 - update as f32 / updates as f32) + 2e-4);
        let mut noise = Noise::keyed(1, "update", update);
        let drawn = (0..groups).map(|_| (2.0 * noise.uniform() - 1.0) as f32);
        let batch = Batch::new(matrix(drawn.collect(), 1, &device));
        tuner.update(&batch, &value, &mut noise).expect("finite");
    }
    for setting in [-1.0f32, 0.0, 1.0] {
        let [_, exact, variance] = at(beta(setting)).posterior(&settings.schedule);
        let held = tuner.posterior().at_condition_column(setting);
        let held = held.expect("loses it");
        let rows = matrix(vec![0.0; 40_000], 1, &device);
        let samples = host64(held.sample(&rows, &mut Noise::keyed(2, "samples", 0)));
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        let squares = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let spread = squares / samples.len() as f64;
        assert!((mean - exact).abs() < 0.03, "{setting}: {mean} {exact}");
        assert!(
            (spread - variance).abs() < 0.05,
            "{setting}: {spread} {variance}"
        );
    }
}
