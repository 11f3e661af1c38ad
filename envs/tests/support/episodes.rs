//! Whole episodes on the twin beside those of the Rust engine.
#![allow(dead_code)]

use super::twin::Twin;
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::random::Stream;
use tiltrl_envs::vector::{Autoreset, VectorEnv};
use tiltrl_envs::{Engine, EnvOptions, Margin, Stateful, make_stateful};

pub fn env(id: &str, engine: Engine, margin: Option<Margin>) -> Box<dyn Stateful> {
    let options = EnvOptions {
        engine,
        margin,
        ..EnvOptions::default()
    };
    make_stateful(id, &options).unwrap()
}

/// Plays 8 environments through their first 1,100 steps on the twin and in a `VectorEnv`, whose rule of seeds it has:
/// starts, observations, rewards, ends and time limits.
pub fn play(program: &Program, mode: Mode, id: &str) -> [usize; 2] {
    const COUNT: usize = 8;
    let engine = match mode {
        Mode::F32 => Engine::EmbeddedF32,
        _ => Engine::Embedded,
    };
    let options = EnvOptions {
        engine,
        margin: program.spec().margin,
        ..EnvOptions::default()
    };
    let mut other = VectorEnv::new(id, &options, COUNT, Autoreset::SameStep).unwrap();
    let (width, dim) = (program.observation_dim(), program.action_dim());
    let mut twin = Twin::new(program, mode, COUNT);
    for (k, seed) in twin.seeds.iter_mut().enumerate() {
        *seed = 1000 + k as u64;
    }
    twin.begin(COUNT as u64);
    let first = other.reset(1000);
    for k in 0..COUNT {
        assert_eq!(twin.observation(k), first[k * width..][..width], "{id} {k}");
    }
    let mut stream = Stream::new(3);
    let (mut ends, mut returns) = ([0, 0], vec![0.0; COUNT]);
    for t in 0..1100 {
        let rows: Vec<f32> = (0..COUNT * dim)
            .map(|_| (0.6 * stream.uniform(-1.0, 1.0)) as f32)
            .collect();
        let columns: Vec<f32> = (0..COUNT * dim)
            .map(|k| rows[k % COUNT * dim + k / COUNT])
            .collect();
        twin.advance(&columns);
        let step = other.step(&rows);
        for k in 0..COUNT {
            let status = i32::from(step.terminated[k]) + 2 * i32::from(step.truncated[k]);
            returns[k] += step.rewards[k];
            assert_eq!(
                (twin.rewards[k], twin.status[k], twin.returns[k]),
                (step.rewards[k], status, returns[k]),
                "{id} {mode} environment {k} at {t}"
            );
            let last = if status == 0 {
                &step.observations
            } else {
                ends[status as usize - 1] += 1;
                returns[k] = 0.0;
                &step.final_observations
            };
            assert_eq!(twin.observation(k), last[k * width..][..width], "{id} {k}");
        }
        twin.begin(COUNT as u64);
        for k in 0..COUNT {
            assert_eq!(twin.observation(k), step.observations[k * width..][..width]);
        }
    }
    ends
}
