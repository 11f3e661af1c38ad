//! Strings that can all be enumerated: the same fine-tuner on two models that are no diffusion of numbers.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::HostAdam;
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::MaskedDiffusion;
use tiltrl_policies::models::{Strings, enumerated_posterior, total_variation};
use tiltrl_policies::nets::{CausalPerceptron, MaskedPerceptron, StringShape};
use tiltrl_policies::worlds::Measured;
use tiltrl_tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, cosine_decay};
use tiltrl_tilt::reward::Reward;
use tiltrl_tilt::rtb::{effective_share, log_mean_exp};
use tiltrl_tilt::score::{Known, Paths, score};
use tiltrl_tilt::sequential::{Scored, SequentialModel};

use super::world_result::{Requirement, WorldResult};
use crate::error::Error;

/// A reward of the whole string: equal neighbours, and whether it reads the same backwards.
fn log_reward(strings: &Strings) -> Vec<f64> {
    let rows = strings.tokens.chunks_exact(strings.length);
    rows.map(|row| {
        let equal = row.windows(2).filter(|w| w[0] == w[1]).count();
        let mirrored = row.iter().eq(row.iter().rev());
        0.7 * equal as f64 + 1.5 * f64::from(u8::from(mirrored)) - 2.0
    })
    .collect()
}

fn none(paths: usize, device: &Device) -> Tensor<2> {
    Tensor::zeros([paths, 1], device)
}

fn shape(vocabulary: usize, hidden: &[usize]) -> StringShape {
    StringShape {
        vocabulary,
        length: 4,
        condition_dim: 0,
        hidden: hidden.to_vec(),
    }
}

/// Trains and measures a masked diffusion over 81 strings.
pub fn masked(name: &str) -> Result<WorldResult, Error> {
    let (compute, mut noise) = (Compute::cpu(), Noise::keyed(5, "masked", 0));
    let net = MaskedPerceptron::new(&shape(3, &[64, 64]), 3.0, &mut noise, &compute);
    let enumerate = |m: &MaskedDiffusion<_>| m.enumerate(&none(1, &compute.device));
    let world = World {
        name,
        prior: MaskedDiffusion::new(net, 0),
        all: Strings::all(3, 4),
        enumerate: &enumerate,
        device: compute.device.clone(),
    };
    row(&world)
}

/// Trains and measures an autoregressive model of strings of up to four of three letters.
pub fn autoregressive(name: &str) -> Result<WorldResult, Error> {
    let (compute, mut noise) = (Compute::cpu(), Noise::keyed(6, "autoregressive", 0));
    let net = CausalPerceptron::new(&shape(4, &[64]), 3.0, &mut noise, &compute);
    let enumerate = |m: &Autoregressive<_>| m.enumerate(&none(1, &compute.device));
    let world = World {
        name,
        prior: Autoregressive::new(net, 0),
        all: Strings::all(4, 4),
        enumerate: &enumerate,
        device: compute.device.clone(),
    };
    row(&world)
}

struct World<'a, M> {
    name: &'a str,
    prior: M,
    all: Strings,
    enumerate: &'a dyn Fn(&M) -> Vec<f64>,
    device: Device,
}

const UPDATES: u64 = 2000;
const PATHS: usize = 20_000;

fn row<M>(world: &World<'_, M>) -> Result<WorldResult, Error>
where
    M: SequentialModel<Condition = Tensor<2>, Sample = Strings>,
{
    let clock = Instant::now();
    let (prior, none) = (&world.prior, |paths| none(paths, &world.device));
    let exact = enumerated_posterior(&(world.enumerate)(prior), &log_reward(&world.all));
    let adam = HostAdam::new(AdamConfig::plain(1e-2));
    let mixture = Mixture::on_policy(256);
    let mut tuner = Finetuner::new(prior.clone(), prior.clone(), adam, mixture, &none(8))?;
    let value = |s: &Strings, _: &Tensor<2>| log_reward(s);
    for update in 0..UPDATES {
        tuner.set_learning_rate(1e-2 * cosine_decay(update, UPDATES));
        let mut noise = Noise::keyed(1, "strings", update);
        tuner.update(&Batch::new(none(1)), &value, &mut noise)?;
    }
    let posterior = tuner.posterior();
    let mut noise = Noise::keyed(2, "strings", 0);
    let conditions = none(PATHS);
    let Scored { path, scores } = posterior.sample_path(&conditions, &mut noise);
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let reward = Reward {
        value: &value,
        alpha: 1.0,
    };
    let paths = Paths {
        condition: &conditions,
        path: &path,
    };
    let scores = score(posterior, prior, reward, paths, known);
    let l = scores.log_weights();
    let measured = Measured {
        log_z_error: (log_mean_exp(&l) - exact.log_z).abs(),
        ess: effective_share(&l),
        path_kl: scores.path_kl(),
        ..Measured::default()
    };
    let found = (world.enumerate)(posterior);
    Ok(WorldResult {
        world: world.name.into(),
        requirement: Requirement::Strings,
        measured,
        total_variation: Some(total_variation(&found, &exact.probabilities)),
        shift: None,
        seconds: clock.elapsed().as_secs_f64(),
        passed: false,
        pictures: None,
    }
    .judged())
}
