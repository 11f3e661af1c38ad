//! A trained runner in the fast mode earns what it earns in f64 on the processor.
//!
//! `runner.json` is a linear policy of HalfCheetah, found by augmented random search (arXiv:1803.07055) with the last test here.
//! TILTRL_TRAINED_ACTORS may name a folder of flat actors of Stable-Baselines3, NAME_Robot.bin; they are played too.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use tiltrl::actor::{Actor, ActorPolicy};
use tiltrl::card::{Acting, Task, on_driver};
use tiltrl::device::Card;
use tiltrl::envs::gpu::Mode;
use tiltrl::envs::random::Stream;
use tiltrl::envs::{EnvBatch, EnvOptions, Step, spec_of};
use tiltrl::policies::agent::Policy;
use tiltrl::rollout::rollout_in;
use tiltrl::stats::mean;
use tiltrl::tilt::noise::Noise;

use crate::policies::driver;
use crate::twin;

const EPISODES: usize = 1000;

/// a = clip(W (o − mean)/std), with `weight` [action][observation].
#[derive(Clone, Serialize, Deserialize)]
struct Linear {
    env: String,
    weight: Vec<Vec<f32>>,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Linear {
    fn act_on(&self, observation: &[f32], weight: &[Vec<f32>]) -> Vec<f32> {
        let scaled = observation.iter().zip(&self.mean).zip(&self.std);
        let scaled: Vec<f32> = scaled.map(|((o, m), s)| (o - m) / s).collect();
        let dot = |row: &Vec<f32>| row.iter().zip(&scaled).map(|(w, x)| w * x).sum::<f32>();
        weight.iter().map(|row| dot(row).clamp(-1.0, 1.0)).collect()
    }
}

impl Policy for Linear {
    fn act(&self, observations: ArrayView2<'_, f32>, _: &mut Noise) -> Array2<f32> {
        let rows = observations.rows().into_iter();
        let actions: Vec<f32> = rows
            .flat_map(|row| self.act_on(&row.to_vec(), &self.weight))
            .collect();
        let shape = (observations.nrows(), self.weight.len());
        Array2::from_shape_vec(shape, actions).unwrap()
    }
}

/// Mean return and its squared standard error.
fn summary(returns: &[f64]) -> (f64, f64) {
    let average = mean(returns);
    let squares: f64 = returns.iter().map(|r| (r - average).powi(2)).sum();
    let count = returns.len() as f64;
    (average, squares / (count - 1.0) / count)
}

/// Plays the same 1,000 starts and noise on the processor in f64 and on the card's twin as it goes fastest.
fn compare(name: &str, env: &str, policy: &dyn Policy, at_least: f64) {
    let options = EnvOptions::default();
    let mut batch = EnvBatch::new(env, &options, EPISODES).unwrap();
    let here = rollout_in(&mut batch, policy, 11, None);
    let task = Task {
        env,
        options: &options,
        episodes: EPISODES,
        seed: 11,
    };
    let card = Card {
        ordinal: 0,
        fast: true,
    };
    let acting = Acting::Processor(policy);
    let there = on_driver(driver(env, Mode::Fast), card, task, acting, None).unwrap();
    let returns = |e: &[tiltrl::rollout::Episode]| -> Vec<f64> {
        e.iter().map(|e| e.episode_return).collect()
    };
    let (here, there) = (returns(&here), returns(&there));
    assert_ne!(here, there, "{name}: this was not f32");
    let ((a, variance_a), (b, variance_b)) = (summary(&here), summary(&there));
    let error = (variance_a + variance_b).sqrt();
    eprintln!(
        "{name} {env}: {a:.1} on the processor in f64, {b:.1} on the card in f32, {:.2} standard errors apart",
        (a - b).abs() / error
    );
    assert!(a > at_least, "{name}: {a} is no trained actor's return");
    assert!((a - b).abs() <= 3.0 * error, "{name}: {a} {b} {error}");
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/card/runner.json")
}

#[test]
fn a_thousand_episodes_of_a_trained_runner_earn_in_f32_what_they_earn_on_the_processor() {
    if !twin::compiler() {
        return;
    }
    let runner: Linear = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    compare("runner.json", &runner.env, &runner, 1000.0);
    let Some(folder) = std::env::var_os("TILTRL_TRAINED_ACTORS") else {
        eprintln!(
            "SKIPPED: set TILTRL_TRAINED_ACTORS to a folder of flat actors to play those too"
        );
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "bin"))
        .collect();
    files.sort();
    for path in files {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let robot = stem.rsplit('_').next().unwrap().to_lowercase();
        let env = format!("{robot}-v4");
        let actor = Actor::read(&path, &spec_of(&env).unwrap()).unwrap();
        compare(&stem, &env, &ActorPolicy { actor, drawn: true }, 500.0);
    }
}

/// Returns of one episode for each weight, and what was seen.
fn search_returns(base: &Linear, weights: &[Vec<Vec<f32>>], seed: u64) -> (Vec<f64>, Vec<f32>) {
    let mut batch = EnvBatch::new(&base.env, &EnvOptions::default(), weights.len()).unwrap();
    let (width, horizon) = (batch.spec().observation_dim, batch.spec().horizon);
    let all: Vec<usize> = (0..weights.len()).collect();
    let seeds: Vec<u64> = all.iter().map(|&k| seed * 1000 + k as u64).collect();
    let mut rows = vec![0.0; all.len() * width];
    batch.reset(&all, &seeds, &mut rows);
    let (mut returns, mut seen) = (vec![0.0; all.len()], Vec::new());
    for step in 0..horizon {
        let observations = rows.chunks_exact(width).zip(weights);
        let actions: Vec<f32> = observations.flat_map(|(o, w)| base.act_on(o, w)).collect();
        let mut steps = vec![Step::default(); all.len()];
        batch.step(&all, &actions, &mut rows, &mut steps);
        returns
            .iter_mut()
            .zip(&steps)
            .for_each(|(r, s)| *r += s.reward);
        if step % 10 == 0 {
            seen.extend_from_slice(&rows);
        }
    }
    (returns, seen)
}

#[test]
#[ignore = "writes runner.json anew; some minutes"]
fn search_for_a_runner() {
    const DIRECTIONS: usize = 16;
    const BEST: usize = 8;
    let spec = spec_of("halfcheetah-v4").unwrap();
    let (dim, width) = (spec.action_dim, spec.observation_dim);
    let mut runner = Linear {
        env: spec.id,
        weight: vec![vec![0.0; width]; dim],
        mean: vec![0.0; width],
        std: vec![1.0; width],
    };
    let mut stream = Stream::new(1);
    let (mut count, mut sums, mut squares) = (0.0, vec![0.0; width], vec![0.0; width]);
    for update in 0..150 {
        let directions: Vec<Vec<Vec<f32>>> = (0..DIRECTIONS)
            .map(|_| {
                (0..dim)
                    .map(|_| (0..width).map(|_| stream.normal() as f32).collect())
                    .collect()
            })
            .collect();
        let moved = |sign: f32, direction: &Vec<Vec<f32>>| -> Vec<Vec<f32>> {
            let rows = runner.weight.iter().zip(direction);
            rows.map(|(w, d)| w.iter().zip(d).map(|(w, d)| w + sign * 0.03 * d).collect())
                .collect()
        };
        let weights: Vec<_> = directions
            .iter()
            .flat_map(|d| [moved(1.0, d), moved(-1.0, d)])
            .collect();
        let (returns, seen) = search_returns(&runner, &weights, update);
        let mut pairs: Vec<_> = returns.chunks_exact(2).zip(&directions).collect();
        pairs.sort_by(|a, b| b.0[0].max(b.0[1]).total_cmp(&a.0[0].max(a.0[1])));
        pairs.truncate(BEST);
        let kept: Vec<f64> = pairs.iter().flat_map(|(r, _)| r.iter().copied()).collect();
        let spread = (kept.iter().map(|r| (r - mean(&kept)).powi(2)).sum::<f64>()
            / kept.len() as f64)
            .sqrt();
        let share = 0.02 / (BEST as f64 * spread.max(1e-6));
        for (pair, direction) in &pairs {
            for (row, d) in runner.weight.iter_mut().zip(*direction) {
                row.iter_mut()
                    .zip(d)
                    .for_each(|(w, d)| *w += (share * (pair[0] - pair[1])) as f32 * d);
            }
        }
        for row in seen.chunks_exact(width) {
            count += 1.0;
            for (k, &value) in row.iter().enumerate() {
                sums[k] += f64::from(value);
                squares[k] += f64::from(value) * f64::from(value);
            }
        }
        for k in 0..width {
            let average = sums[k] / count;
            runner.mean[k] = average as f32;
            runner.std[k] = (squares[k] / count - average * average).max(1e-4).sqrt() as f32;
        }
        eprintln!("{update}: {:.0}", mean(&returns));
    }
    std::fs::write(file(), serde_json::to_string(&runner).unwrap() + "\n").unwrap();
}
