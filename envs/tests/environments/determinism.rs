//! The bytes of an episode depend on its seed and actions alone: not on threads, batch size or neighbours.

use tiltrl_envs::{EnvBatch, EnvOptions, Step, ids, make};

const EPISODES: usize = 64;
const TIMESTEPS: usize = 40;

/// The action of an episode at a timestep: any fixed function will do.
fn action(episode: usize, timestep: usize, component: usize) -> f32 {
    let mut x = (episode * 7919 + timestep * 104_729 + component * 1_299_709 + 1) as u64;
    for _ in 0..3 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    ((x >> 40) as f32 / (1_u64 << 24) as f32) * 2.4 - 1.2
}

/// All bits that an episode gave.
type Trace = Vec<(Vec<u32>, u64, bool)>;

fn alone(id: &str, episode: usize) -> Trace {
    let mut env = make(id).unwrap();
    let (width, dim) = (env.spec().observation_dim, env.spec().action_dim);
    let mut observation = vec![0.0; width];
    env.reset(episode as u64, &mut observation);
    let mut trace = vec![(bits(&observation), 0, false)];
    for t in 0..TIMESTEPS {
        let actions: Vec<f32> = (0..dim).map(|k| action(episode, t, k)).collect();
        let step = env.step(&actions, &mut observation);
        trace.push((bits(&observation), step.reward.to_bits(), step.terminated));
        if step.terminated {
            break;
        }
    }
    trace
}

fn bits(observation: &[f32]) -> Vec<u32> {
    observation.iter().map(|x| x.to_bits()).collect()
}

/// Plays all episodes in batches of `size`; finished episodes leave the batch.
fn batched(id: &str, size: usize) -> Vec<Trace> {
    let mut traces = vec![Trace::new(); EPISODES];
    for first in (0..EPISODES).step_by(size) {
        let mut batch = EnvBatch::new(id, &EnvOptions::default(), size).unwrap();
        let (width, dim) = (batch.spec().observation_dim, batch.spec().action_dim);
        let mut running: Vec<usize> = (0..size).collect();
        let seeds: Vec<u64> = running.iter().map(|k| (first + k) as u64).collect();
        let mut observations = vec![0.0; size * width];
        batch.reset(&running, &seeds, &mut observations);
        for (k, row) in observations.chunks(width).enumerate() {
            traces[first + k].push((bits(row), 0, false));
        }
        for t in 0..TIMESTEPS {
            let actions: Vec<f32> = running
                .iter()
                .flat_map(|k| (0..dim).map(move |c| action(first + k, t, c)))
                .collect();
            let mut observations = vec![0.0; running.len() * width];
            let mut steps = vec![Step::default(); running.len()];
            batch.step(&running, &actions, &mut observations, &mut steps);
            for ((k, step), row) in running.iter().zip(&steps).zip(observations.chunks(width)) {
                traces[first + k].push((bits(row), step.reward.to_bits(), step.terminated));
            }
            let mut step = steps.iter();
            running.retain(|_| !step.next().unwrap().terminated);
        }
    }
    traces
}

#[test]
fn threads_and_batch_sizes_do_not_change_a_byte() {
    for id in ids() {
        let want: Vec<Trace> = (0..EPISODES).map(|episode| alone(id, episode)).collect();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            for size in [1, 16, 64] {
                let got = pool.install(|| batched(id, size));
                assert!(
                    got == want,
                    "{id} with {threads} threads in batches of {size}"
                );
            }
        }
    }
}

#[test]
fn a_batch_of_boxed_environments_gives_the_same_bytes() {
    let envs = (0..3).map(|_| make("hopper-v4").unwrap()).collect();
    let mut boxed = EnvBatch::from_envs(envs);
    let mut fleet = EnvBatch::new("hopper-v4", &EnvOptions::default(), 3).unwrap();
    let (mut a, mut b) = (vec![0.0; 33], vec![0.0; 33]);
    boxed.reset(&[0, 1, 2], &[5, 6, 7], &mut a);
    fleet.reset(&[0, 1, 2], &[5, 6, 7], &mut b);
    assert_eq!(a, b);
    let mut steps = [[Step::default(); 2]; 2];
    boxed.step(&[0, 2], &[0.3; 6], &mut a[..22], &mut steps[0]);
    fleet.step(&[0, 2], &[0.3; 6], &mut b[..22], &mut steps[1]);
    assert_eq!(a, b);
    assert_eq!(steps[0], steps[1]);
}
