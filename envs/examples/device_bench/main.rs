//! Checks the kernels on a GPU and measures environment steps, denoising and closed loops; `benches/device/run` is its front end.
//!
//! `device_bench FOLDER` writes FOLDER/device.json and FOLDER/device.md. `device_bench --rehearse FOLDER` goes the same way
//! with the kernels' twin on the CPU in place of a driver.
#![allow(clippy::print_stderr, clippy::unwrap_used, unsafe_code)]

#[path = "../../tests/support/fake.rs"]
mod fake;
mod policies;
mod report;
#[path = "../../tests/support/policies.rs"]
mod support;
#[path = "../../tests/support/twin.rs"]
mod twin;

use fake::Fake;
use policies::{PolicyCheck, PolicyRate};
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tiltrl_envs::gpu::cuda::Cuda;
use tiltrl_envs::gpu::driver::Driver;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{DeviceEnvs, GpuError, Mode, devices};
use tiltrl_envs::random::Stream;
use tiltrl_envs::vector::{Autoreset, VectorEnv};
use tiltrl_envs::{Engine, EnvBatch, EnvOptions, Margin, Step};

const TASKS: [(&str, Margin); 11] = [
    ("halfcheetah-v4", Margin::Max),
    ("hopper-v4", Margin::Max),
    ("hopper-v4", Margin::Sum),
    ("walker2d-v4", Margin::Max),
    ("pendulum-v1", Margin::Max),
    ("cartpole-swingup-v0", Margin::Max),
    ("mountaincar-continuous-v0", Margin::Max),
    ("invertedpendulum-v4", Margin::Max),
    ("inverteddoublependulum-v4", Margin::Max),
    ("reacher-v4", Margin::Max),
    ("pointmaze-large-v1", Margin::Max),
];
/// How often new actions are put on the device: every so many steps.
const HOLD: usize = 5;

/// What a run does: on a device, or small for a rehearsal.
struct Plan {
    rehearsed: bool,
    counts: Vec<usize>,
    /// Time of one measurement.
    span: Duration,
    /// Nothing new is begun after this.
    deadline: Instant,
}

impl Plan {
    fn new(rehearsed: bool) -> Self {
        let (counts, milliseconds) = if rehearsed {
            (vec![64, 256], 20)
        } else {
            (
                vec![64, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576],
                500,
            )
        };
        Self {
            rehearsed,
            counts,
            span: Duration::from_millis(milliseconds),
            deadline: Instant::now() + Duration::from_secs(240),
        }
    }

    fn driver(&self, task: (&str, Margin), mode: Mode) -> Result<Box<dyn Driver>, GpuError> {
        if !self.rehearsed {
            return Ok(Box::new(Cuda::new()?));
        }
        let program = Program::of(task.0, task.1).map(|program| (program, mode));
        Ok(Box::new(Fake {
            program,
            ..Fake::new()
        }))
    }

    fn envs(
        &self,
        (id, margin): (&str, Margin),
        mode: Mode,
        count: usize,
        registers: Option<u32>,
    ) -> Result<DeviceEnvs, GpuError> {
        let driver = self.driver((id, margin), mode)?;
        DeviceEnvs::with_registers(driver, 0, id, margin, mode, count, registers)
    }
}

/// How a mode's episodes compare with the CPU's.
struct Check {
    task: String,
    mode: Mode,
    /// Rewards that are not the CPU's, byte for byte.
    unequal: usize,
    /// Rewards that were compared.
    compared: usize,
    /// Largest difference of a reward in the first five steps.
    early: f64,
}

/// Plays 256 environments for 100 steps on the device and on the CPU.
fn check(plan: &Plan, task: (&str, Margin), mode: Mode) -> Result<Check, Box<dyn Error>> {
    const COUNT: usize = 256;
    let engine = match mode {
        Mode::F32 => Engine::EmbeddedF32,
        Mode::F64 | Mode::Fast => Engine::Embedded,
    };
    let options = EnvOptions {
        engine,
        margin: Program::of(task.0, task.1).and_then(|program| program.spec().margin),
        ..EnvOptions::default()
    };
    let mut cpu = VectorEnv::new(task.0, &options, COUNT, Autoreset::SameStep)?;
    let mut device = plan.envs(task, mode, COUNT, None)?;
    let dim = device.program().action_dim();
    device.reset(1)?;
    cpu.reset(1);
    let mut stream = Stream::new(2);
    let (mut unequal, mut compared, mut early) = (0, 0, 0.0_f64);
    for t in 0..100 {
        let rows: Vec<f32> = (0..COUNT * dim)
            .map(|_| stream.uniform(-1.0, 1.0) as f32)
            .collect();
        let columns: Vec<f32> = (0..COUNT * dim)
            .map(|k| rows[k % COUNT * dim + k / COUNT])
            .collect();
        device.set_actions(&columns)?;
        device.step()?;
        let want = &cpu.step(&rows).rewards;
        let got = device.rewards()?;
        device.begin_ended()?;
        for (got, want) in got.iter().zip(want) {
            compared += 1;
            unequal += usize::from(got.to_bits() != want.to_bits());
            if t < 5 {
                early = early.max((got - want).abs());
            }
        }
    }
    Ok(Check {
        task: name(task),
        mode,
        unequal,
        compared,
        early,
    })
}

fn modes(task: (&str, Margin)) -> &'static [Mode] {
    Program::of(task.0, task.1).map_or(&[], |program| program.modes())
}

fn name((id, margin): (&str, Margin)) -> String {
    if id.starts_with("hopper") {
        format!("{id} ({margin})")
    } else {
        id.into()
    }
}

/// How fast one mode steps so many environments.
struct Rate {
    task: String,
    mode: Mode,
    registers: Option<u32>,
    count: usize,
    /// Environment steps per second, the best of five parts.
    per_second: f64,
    /// Microseconds of a step of all of them.
    step: f64,
}

/// Steps `count` environments under random actions, each held for [`HOLD`] steps. Putting actions on the device does not
/// count; beginning new episodes does.
fn measure(
    plan: &Plan,
    task: (&str, Margin),
    mode: Mode,
    count: usize,
    registers: Option<u32>,
) -> Result<Rate, GpuError> {
    let mut envs = plan.envs(task, mode, count, registers)?;
    let mut stream = Stream::new(3);
    let dim = envs.program().action_dim();
    // Eight sets of actions are enough: robots in different states do not notice.
    let actions: Vec<Vec<f32>> = (0..8)
        .map(|_| {
            (0..count * dim)
                .map(|_| stream.uniform(-1.0, 1.0) as f32)
                .collect()
        })
        .collect();
    envs.reset(0)?;
    let mut best = Duration::MAX;
    let (mut turn, begun) = (0, Instant::now());
    while turn < 8 || begun.elapsed() < plan.span {
        envs.set_actions(&actions[turn % actions.len()])?;
        envs.wait()?;
        let start = Instant::now();
        for _ in 0..HOLD {
            envs.step()?;
            envs.begin_ended()?;
        }
        envs.wait()?;
        // The first turns warm the device up.
        if turn >= 3 {
            best = best.min(start.elapsed());
        }
        turn += 1;
    }
    let step = best.as_secs_f64() / HOLD as f64;
    Ok(Rate {
        task: name(task),
        mode,
        registers,
        count,
        per_second: count as f64 / step,
        step: 1e6 * step,
    })
}

/// Environment steps per second of the CPU's engine on this machine: 1,024 robots, f64, all threads.
fn cpu_rate(task: (&str, Margin), span: Duration) -> Result<f64, Box<dyn Error>> {
    const COUNT: usize = 1024;
    let options = EnvOptions {
        margin: Program::of(task.0, task.1).and_then(|program| program.spec().margin),
        ..EnvOptions::default()
    };
    let mut batch = EnvBatch::new(task.0, &options, COUNT)?;
    let (width, dim) = (batch.spec().observation_dim, batch.spec().action_dim);
    let (indices, seeds): (Vec<usize>, Vec<u64>) = (0..COUNT).map(|k| (k, k as u64)).unzip();
    let mut rows = vec![0.0; COUNT * width];
    let mut steps = vec![Step::default(); COUNT];
    let mut stream = Stream::new(4);
    let mut best = Duration::MAX;
    let begun = Instant::now();
    batch.reset(&indices, &seeds, &mut rows);
    while begun.elapsed() < span {
        let actions: Vec<f32> = (0..COUNT * dim)
            .map(|_| stream.uniform(-1.0, 1.0) as f32)
            .collect();
        let start = Instant::now();
        batch.step(&indices, &actions, &mut rows, &mut steps);
        best = best.min(start.elapsed());
        let ended: Vec<usize> = (0..COUNT).filter(|k| steps[*k].terminated).collect();
        let seeds: Vec<u64> = ended.iter().map(|k| *k as u64).collect();
        batch.reset(&ended, &seeds, &mut rows[..ended.len() * width]);
    }
    Ok(COUNT as f64 / best.as_secs_f64())
}

/// Everything that a run found.
#[derive(Default)]
struct Findings {
    device: String,
    checks: Vec<Check>,
    rates: Vec<Rate>,
    cpu: Vec<(String, f64)>,
    policy_checks: Vec<PolicyCheck>,
    policy_rates: Vec<PolicyRate>,
    /// What went wrong or was left out.
    notes: Vec<String>,
}

/// Compares all tasks with the CPU, and measures the CPU's engine.
fn check_all(
    plan: &Plan,
    found: &mut Findings,
    save: &dyn Fn(&Findings) -> std::io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    for task in TASKS {
        for &mode in modes(task) {
            let check = check(plan, task, mode)?;
            eprintln!(
                "{} {mode}: {} of {} rewards unequal, {:.1e} in the first steps",
                check.task, check.unequal, check.compared, check.early
            );
            found.checks.push(check);
            save(found)?;
        }
    }
    for task in TASKS {
        let rate = cpu_rate(task, plan.span)?;
        eprintln!("{} on the CPU: {rate:.0} steps/s", name(task));
        found.cpu.push((name(task), rate));
        save(found)?;
    }
    Ok(())
}

/// Does everything, and after each finding saves all of them: a run that is cut off loses only what it was about.
fn run(
    plan: &Plan,
    save: &dyn Fn(&Findings) -> std::io::Result<()>,
) -> Result<Findings, Box<dyn Error>> {
    let device = if plan.rehearsed {
        "none: a rehearsal with the twin on the CPU".into()
    } else {
        devices::list_here()?[0].to_string()
    };
    let mut found = Findings {
        device,
        ..Findings::default()
    };
    eprintln!("{}", found.device);
    check_all(plan, &mut found, save)?;
    policies::run(plan, &mut found, save)?;
    let mut wanted = Vec::new();
    for task in TASKS {
        for &mode in modes(task) {
            wanted.extend(plan.counts.iter().map(|count| (task, mode, *count, None)));
        }
        // Twelve and sixteen warps on an SM in place of eight, for some spilled registers.
        let most = plan.counts[plan.counts.len() - 2];
        if modes(task).contains(&Mode::Fast) {
            wanted.extend([168, 128].map(|registers| (task, Mode::Fast, most, Some(registers))));
        }
    }
    for (task, mode, count, registers) in wanted {
        if Instant::now() > plan.deadline {
            found
                .notes
                .push(format!("out of time before {} {mode} {count}", name(task)));
            continue;
        }
        match measure(plan, task, mode, count, registers) {
            Ok(rate) => {
                eprintln!(
                    "{} {mode} {count} {registers:?}: {:.0} steps/s",
                    rate.task, rate.per_second
                );
                found.rates.push(rate);
                save(&found)?;
            }
            // A full memory is a finding: the rest goes on.
            Err(error) => found
                .notes
                .push(format!("{} {mode} {count}: {error}", name(task))),
        }
    }
    Ok(found)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rehearsed = arguments.first().is_some_and(|a| a == "--rehearse");
    let folder = PathBuf::from(
        arguments
            .get(usize::from(rehearsed))
            .map_or(".", String::as_str),
    );
    let plan = Plan::new(rehearsed);
    let save = |found: &Findings| {
        let json = report::json(found, plan.rehearsed);
        let table = report::markdown(found, &plan.counts, plan.rehearsed);
        std::fs::write(folder.join("device.json"), json)?;
        std::fs::write(folder.join("device.md"), table)
    };
    let found = match run(&plan, &save) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    };
    save(&found)?;
    let wrong = |c: &&Check| c.mode != Mode::Fast && c.unequal > 0;
    if let Some(c) = found.checks.iter().find(wrong) {
        eprintln!(
            "error: {} {}: {} rewards are not the CPU's bytes",
            c.task, c.mode, c.unequal
        );
        std::process::exit(1);
    }
    let near = |c: &PolicyCheck| c.worst <= policies::ALLOWED;
    if let Some(c) = found.policy_checks.iter().find(|c| !near(c)) {
        let (policy, worst) = (&c.policy, c.worst);
        eprintln!("error: {policy}: actions are {worst:e} from the twin's");
        std::process::exit(1);
    }
    Ok(())
}
