//! The fused operations against plain burn operations, or f64: values and gradients on random shapes.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use tiltrl_cpu::{Activation, Arithmetic, Engine, HostAdam, MlpSpec, mlp_forward, mlp_portable};
use tiltrl_tilt::host::{host, matrix, vector};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;

/// A network: its shape and flat parameters.
struct Net {
    spec: Arc<MlpSpec>,
    parameters: Tensor<1>,
}

impl Net {
    /// Weights U(±√(1/inputs)), zero biases, unit gains.
    fn new(spec: MlpSpec, noise: &mut Noise) -> Self {
        let mut values = vec![0.0f32; spec.num_parameters()];
        for layer in spec.layers() {
            let bound = (1.0 / layer.shape[0] as f64).sqrt();
            for w in &mut values[layer.weight..layer.bias] {
                *w = ((2.0 * noise.uniform() - 1.0) * bound) as f32;
            }
            if let Some(norm) = layer.norm {
                values[norm..norm + layer.shape[1]].fill(1.0);
            }
        }
        Self {
            parameters: vector(values, &Device::flex()),
            spec: Arc::new(spec),
        }
    }
}

/// One engine of the fastest arithmetic, and one of f32.
fn engines() -> [Engine; 2] {
    [Engine::best(), Engine::new(Arithmetic::F32)]
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// Agreement up to `tolerance` of `scale`.
fn close(a: &[f32], b: &[f32], scale: f32, tolerance: f32) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(x, y)| (x - y).abs() <= tolerance * scale)
}

/// Values, parameter gradient and input gradient of Σ output².
fn run(net: &Net, input: &Tensor<2>, fused: Option<&Engine>) -> [Vec<f32>; 3] {
    let parameters = net.parameters.clone().autodiff().require_grad();
    let x = input.clone().autodiff().require_grad();
    let output = match fused {
        Some(engine) => mlp_forward(engine, &net.spec, parameters.clone(), x.clone()),
        None => mlp_portable(&net.spec, &parameters, x.clone()),
    };
    let gradients = (output.clone() * output.clone()).sum().backward();
    [
        host(output),
        host(parameters.grad(&gradients).expect("tracked")),
        host(x.grad(&gradients).expect("tracked")),
    ]
}

proptest! {
    // A fixed seed: two roundings may fall on either side of ReLU's kink, rarely and harmlessly, and a gate must not flicker.
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn fused_agrees_with_plain_operations(
        rows in prop_oneof![1 => Just(0usize), 1 => Just(1), 4 => 2usize..300], inputs in 1usize..40, hidden in 1usize..80, outputs in 1usize..20,
        layers in 0usize..3, kind in 0usize..4, layer_norm in any::<bool>(), seed in 0u64..1000,
    ) {
        let spec = MlpSpec {
            sizes: [vec![inputs], vec![hidden; layers], vec![outputs]].concat(),
            activation: [Activation::Relu, Activation::Silu, Activation::Mish, Activation::Gelu][kind],
            // A row of one or two normalised values is ±1: its derivative amplifies rounding without bound.
            layer_norm: layer_norm && hidden > 4,
        };
        let mut noise = Noise::keyed(seed, "fused", 0);
        let net = Net::new(spec, &mut noise);
        let input = matrix(noise.normals(rows, inputs), inputs, &Device::flex());
        let plain = run(&net, &input, None);
        for engine in engines() {
        let fused = run(&net, &input, Some(&engine));
        prop_assert!(close(&fused[0], &plain[0], largest(&plain[0]).max(1.0), 2e-5));
        // Layer normalisation of a row close to zero multiplies by up to 300 and then cancels nearly all of it: its input
        // gradient is only good to rounding of the largest gradient in the network.
        let joint = largest(&plain[1]).max(largest(&plain[2])).max(1.0);
        for i in [1, 2] {
            let scale = if net.spec.layer_norm { joint } else { largest(&plain[i]).max(1.0) };
            prop_assert!(close(&fused[i], &plain[i], scale, 2e-5), "gradient {}", i);
        }
        }
    }
}

/// Weights are packed for many rows and read where they lie for few.
#[test]
fn few_rows_have_the_bytes_of_many() {
    let mut noise = Noise::keyed(6, "rows", 0);
    for sizes in [vec![17, 64, 33, 6], vec![3, 20, 1], vec![40, 5]] {
        let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
        let spec = MlpSpec {
            layer_norm: sizes.len() > 3,
            activation: Activation::Silu,
            sizes,
        };
        let net = Net::new(spec, &mut noise);
        let values = noise.normals(64, inputs);
        let forward = |engine: &Engine, rows: usize| {
            let x = matrix(values[..rows * inputs].to_vec(), inputs, &Device::flex());
            host(mlp_forward(engine, &net.spec, net.parameters.clone(), x))
        };
        for engine in engines() {
            let many = forward(&engine, 64);
            for rows in [1, 2, 3, 4, 14, 15, 16, 17, 33] {
                let few = forward(&engine, rows);
                assert_eq!(few, many[..rows * outputs], "{rows} rows of {:?}", net.spec);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let spec = MlpSpec {
        sizes: vec![17, 64, 64, 6],
        activation: Activation::Silu,
        layer_norm: true,
    };
    let mut noise = Noise::keyed(5, "threads", 0);
    let net = Net::new(spec, &mut noise);
    let input = matrix(noise.normals(777, 17), 17, &Device::flex());
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("pool")
    };
    for engine in engines() {
        let one = pool(1).install(|| run(&net, &input, Some(&engine)));
        for threads in [2, 5] {
            assert_eq!(
                one,
                pool(threads).install(|| run(&net, &input, Some(&engine)))
            );
        }
    }
}

#[test]
fn an_empty_batch_gives_an_empty_output_and_no_gradient() {
    for (hidden, layer_norm) in [(8, false), (40, true)] {
        let spec = MlpSpec {
            sizes: vec![30, hidden, hidden, 20],
            activation: Activation::Silu,
            layer_norm,
        };
        let values = vec![0.5; spec.num_parameters()];
        let count = values.len();
        let parameters = vector(values, &Device::flex());
        let net = Net {
            spec: Arc::new(spec),
            parameters,
        };
        for engine in engines() {
            let none = matrix(vec![], 30, &Device::flex());
            let [output, gradient, of_input] = run(&net, &none, Some(&engine));
            assert!(output.is_empty());
            assert_eq!(gradient, vec![0.0; count]);
            assert!(of_input.is_empty());
            // A batch before and after: nothing of it stays behind.
            let input = matrix(vec![0.25; 3 * 30], 30, &Device::flex());
            let full = run(&net, &input, Some(&engine));
            assert!(run(&net, &none, Some(&engine))[0].is_empty());
            assert_eq!(full, run(&net, &input, Some(&engine)));
        }
    }
}

/// Adam with decoupled decay and clipping by the joint norm, and the moving average after it, in f64.
fn adam64(config: &AdamConfig, state: [&mut [f64]; 4], gradient: &[f64], count: i32, decay: f64) {
    let [parameters, first, second, average] = state;
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let limit = f64::from(config.max_gradient_norm);
    let scale = if limit > 0.0 && norm > limit {
        limit / norm
    } else {
        1.0
    };
    let (rate, shrink) = (
        f64::from(config.learning_rate),
        f64::from(config.weight_decay),
    );
    for (i, g) in gradient.iter().map(|g| g * scale).enumerate() {
        first[i] = 0.9 * first[i] + 0.1 * g;
        second[i] = 0.999 * second[i] + 0.001 * g * g;
        let (m, v) = (
            first[i] / (1.0 - 0.9f64.powi(count)),
            second[i] / (1.0 - 0.999f64.powi(count)),
        );
        parameters[i] = parameters[i] * (1.0 - rate * shrink) - rate * m / (v.sqrt() + 1e-8);
        average[i] = decay * average[i] + (1.0 - decay) * parameters[i];
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_optimizers_sweep_agrees_with_f64(
        length in prop_oneof![Just(0usize), Just(1), 2usize..9000], seed in 0u64..1000, updates in 1i32..6,
        weight_decay in prop_oneof![Just(0.0f32), 0.001f32..0.1], limit in prop_oneof![Just(0.0f32), 0.1f32..100.0],
    ) {
        let config = AdamConfig { learning_rate: 1e-2, weight_decay, max_gradient_norm: limit };
        let mut noise = Noise::keyed(seed, "adam", 0);
        let mut adam = HostAdam::new(config.clone());
        let mut parameters = noise.normals(length, 1);
        let mut average = vec![parameters.clone()];
        let to_f64 = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
        let (mut p, mut a) = (to_f64(&parameters), to_f64(&average[0]));
        let (mut first, mut second) = (vec![0.0; length], vec![0.0; length]);
        for count in 1..=updates {
            let gradient = noise.normals(length, 1);
            let tensor = |values: &[f32]| vector(values.to_vec(), &Device::flex());
            let (old, g) = (vec![tensor(&parameters)], vec![Some(tensor(&gradient))]);
            let stepped = adam.step_averaged(old, g, &mut average, 0.995);
            parameters = host(stepped.parameters[0].clone());
            let g = to_f64(&gradient);
            adam64(&config, [&mut p, &mut first, &mut second, &mut a], &g, count, 0.995);
            let exact = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            prop_assert!((stepped.norm - exact).abs() <= 1e-6 * exact);
        }
        for (found, exact) in [(&parameters, &p), (&average[0], &a)] {
            for (x, y) in found.iter().zip(exact) {
                prop_assert!((f64::from(*x) - y).abs() <= 1e-6 * y.abs().max(1.0), "{} {}", x, y);
            }
        }
    }
}

#[test]
fn an_untracked_forward_keeps_no_graph() {
    let spec = Arc::new(MlpSpec {
        sizes: vec![2, 4, 1],
        activation: Activation::Silu,
        layer_norm: false,
    });
    let parameters = Tensor::<1>::zeros([spec.num_parameters()], &Device::flex());
    let input = Tensor::zeros([3, 2], &Device::flex());
    let output = mlp_forward(&Engine::best(), &spec, parameters.clone(), input);
    assert!(!output.device().is_autodiff());
}
