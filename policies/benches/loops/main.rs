//! The loops of training and acting, for `benches/peers/run`.
//!
//! `cargo bench -p tiltrl-policies --bench loops -- [--threads N] [--only NAME]` prints medians.

use burn::tensor::Device;
use tiltrl_policies::iql::{Iql, IqlConfig, Transitions};
use tiltrl_policies::kernels::adam::{Adam, AdamConfig};
use tiltrl_policies::kernels::math::Activation;
use tiltrl_policies::kernels::mlp::MlpSpec;
use tiltrl_policies::kernels::parallel::inside;
use tiltrl_policies::kernels::pass::Net;
use tiltrl_policies::kernels::train::{self, Descent, Packing, Pass, Task};
use tiltrl_policies::nets::{Mlp, host};
use tiltrl_policies::noise::Noise;

mod paths;
#[path = "../../../benches/serve.rs"]
mod serve;
use serve::Case;

pub(crate) const ADAM: AdamConfig = AdamConfig {
    learning_rate: 3e-4,
    weight_decay: 0.0,
    max_gradient_norm: 0.0,
};

pub(crate) fn spec(activation: Activation, layer_norm: bool) -> MlpSpec {
    MlpSpec {
        sizes: vec![87, 256, 256, 256, 6],
        activation,
        layer_norm,
    }
}

fn parameters(spec: &MlpSpec) -> Vec<f32> {
    let mut noise = Noise::keyed(1, "bench", 0);
    host(Mlp::new(spec.clone(), 1.0, &mut noise, &Device::flex()).parameters)
}

fn task<'a>(net: Net<'a>, input: &'a [f32], pass: &'a mut Pass) -> Task<'a> {
    Task {
        net,
        input,
        keep: true,
        pass,
    }
}

/// Forward, squared error, backward, Adam.
fn training(rows: usize, activation: Activation, layer_norm: bool) -> Box<dyn FnMut()> {
    let spec = spec(activation, layer_norm);
    let mut noise = Noise::keyed(2, "bench", 0);
    let (input, target) = (noise.normals(rows, 87), noise.normals(rows, 6));
    let mut parameters = parameters(&spec);
    let mut optimizer = Adam::new(ADAM, parameters.len());
    let (mut packing, mut pass) = (Packing::new(&spec), Pass::default());
    Box::new(move || {
        inside(|| {
            packing.pack(&parameters, true);
            let net = packing.net(&parameters);
            train::forward(vec![task(net, &input, &mut pass)]);
            let scale = 2.0 / target.len() as f32;
            let (output, gradient) = pass.loss();
            for ((g, y), t) in gradient.iter_mut().zip(output).zip(&target) {
                *g = scale * (y - t);
            }
            train::backward(vec![task(net, &input, &mut pass)]);
            train::descend(vec![Descent {
                parameters: &mut parameters,
                optimizer: &mut optimizer,
                pass: &mut pass,
                average: None,
            }]);
        });
    })
}

/// A forward pass with weights packed once.
fn inference(rows: usize) -> Box<dyn FnMut()> {
    let spec = spec(Activation::Silu, false);
    let input = Noise::keyed(2, "bench", 0).normals(rows, 87);
    let parameters = parameters(&spec);
    let (mut packing, mut pass) = (Packing::new(&spec), Pass::default());
    packing.pack(&parameters, false);
    Box::new(move || {
        let task = Task {
            net: packing.net(&parameters),
            input: &input,
            keep: false,
            pass: &mut pass,
        };
        train::forward(vec![task]);
    })
}

/// An update of twin Q, V and targets on 256 transitions of the hopper's widths.
fn critic() -> Box<dyn FnMut()> {
    let config = IqlConfig {
        updates: 0,
        batch_size: 256,
        hidden: vec![256, 256],
        layer_norm: false,
        learning_rate: 3e-4,
        expectile: 0.7,
        discount: 0.99,
        num_steps: 1,
        target_rate: 0.005,
        ensemble: 2,
        lcb: 0.0,
        advantage_updates: 0,
        caution: 1.0,
    };
    let mut critic = Iql::new(config, 11, 3, 1, &Device::flex());
    let mut noise = Noise::keyed(3, "bench", 0);
    let [observations, actions, next_observations, rewards] =
        [11, 3, 11, 1].map(|width| noise.normals(256, width));
    let discounts = vec![0.99; 256];
    Box::new(move || {
        let batch = Transitions {
            observations: &observations,
            actions: &actions,
            rewards: &rewards,
            next_observations: &next_observations,
            discounts: &discounts,
        };
        critic.update(&batch).expect("finite");
    })
}

fn cases() -> Vec<Case> {
    vec![
        ("train_256", training(256, Activation::Silu, false)),
        ("train_1024", training(1024, Activation::Silu, false)),
        ("mish", training(256, Activation::Mish, false)),
        ("norm_gelu", training(256, Activation::Gelu, true)),
        ("infer_1", inference(1)),
        ("infer_10", inference(10)),
        ("infer_256", inference(256)),
        ("infer_4096", inference(4096)),
        ("rollout_64x20", paths::denoising()),
        ("iql", critic()),
        ("prior_256", paths::prior()),
        ("rtb_64x20", paths::stored()),
        ("rtb_update", paths::update(false)),
        ("rtb_public", paths::update(true)),
        ("evaluation_64x20", paths::evaluation()),
    ]
}

fn main() {
    serve::serve(cases);
}
