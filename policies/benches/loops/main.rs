//! The loops of training and acting, for `benches/peers/run`.
//!
//! `cargo bench -p tiltrl-policies --bench loops -- [--threads N] [--only NAME]` prints medians.

use tiltrl_policies::Compute;
use tiltrl_policies::agent::{CriticKind, LearnerShape, Lesson, Transitions};
use tiltrl_policies::fast::{Activation, Engine, MlpSpec, NetworkPass, Networks};
use tiltrl_policies::nets::Mlp;
use tiltrl_policies::tilt::host::matrix;
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::AdamConfig;

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

fn network(spec: MlpSpec) -> Mlp {
    let mut noise = Noise::keyed(1, "bench", 0);
    Mlp::new(spec, 1.0, &mut noise, &Compute::cpu())
}

/// Forward, squared error, backward, Adam.
fn training(rows: usize, activation: Activation, layer_norm: bool) -> Box<dyn FnMut()> {
    let spec = spec(activation, layer_norm);
    let mut noise = Noise::keyed(2, "bench", 0);
    let (input, target) = (noise.normals(rows, 87), noise.normals(rows, 6));
    let parameters = network(spec.clone()).parameters();
    let mut networks = Networks::new(&Engine::best());
    networks.push(spec, parameters, ADAM, false);
    Box::new(move || {
        let pass = NetworkPass {
            network: 0,
            target: false,
            train: true,
            input: &input,
        };
        let scale = 2.0 / target.len() as f32;
        let learned = networks.learn(&[pass], 0.0, |outputs, gradients| {
            let slots = gradients[0].iter_mut().zip(outputs[0]).zip(&target);
            slots.for_each(|((g, y), t)| *g = scale * (y - t));
            Some(())
        });
        learned.expect("the loss is taken");
    })
}

/// A forward pass of a network, tensor in, tensor out; for more than 16 rows its weights are packed anew each time.
fn inference(rows: usize) -> Box<dyn FnMut()> {
    let net = network(spec(Activation::Silu, false));
    let values = Noise::keyed(2, "bench", 0).normals(rows, 87);
    let input = matrix(values, 87, &Compute::cpu().device);
    Box::new(move || {
        std::hint::black_box(net.forward(input.clone()));
    })
}

/// An update of twin Q, V and targets on 256 transitions of the hopper's widths.
fn critic() -> Box<dyn FnMut()> {
    let all = CriticKind::all();
    let iql = all.iter().find(|kind| kind.name == "iql");
    let iql = iql.expect("in the table");
    let mut settings = (iql.defaults)();
    settings.insert("updates".into(), 1.into());
    settings.insert("layer_norm".into(), false.into());
    settings.insert("n_step".into(), 1.into());
    let shape = LearnerShape {
        observation_dim: 11,
        action_dim: 3,
        seed: 1,
        compute: Compute::cpu(),
    };
    let mut critic = (iql.make)(&settings, &shape).expect("checked settings");
    let mut noise = Noise::keyed(3, "bench", 0);
    let [observations, actions, next_observations, rewards] =
        [11, 3, 11, 1].map(|width| noise.normals(256, width));
    let transitions = Transitions {
        observation_dim: 11,
        action_dim: 3,
        observations: observations.into(),
        next_observations: next_observations.into(),
        actions: actions.into(),
        rewards,
        terminals: vec![false; 256],
        continues: vec![false; 256],
    };
    Box::new(move || {
        let lesson = Lesson {
            transitions: &transitions,
            prior: &|_, _| unreachable!("implicit Q-learning asks no prior"),
            seed: 1,
        };
        critic.update(&lesson, 0).expect("finite");
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
