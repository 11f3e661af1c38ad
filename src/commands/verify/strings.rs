//! Strings that can all be enumerated: the same fine-tuner on two models that are no diffusion of numbers.

use std::time::Instant;

use burn::tensor::Tensor;
use tiltrl_policies::autoregressive::Autoregressive;
use tiltrl_policies::finetune::{Finetuner, Mixture, path_sums};
use tiltrl_policies::kernels::adam::AdamConfig;
use tiltrl_policies::masked::MaskedDiffusion;
use tiltrl_policies::noise::Noise;
use tiltrl_policies::rtb::{Shaping, effective_share, log_mean_exp, log_weights};
use tiltrl_policies::sequential::SequentialModel;
use tiltrl_policies::solve::{Measured, decay};
use tiltrl_policies::strings::{Strings, enumerated_posterior, total_variation};

use super::{Requirement, Row};
use crate::device::processor;
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

fn none(paths: usize) -> Tensor<2> {
    Tensor::zeros([paths, 1], &processor())
}

/// Trains and measures a masked diffusion over 81 strings.
pub fn masked(name: &str) -> Result<Row, Error> {
    let mut noise = Noise::keyed(5, "masked", 0);
    let model = MaskedDiffusion::new([3, 4, 0], &[64, 64], 3.0, &mut noise, &processor());
    let enumerate = |m: &MaskedDiffusion| m.enumerate(&none(1));
    row(name, model, &Strings::all(3, 4), &enumerate)
}

/// Trains and measures an autoregressive model of strings of up to four of three letters.
pub fn autoregressive(name: &str) -> Result<Row, Error> {
    let mut noise = Noise::keyed(6, "autoregressive", 0);
    let model = Autoregressive::new([4, 4, 0], &[64], 3.0, &mut noise, &processor());
    let enumerate = |m: &Autoregressive| m.enumerate(&none(1));
    row(name, model, &Strings::all(4, 4), &enumerate)
}

fn row<M: SequentialModel<Condition = Tensor<2>, Sample = Strings>>(
    name: &str,
    prior: M,
    all: &Strings,
    enumerate: &dyn Fn(&M) -> Vec<f64>,
) -> Result<Row, Error> {
    let clock = Instant::now();
    let (log_z, posterior) = enumerated_posterior(&enumerate(&prior), &log_reward(all));
    let adam = AdamConfig {
        learning_rate: 1e-2,
        weight_decay: 0.0,
        max_gradient_norm: 0.0,
    };
    let mixture = Mixture {
        on_policy: 256,
        prior: 0,
        data: 0,
    };
    let mut tuner = Finetuner::new(prior, adam, mixture, Shaping::default());
    let unused = |_: usize| -> Strings { unreachable!("the mixture holds no data") };
    let updates = 2000;
    for update in 0..updates {
        tuner.optimizer.config.learning_rate = 1e-2 * decay(update, updates);
        let mut noise = Noise::keyed(1, "strings", update);
        tuner.update(&none, &unused, &|s, _| log_reward(s), &mut noise)?;
    }
    let steps = tuner.prior.num_steps();
    let mut noise = Noise::keyed(2, "strings", 0);
    let (path, scores) = tuner.posterior.sample_path(&none(20_000), &mut noise);
    let p = path_sums(tuner.prior.step_log_probs(&path, 0..steps));
    let r = log_reward(&tuner.prior.sample_of(&path));
    let q = path_sums(scores);
    let l = log_weights(&q, &p, &r);
    let kl = q.iter().zip(&p).map(|(q, p)| q - p).sum::<f64>() / 20_000.0;
    let measured = Measured {
        log_z_error: (log_mean_exp(&l) - log_z).abs(),
        ess: effective_share(&l),
        path_kl: kl,
        ..Measured::default()
    };
    Ok(Row {
        world: name.into(),
        requirement: Requirement::Strings,
        measured,
        total_variation: Some(total_variation(&enumerate(&tuner.posterior), &posterior)),
        shift: None,
        seconds: clock.elapsed().as_secs_f64(),
        passed: false,
        pictures: None,
    }
    .judged())
}
