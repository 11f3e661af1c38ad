//! Whole episodes through the host's calls, on whatever driver, beside those of the Rust engine.

use tiltrl_envs::gpu::driver::Driver;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{DeviceEnvs, Mode, Status};
use tiltrl_envs::random::Stream;
use tiltrl_envs::vector::{Autoreset, VectorEnv};
use tiltrl_envs::{Engine, EnvOptions, Margin};

/// Plays 100 environments for 120 steps on a device and on the CPU; every byte must be the same. Returns how many episodes the
/// task ended.
pub fn play(driver: Box<dyn Driver>, (id, margin): (&str, Margin), mode: Mode) -> usize {
    const COUNT: usize = 100;
    let engine = match mode {
        Mode::F64 => Engine::Embedded,
        _ => Engine::EmbeddedF32,
    };
    let options = EnvOptions {
        engine,
        margin: Program::of(id, margin).unwrap().spec().margin,
        ..EnvOptions::default()
    };
    let mut cpu = VectorEnv::new(id, &options, COUNT, Autoreset::SameStep).unwrap();
    let mut device = DeviceEnvs::new(driver, 0, id, margin, mode, COUNT).unwrap();
    let (dim, width) = (
        device.program().action_dim(),
        device.program().observation_dim(),
    );
    let columns = |rows: &[f32], width: usize| -> Vec<f32> {
        (0..COUNT * width)
            .map(|k| rows[k % COUNT * width + k / COUNT])
            .collect()
    };
    device.reset(7).unwrap();
    assert_eq!(device.observations().unwrap(), columns(cpu.reset(7), width));
    let (mut stream, mut ends) = (Stream::new(1), 0);
    for t in 0..120 {
        let actions: Vec<f32> = (0..COUNT * dim)
            .map(|_| stream.uniform(-1.0, 1.0) as f32)
            .collect();
        device.set_actions(&columns(&actions, dim)).unwrap();
        device.step().unwrap();
        let step = cpu.step(&actions);
        assert_eq!(
            device.rewards().unwrap(),
            step.rewards,
            "{id} {mode} at {t}"
        );
        let ended: Vec<bool> = device
            .statuses()
            .unwrap()
            .iter()
            .map(|s| *s == Status::Terminated)
            .collect();
        assert_eq!(ended, step.terminated, "{id} {mode} at {t}");
        ends += ended.iter().filter(|e| **e).count();
        device.begin_ended().unwrap();
        assert_eq!(
            device.observations().unwrap(),
            columns(&step.observations, width)
        );
    }
    let falls = ["hopper", "walker", "inverted"];
    let falls = falls.iter().any(|name| id.starts_with(name));
    assert_eq!(ends > 50, falls, "{id}: {ends} ended");
    ends
}
