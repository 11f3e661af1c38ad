//! A model of plain tensors on a graphics card's interface: it keeps the rules there too, and learns. Built with feature `wgpu`.

use burn::tensor::{Device, DeviceKind, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::{CausalTransformer, TransformerShape};
use tiltrl_policies::tilt::conformity::{Settings, check};
use tiltrl_policies::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_policies::tilt::host::matrix;
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::{Adam, AdamConfig};

fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

fn model() -> Autoregressive<CausalTransformer> {
    let shape = TransformerShape {
        vocabulary: 3,
        length: 3,
        condition_dim: 1,
        width: 8,
        heads: 2,
        layers: 1,
    };
    let compute = Compute::on(device());
    let mut noise = Noise::keyed(4, "wgpu", 0);
    Autoregressive::new(CausalTransformer::new(&shape, 1.0, &mut noise, &compute), 1)
}

fn conditions(rows: usize) -> Tensor<2> {
    matrix(vec![1.0; rows], 1, &device())
}

#[test]
fn a_transformer_conforms() {
    let settings = Settings {
        tolerance: 1e-3,
        ..Settings::default()
    };
    assert_eq!(check(&model(), &conditions(6), settings), Ok(()));
}

#[test]
fn fine_tuning_lowers_the_loss() {
    let (prior, mixture) = (model(), Mixture::on_policy(64));
    let adam = Adam::new(AdamConfig::plain(1e-2));
    let mut tuner =
        Finetuner::new(prior.clone(), prior, adam, mixture, &conditions(8)).expect("equal");
    let mut noise = Noise::keyed(5, "wgpu", 0);
    // Two nats for every zero.
    let value = |sample: &Strings, _: &Tensor<2>| {
        let zeros = |row: &[u32]| row.iter().filter(|&&t| t == 0).count();
        sample
            .tokens
            .chunks_exact(3)
            .map(|row| 2.0 * zeros(row) as f64)
            .collect::<Vec<_>>()
    };
    let mut losses = Vec::new();
    for _ in 0..30 {
        let report = tuner.update(&Batch::new(conditions(1)), &value, &mut noise);
        losses.push(report.expect("finite").loss);
    }
    let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
    assert!(mean(&losses[25..]) < 0.5 * mean(&losses[..5]), "{losses:?}");
}
