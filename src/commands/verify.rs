//! `tiltrl verify`: RTB from scratch on closed-form worlds, against the exact posterior.

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use tiltrl_policies::finetune::{Finetuner, Mixture, path_sums};
use tiltrl_policies::kernels::adam::AdamConfig;
use tiltrl_policies::nets::host;
use tiltrl_policies::noise::Noise;
use tiltrl_policies::rtb::{Shaping, effective_share, log_mean_exp, log_weights};
use tiltrl_policies::schedule::{Prediction, Schedule, ScheduleKind};
use tiltrl_policies::sequential::SequentialModel;
use tiltrl_policies::worlds::LinearGaussian;

use super::inspect::{print, write_json};
use crate::error::Error;

/// One world's result.
#[derive(Serialize)]
struct Row {
    world: String,
    log_z_error: f64,
    ess: f64,
    mean_error: f64,
    seconds: f64,
    passed: bool,
}

/// Trains on the suite, prints the table, and fails when a row misses its threshold.
///
/// # Errors
/// [`Error::Run`] when a row fails.
pub fn verify(json: Option<&Path>) -> Result<(), Error> {
    let cosine = Schedule::new(ScheduleKind::Cosine, 20, Prediction::Epsilon)?;
    let world = |b: f64| LinearGaussian {
        mean: 0.4,
        std: 0.8,
        b,
        c: 0.0,
        dim: 1,
    };
    let mut rows = Vec::new();
    for b in [0.5, 1.5, -2.5] {
        rows.push(train(
            &format!("F1 linear-Gaussian, b = {b}"),
            world(b),
            cosine.clone(),
        )?);
    }
    let unscaled = Schedule::unchecked(ScheduleKind::UnscaledLinear, 75, Prediction::Epsilon);
    let mut control = train(
        "negative control: schedule with memory",
        world(1.5),
        unscaled,
    )?;
    control.passed = !control.passed;
    rows.push(control);
    print(
        "world                                      |Δlog Z|  ESS/N  mean error  seconds  as expected",
    );
    for r in &rows {
        print(&format!(
            "{:<42} {:>8.4} {:>6.3} {:>11.4} {:>8.1}  {}",
            r.world,
            r.log_z_error,
            r.ess,
            r.mean_error,
            r.seconds,
            if r.passed { "yes" } else { "NO" }
        ));
    }
    print(
        "thresholds: |Δlog Z| < 0.02, ESS/N > 0.9, mean error < 0.05; the control must fail them",
    );
    write_json(json, &rows)?;
    if rows.iter().all(|r| r.passed) {
        Ok(())
    } else {
        Err(Error::Run("a world missed its threshold".into()))
    }
}

fn train(name: &str, world: LinearGaussian, schedule: Schedule) -> Result<Row, Error> {
    let clock = Instant::now();
    let device = Device::flex();
    let prior = world.prior(schedule.clone(), 32, 1, &device);
    let adam = AdamConfig {
        learning_rate: 5e-3,
        weight_decay: 0.0,
        max_gradient_norm: 0.0,
    };
    let mixture = Mixture {
        on_policy: 128,
        prior: 0,
        data: 0,
    };
    let mut tuner = Finetuner::new(prior, adam, mixture, Shaping::default());
    let condition = |paths: usize| Tensor::<2>::zeros([paths, 1], &device);
    let reward = |sample: &Tensor<2>, _: usize| -> Vec<f64> {
        host(sample.clone())
            .iter()
            .map(|&x| world.log_reward(f64::from(x)))
            .collect()
    };
    let unused = |_: usize| Tensor::<2>::zeros([1, 1], &device);
    for update in 0..600 {
        tuner.optimizer.config.learning_rate = if update < 400 { 5e-3 } else { 5e-4 };
        tuner.update(
            &condition,
            &unused,
            &reward,
            &mut Noise::keyed(1, "verify", update),
        )?;
    }
    let paths = 20_000;
    let (path, scores) = tuner
        .posterior
        .sample_path(&condition(paths), &mut Noise::keyed(2, "verify", 0));
    let sample: Vec<f64> = host(path.states[schedule.num_steps()].clone())
        .iter()
        .map(|&x| f64::from(x))
        .collect();
    let rewards: Vec<f64> = sample.iter().map(|&x| world.log_reward(x)).collect();
    let prior_scores = path_sums(tuner.prior.step_log_probs(&path, 0..schedule.num_steps()));
    let weights = log_weights(&path_sums(scores), &prior_scores, &rewards);
    let [log_z, mean, _] = world.posterior(&schedule);
    let log_z_error = (log_mean_exp(&weights) - log_z).abs();
    let mean_error = (sample.iter().sum::<f64>() / paths as f64 - mean).abs();
    let ess = effective_share(&weights);
    let passed = log_z_error < 0.02 && ess > 0.9 && mean_error < 0.05;
    Ok(Row {
        world: name.into(),
        log_z_error,
        ess,
        mean_error,
        seconds: clock.elapsed().as_secs_f64(),
        passed,
    })
}
