//! What the trace tests share: reading recordings and replaying them.
#![allow(dead_code, clippy::unwrap_used)]

pub mod npz;

use std::path::{Path, PathBuf};
use tiltrl_envs::{EnvOptions, Margin, Stateful, make_stateful};

/// One recorded step.
pub struct Record {
    /// Whether an episode begins here.
    pub fresh: bool,
    pub position: Vec<f64>,
    pub velocity: Vec<f64>,
    pub action: Vec<f32>,
    pub next_observation: Vec<f64>,
    pub reward: f64,
    pub terminated: bool,
}

/// Whether a recording also holds the observation before each step.
#[derive(Clone, Copy, PartialEq)]
pub enum Layout {
    Golden,
    Oracle,
}

/// The folder of committed recordings.
pub fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

/// A file of the developers' shared material, or `None`, said aloud.
pub fn shared(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is absent", path.display());
    None
}

/// The MuJoCo libraries to test with, from `MUJOCO_LIBRARIES` (or one from `MUJOCO_LIBRARY`); none is said aloud.
pub fn libraries() -> Vec<PathBuf> {
    let list = std::env::var("MUJOCO_LIBRARIES")
        .or_else(|_| std::env::var("MUJOCO_LIBRARY"))
        .unwrap_or_default();
    let paths: Vec<PathBuf> = list
        .split(':')
        .filter(|p| !p.is_empty())
        .map(Into::into)
        .collect();
    if paths.is_empty() {
        eprintln!("SKIPPED: set MUJOCO_LIBRARIES to the paths of libmujoco, separated by colons");
    }
    paths
}

/// A Python with gymnasium, from `GYMNASIUM_PYTHON`, or `None`, said aloud.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("GYMNASIUM_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: set GYMNASIUM_PYTHON to a Python with gymnasium");
    }
    python
}

/// Reads a recording of `golden/record.py` or of the shared oracles.
pub fn read(path: &Path, layout: Layout) -> Vec<Record> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header: Vec<usize> = bytes[..40]
        .chunks_exact(8)
        .map(|x| i64::from_le_bytes(x.try_into().unwrap()) as usize)
        .collect();
    let [nq, nv, nu, width, count] = header[..] else {
        panic!("five header fields")
    };
    let numbers: Vec<f64> = bytes[40..]
        .chunks_exact(8)
        .map(|x| f64::from_le_bytes(x.try_into().unwrap()))
        .collect();
    let before = if layout == Layout::Oracle { width } else { 0 };
    let length = 1 + nq + nv + before + nu + width + 2;
    assert_eq!(numbers.len(), count * length, "{}", path.display());
    numbers
        .chunks_exact(length)
        .map(|row| {
            let mut rest = row;
            let mut take = |n: usize| {
                let (head, tail) = rest.split_at(n);
                rest = tail;
                head.to_vec()
            };
            let fresh = take(1)[0] != 0.0;
            let (position, velocity) = (take(nq), take(nv));
            take(before);
            let action = take(nu).into_iter().map(|x| x as f32).collect();
            let next_observation = take(width);
            let last = take(2);
            Record {
                fresh,
                position,
                velocity,
                action,
                next_observation,
                reward: last[0],
                terminated: last[1] != 0.0,
            }
        })
        .collect()
}

/// How far a replay strayed from a recording.
#[derive(Debug, Default)]
pub struct Deviation {
    pub observation: f64,
    pub reward: f64,
    pub wrong_terminations: usize,
}

/// Replays each step from its recorded state.
pub fn replay_each_step(env: &mut dyn Stateful, records: &[Record]) -> Deviation {
    let mut deviation = Deviation::default();
    for record in records {
        env.set_state(&record.position, &record.velocity);
        compare(env, record, &mut deviation);
    }
    deviation
}

/// Replays the episodes from their first states, each for at most `limit` steps.
pub fn replay_freely(env: &mut dyn Stateful, records: &[Record], limit: usize) -> Deviation {
    let mut deviation = Deviation::default();
    let mut age = 0;
    for record in records {
        if record.fresh {
            env.set_state(&record.position, &record.velocity);
            age = 0;
        }
        age += 1;
        if age <= limit {
            compare(env, record, &mut deviation);
        }
    }
    deviation
}

fn compare(env: &mut dyn Stateful, record: &Record, deviation: &mut Deviation) {
    let width = record.next_observation.len();
    let step = env.step(&record.action, &mut vec![0.0; width]);
    let mut observation = vec![0.0; width];
    env.observe(&mut observation);
    for (got, want) in observation.iter().zip(&record.next_observation) {
        deviation.observation = deviation.observation.max((got - want).abs());
    }
    deviation.reward = deviation.reward.max((step.reward - record.reward).abs());
    deviation.wrong_terminations += usize::from(step.terminated != record.terminated);
}

/// The environment under a margin rule.
pub fn make(id: &str, margin: Option<Margin>) -> Box<dyn Stateful> {
    make_stateful(
        id,
        &EnvOptions {
            margin,
            ..EnvOptions::default()
        },
    )
    .unwrap()
}
