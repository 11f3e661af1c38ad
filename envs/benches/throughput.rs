//! Environment steps per second: one environment, and batches on one and two threads.
//!
//! `cargo bench -p tiltrl-envs`. Uniform random actions; an episode begins anew when it terminates or reaches its horizon,
//! as in the peers' benchmark (`benches/peers/envs.py`). Prints a table and, with `-- --json FILE`, writes it.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};
use tiltrl_envs::{Engine, EnvBatch, EnvOptions, Step, make};

const IDS: [&str; 4] = ["halfcheetah-v4", "hopper-v4", "walker2d-v4", "pendulum-v1"];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);

/// A xorshift generator: cheap beside the physics, the same in every run.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, actions: &mut [f32]) {
        for action in actions {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *action = ((self.0 >> 40) as f32 / (1_u64 << 24) as f32) * 2.0 - 1.0;
        }
    }
}

/// The best rate of several rounds: what the machine can do when nothing else runs.
fn best_rate(mut steps: impl FnMut() -> usize) -> f64 {
    steps();
    (0..ROUNDS)
        .map(|_| {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < ROUND {
                count += steps();
            }
            count as f64 / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

fn single(id: &str) -> f64 {
    let mut env = make(id).expect("known id");
    let spec = env.spec().clone();
    let mut observation = vec![0.0; spec.observation_dim];
    let mut action = vec![0.0; spec.action_dim];
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let (mut age, mut seed) = (0, 0);
    env.reset(seed, &mut observation);
    best_rate(|| {
        for _ in 0..200 {
            noise.fill(&mut action);
            let step = env.step(&action, &mut observation);
            age += 1;
            if step.terminated || age >= spec.horizon {
                (age, seed) = (0, seed + 1);
                env.reset(seed, &mut observation);
            }
        }
        200
    })
}

fn batched(id: &str, engine: &Engine, num_envs: usize, threads: usize) -> f64 {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("pool");
    let options = EnvOptions {
        engine: engine.clone(),
        ..EnvOptions::default()
    };
    let mut batch = EnvBatch::new(id, &options, num_envs).expect("known id");
    let spec = batch.spec().clone();
    let indices: Vec<usize> = (0..num_envs).collect();
    let seeds: Vec<u64> = (0..num_envs as u64).collect();
    let mut observations = vec![0.0; num_envs * spec.observation_dim];
    let mut actions = vec![0.0; num_envs * spec.action_dim];
    let mut steps = vec![Step::default(); num_envs];
    let mut ages = vec![0; num_envs];
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    batch.reset(&indices, &seeds, &mut observations);
    pool.install(|| {
        best_rate(|| {
            noise.fill(&mut actions);
            batch.step(&indices, &actions, &mut observations, &mut steps);
            for k in 0..num_envs {
                ages[k] += 1;
                if steps[k].terminated || ages[k] >= spec.horizon {
                    ages[k] = 0;
                    let row = &mut observations[k * spec.observation_dim..][..spec.observation_dim];
                    batch.reset(&[k], &[k as u64], row);
                }
            }
            num_envs
        })
    })
}

const COLUMNS: [&str; 4] = ["one env", "64 envs × 1", "64 envs × 2", "1024 envs × 2"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments
        .iter()
        .position(|word| word == "--json")
        .map(|at| &arguments[at + 1]);
    println!(
        "{:<16} {}",
        "steps/s",
        COLUMNS.map(|column| format!("{column:>14}")).join(" ")
    );
    let mut entries = Vec::new();
    for id in IDS {
        let rates = [
            single(id),
            batched(id, &Engine::Embedded, 64, 1),
            batched(id, &Engine::Embedded, 64, 2),
            batched(id, &Engine::Embedded, 1024, 2),
        ];
        println!(
            "{id:<16} {}",
            rates.map(|rate| format!("{rate:>14.0}")).join(" ")
        );
        let pairs = COLUMNS
            .iter()
            .zip(rates)
            .map(|(column, rate)| format!("\"{column}\": {rate:.0}"));
        entries.push(format!(
            "\"{id}\": {{{}}}",
            pairs.collect::<Vec<_>>().join(", ")
        ));
    }
    println!(
        "\nin f32          {}",
        [COLUMNS[1], COLUMNS[2], COLUMNS[3]]
            .map(|column| format!("{column:>14}"))
            .join(" ")
    );
    for id in &IDS[..3] {
        let sizes = [(64, 1), (64, 2), (1024, 2)];
        let rates =
            sizes.map(|(num_envs, threads)| batched(id, &Engine::EmbeddedF32, num_envs, threads));
        println!(
            "{id:<16}{}",
            rates.map(|rate| format!("{rate:>14.0}")).join(" ")
        );
        entries.push(format!(
            "\"{id} f32\": [{:.0}, {:.0}, {:.0}]",
            rates[0], rates[1], rates[2]
        ));
    }
    if let Some(path) = json {
        std::fs::write(path, format!("{{{}}}\n", entries.join(",\n "))).expect("writable file");
    }
}
