//! The kernels as work items of OpenCL on the processor, behind the host's own calls: another compiler and real index arithmetic
//! give the CPU's bytes.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/device.rs"]
mod device;
#[path = "support/fake.rs"]
mod fake;
#[path = "support/opencl.rs"]
mod opencl;
#[path = "support/policies.rs"]
mod policies;
#[path = "support/twin.rs"]
mod twin;

use device::play;
use fake::Fake;
use opencl::OpenCl;
use policies::{noise_keys, random_policy};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tiltrl_envs::Margin;
use tiltrl_envs::gpu::driver::Driver;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{DeviceEnvs, Mode};

/// Where OpenCL's library is; said aloud if nobody has told. PoCL begins with one thread at a time only: so do the tests.
fn library() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    static ONE: Mutex<()> = Mutex::new(());
    let library = std::env::var_os("OPENCL_LIBRARY").map(PathBuf::from);
    if library.is_none() {
        eprintln!(
            "SKIPPED: set OPENCL_LIBRARY to what .ci/get-pocl prints, to run the kernels as work items"
        );
    }
    Some((library?, ONE.lock().unwrap_or_else(PoisonError::into_inner)))
}

#[test]
fn work_items_of_opencl_play_the_cpus_episodes_byte_for_byte() {
    let Some((library, _one)) = library() else {
        return;
    };
    // Every kernel text once, in the number that compiles fastest; self contact, Runge-Kutta and Euler among them.
    for (id, margin, mode) in [
        ("pendulum-v1", Margin::Max, Mode::F64),
        ("cartpole-swingup-v0", Margin::Max, Mode::F64),
        ("mountaincar-continuous-v0", Margin::Max, Mode::F64),
        ("invertedpendulum-v4", Margin::Max, Mode::F64),
        ("inverteddoublependulum-v5", Margin::Max, Mode::F64),
        ("reacher-v4", Margin::Max, Mode::F64),
        ("pointmaze-large-dense-v1", Margin::Sum, Mode::F64),
        ("halfcheetah-v4", Margin::Max, Mode::F64),
        ("hopper-v4", Margin::Max, Mode::F64),
        ("walker2d-v5", Margin::Max, Mode::F32),
    ] {
        let clock = Instant::now();
        let program = Program::of(id, margin).unwrap();
        let driver = Box::new(OpenCl::new(&library, program, mode));
        let ends = play(driver, (id, margin), mode);
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!("{id} {mode}: the same bytes, {ends} episodes ended, {seconds:.1} s");
    }
}

/// Pendulums that a policy with random weights moves for `steps` steps; every step's actions.
fn act(driver: Box<dyn Driver>, hidden: &[usize], learned: bool, steps: usize) -> Vec<f32> {
    // No multiple of a block's rows: the last block has rows without an environment.
    const COUNT: usize = 37;
    let id = "cartpole-swingup-v0";
    let mut envs = DeviceEnvs::new(driver, 0, id, Margin::Max, Mode::F64, COUNT).unwrap();
    let spec = envs.program().spec();
    let policy = random_policy([spec.observation_dim, spec.action_dim], hidden, 10, learned);
    envs.set_policy(&policy, &noise_keys(COUNT)).unwrap();
    envs.reset(5).unwrap();
    let mut all = Vec::new();
    for _ in 0..steps {
        envs.act().unwrap();
        all.extend(envs.actions().unwrap());
        envs.step().unwrap();
    }
    all
}

#[test]
fn groups_of_work_items_with_barriers_denoise_as_the_twin_does() {
    let Some((library, _one)) = library() else {
        return;
    };
    if !twin::compiler() {
        return;
    }
    let program = Program::of("cartpole-swingup-v0", Margin::Max).unwrap();
    // Narrow layers, a wide one that fills no whole round of columns, two rounds of them, and the kernel of fewer rows.
    for (hidden, learned) in [
        (&[32][..], false),
        (&[70, 40], true),
        (&[256, 256], true),
        (&[300], false),
    ] {
        let opencl = OpenCl::new(&library, program.clone(), Mode::F64);
        let fake = Fake {
            program: Some((program.clone(), Mode::F64)),
            ..Fake::new()
        };
        let clock = Instant::now();
        let found = act(Box::new(opencl), hidden, learned, 20);
        let seconds = clock.elapsed().as_secs_f64();
        let want = act(Box::new(fake), hidden, learned, 20);
        let differences = found.iter().zip(&want).map(|(a, b)| (a - b).abs());
        // A NaN is a difference too.
        let worst = differences.fold(0.0_f32, |most, x| if x <= most { most } else { x });
        let moved = want.iter().filter(|a| a.abs() > 0.1).count();
        eprintln!(
            "{hidden:?}: worst of {} actions {worst:.1e}, {seconds:.1} s",
            want.len()
        );
        // The two compilers' exp and tanh differ in the last digit, and twenty steps carry that on.
        assert!(
            worst < 1e-5 && moved > want.len() / 2,
            "{hidden:?}: {worst:e}"
        );
    }
}
