//! `tiltrl verify --compare`: other ways to the same posterior, on the same prior and reward.
//!
//! Trained methods get the same updates, paths and network; the others get none and pay per sample instead.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tiltrl_policies::agent::baselines::{Method, best_of, guided, resample, twisted_smc};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_policies::worlds::{Problem, Recipe, distances, solve, train_baseline};
use tiltrl_tilt::host::host;
use tiltrl_tilt::noise::Noise;

use super::suite;
use crate::commands::output::{print, refuse_existing, write_json};
use crate::error::Error;

/// Samples per method.
const COUNT: usize = 1000;

/// One method on one world.
#[derive(Serialize)]
struct MethodResult {
    world: String,
    method: String,
    energy: f64,
    floor: f64,
    mode_error: f64,
    training_seconds: f64,
    milliseconds_per_sample: f64,
}

/// Prints every baseline beside RTB on a few worlds.
///
/// # Errors
/// When a training is not finite or the JSON cannot be written.
pub fn compare(json: Option<&Path>) -> Result<(), Error> {
    if let Some(path) = json {
        refuse_existing(path, "--json")?;
    }
    print(&format!(
        "{:<22} {:<24} {:>8} {:>8} {:>7} {:>9} {:>11}",
        "world", "method", "energy", "floor", "modes", "training", "ms/sample"
    ));
    let mut rows = Vec::new();
    for (name, problem) in [
        ("F2 three modes", suite::three(0.0)),
        ("F2 far modes", suite::far()),
        ("F1 b = −2.5, c = 2", suite::linear(-2.5, 2.0)),
    ] {
        let mut recipe = Recipe::new(600, 256);
        recipe.learning_rate = 1e-2;
        world(name, &problem, &recipe, &mut rows)?;
    }
    write_json(json, &rows)
}

fn world(
    name: &str,
    problem: &Problem,
    recipe: &Recipe,
    rows: &mut Vec<MethodResult>,
) -> Result<(), Error> {
    let mut trained = |method: &str, train: &dyn Fn() -> Result<GaussianDiffusion, Error>| {
        let clock = Instant::now();
        let model = train()?;
        let training = clock.elapsed().as_secs_f64();
        let draw = |noise: &mut Noise| sampled(&model, problem, noise);
        rows.push(measured(name, method, problem, training, &draw));
        Ok::<(), Error>(())
    };
    trained("RTB", &|| Ok(solve(problem, recipe)?.into_posterior()))?;
    for method in Method::ALL {
        trained(method.name(), &|| {
            Ok(train_baseline(problem, recipe, method)?)
        })?;
    }
    let tilt = &problem.tilt;
    type Draw<'a> = &'a dyn Fn(&mut Noise) -> Vec<f64>;
    let drawn: [(&str, Draw<'_>); 6] = [
        ("prior", &|n| sampled(&problem.tilt.prior, problem, n)),
        ("best of 16", &|n| {
            chosen(problem, 16, n, &|r, _| best_of(r, 16))
        }),
        ("resampling of 16", &|n| {
            chosen(problem, 16, n, &|r, n| resample(r, [16, 1], n))
        }),
        ("resampling of 64", &|n| {
            chosen(problem, 64, n, &|r, n| resample(r, [64, 1], n))
        }),
        ("twisted SMC", &|n| {
            let found = twisted_smc(tilt, &problem.condition(0, COUNT), COUNT, n);
            let rows = resample(&found.log_weights, [COUNT, COUNT], n);
            picked(&found.samples, problem.tilt.prior.dim(), &rows)
        }),
        ("guidance", &|n| {
            to_f64(&guided(tilt, &problem.condition(0, COUNT), 1.0, n))
        }),
    ];
    for (method, draw) in drawn {
        rows.push(measured(name, method, problem, 0.0, draw));
    }
    Ok(())
}

fn to_f64(samples: &[f32]) -> Vec<f64> {
    samples.iter().map(|&v| f64::from(v)).collect()
}

fn picked(samples: &[f32], dim: usize, rows: &[usize]) -> Vec<f64> {
    let of_row = |&row: &usize| to_f64(&samples[row * dim..(row + 1) * dim]);
    rows.iter().flat_map(of_row).collect()
}

/// Draws groups of `n` samples of the prior and keeps the rows that `choose` finds.
fn chosen(
    problem: &Problem,
    n: usize,
    noise: &mut Noise,
    choose: &dyn Fn(&[f64], &mut Noise) -> Vec<usize>,
) -> Vec<f64> {
    let condition = problem.condition(0, COUNT * n);
    let sample = problem.tilt.prior.sample(&condition, noise);
    let rewards = problem.tilt.log_reward_of(&sample, &condition);
    let rows = choose(&rewards, noise);
    picked(&host(sample), problem.tilt.prior.dim(), &rows)
}

fn sampled(model: &GaussianDiffusion, problem: &Problem, noise: &mut Noise) -> Vec<f64> {
    to_f64(&host(model.sample(&problem.condition(0, COUNT), noise)))
}

fn measured(
    world: &str,
    method: &str,
    problem: &Problem,
    training_seconds: f64,
    draw: &dyn Fn(&mut Noise) -> Vec<f64>,
) -> MethodResult {
    let mut noise = Noise::keyed(4, "compare", 0);
    let clock = Instant::now();
    let samples = draw(&mut noise);
    let milliseconds = clock.elapsed().as_secs_f64() * 1e3 / COUNT as f64;
    let [energy, floor] = distances(problem, 0, &samples, &mut noise);
    let row = MethodResult {
        world: world.into(),
        method: method.into(),
        energy,
        floor,
        mode_error: problem.mode_mass_error(0, &samples),
        training_seconds,
        milliseconds_per_sample: milliseconds,
    };
    print(&format!(
        "{world:<22} {method:<24} {energy:>8.4} {floor:>8.4} {:>6.1}% {training_seconds:>8.1}s {milliseconds:>11.4}",
        100.0 * row.mode_error
    ));
    row
}
