//! The f32 mode: how far a step is from the f64 one, and that its bytes depend on as little.

use tiltrl_envs::random::Stream;
use tiltrl_envs::{
    Engine, EnvBatch, EnvError, EnvOptions, Joints, Step, conformity, make_stateful, make_with,
};

const IDS: [&str; 3] = ["halfcheetah-v4", "hopper-v4", "walker2d-v4"];

fn single() -> EnvOptions {
    EnvOptions {
        engine: Engine::EmbeddedF32,
        ..EnvOptions::default()
    }
}

/// The errors of 2,000 steps in f32 from states on the way of an f64 robot under random motors, sorted: the largest
/// difference in an observation each, relative to the largest observed number. The robot is started anew every 50 steps.
fn errors(id: &str) -> Vec<f64> {
    let mut exact = make_stateful(id, &EnvOptions::default()).unwrap();
    let mut coarse = make_stateful(id, &single()).unwrap();
    let spec = exact.spec().clone();
    let mut stream = Stream::new(5);
    let mut seen = vec![0.0; spec.observation_dim];
    let (mut a, mut b) = (vec![0.0; seen.len()], vec![0.0; seen.len()]);
    let mut errors = Vec::new();
    for t in 0..2000 {
        if t % 50 == 0 {
            exact.reset(t, &mut seen);
        }
        let Joints { position, velocity } = exact.state();
        let action: Vec<f32> = (0..spec.action_dim)
            .map(|_| stream.uniform(-1.0, 1.0) as f32)
            .collect();
        // Both start without a guess.
        exact.set_state(&position, &velocity);
        coarse.set_state(&position, &velocity);
        exact.step(&action, &mut seen);
        coarse.step(&action, &mut seen);
        exact.observe(&mut a);
        coarse.observe(&mut b);
        let scale = a.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        let differences = a.iter().zip(&b).map(|(x, y)| (x - y).abs() / scale);
        errors.push(differences.fold(0.0, f64::max));
    }
    errors.sort_by(f64::total_cmp);
    errors
}

#[test]
fn a_step_in_f32_is_near_the_one_in_f64() {
    for id in IDS {
        let errors = errors(id);
        let at = |share: f64| errors[(share * (errors.len() - 1) as f64) as usize];
        eprintln!(
            "{id}: median {:.1e}, 99 % {:.1e}, worst {:.1e}",
            at(0.5),
            at(0.99),
            at(1.0)
        );
        assert!(at(0.5) < 1e-5 && at(0.99) < 1e-3 && at(1.0) < 1e-2, "{id}");
        assert!(at(0.5) > 1e-12, "{id}: this was not computed in f32");
    }
}

#[test]
fn f32_environments_conform_and_say_what_they_are() {
    for id in IDS {
        let env = make_with(id, &single()).unwrap();
        assert_eq!(env.spec().engine, "tiltrl-planar-f32");
        conformity::check(&|| make_with(id, &single()).unwrap()).unwrap();
    }
    let error = make_with("pendulum-v1", &single()).err().unwrap();
    assert!(matches!(error, EnvError::Unsupported { .. }), "{error}");
}

#[test]
fn batch_sizes_do_not_change_a_byte_in_f32() {
    const COUNT: usize = 40;
    for id in IDS {
        let play = |size: usize| -> Vec<Vec<u32>> {
            let mut episodes = Vec::new();
            for first in (0..COUNT).step_by(size) {
                let size = size.min(COUNT - first);
                let mut batch = EnvBatch::new(id, &single(), size).unwrap();
                let (width, dim) = (batch.spec().observation_dim, batch.spec().action_dim);
                let indices: Vec<usize> = (0..size).collect();
                let seeds: Vec<u64> = indices.iter().map(|k| (first + k) as u64).collect();
                let mut rows = vec![0.0; size * width];
                batch.reset(&indices, &seeds, &mut rows);
                let mut steps = vec![Step::default(); size];
                for t in 0..25 {
                    let actions: Vec<f32> = (0..size * dim)
                        .map(|k| (((first * dim + k) * 31 + t * 17) % 21) as f32 / 10.0 - 1.0)
                        .collect();
                    batch.step(&indices, &actions, &mut rows, &mut steps);
                }
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect();
                episodes.extend(rows.chunks(width).map(bits));
            }
            episodes
        };
        let alone = play(1);
        for size in [16, 40] {
            assert!(play(size) == alone, "{id} in batches of {size}");
        }
    }
}
