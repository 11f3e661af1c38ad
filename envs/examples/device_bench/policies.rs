//! Denoising by the device, and the closed loop of acting and stepping.

use super::support::{noise_keys, random_policy};
use super::{Findings, Plan, name, twin};
use std::time::{Duration, Instant};
use tiltrl_envs::Margin;
use tiltrl_envs::gpu::policy::PolicyTables;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{DeviceEnvs, GpuError, Mode};

/// Denoising steps of an action.
const STEPS: usize = 10;
/// Widths of the hidden layers: one for each kernel that fits an H100's multiprocessor several times, and the widest.
const WIDTHS: [&[usize]; 3] = [&[256, 256, 256], &[512, 512], &[1024, 1024]];
/// Where closed loops are played, and in which mode.
const LOOPS: [(&str, Mode); 4] = [
    ("halfcheetah-v4", Mode::Fast),
    ("halfcheetah-v4", Mode::F64),
    ("hopper-v4", Mode::Fast),
    ("walker2d-v4", Mode::Fast),
];
/// More environments are not measured: an action of a million takes long, and says no more.
const MOST: usize = 262_144;

/// Actions further apart than this are wrong: rounding moves them by less than a hundredth of it.
pub const ALLOWED: f64 = 1e-3;

/// Actions compared with the twin's.
pub struct PolicyCheck {
    pub policy: String,
    pub compared: usize,
    /// Largest difference of an action.
    pub worst: f64,
}

/// How fast one policy acts for so many environments.
pub struct PolicyRate {
    pub policy: String,
    /// Task and mode, where the environments step too; else actions alone are made.
    pub closed: Option<(String, Mode)>,
    pub count: usize,
    /// Actions, or environment steps, per second.
    pub per_second: f64,
    /// Microseconds of one for all environments.
    pub step: f64,
}

fn policy(id: &str, hidden: &[usize]) -> PolicyTables {
    let spec = Program::of(id, Margin::Max).map(|program| program.spec());
    let spec = spec.expect("a task with kernels");
    let widths = [spec.observation_dim, spec.action_dim];
    random_policy(widths, hidden, STEPS, true)
}

fn shown(hidden: &[usize]) -> String {
    let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
    format!("{}, {STEPS} steps", widths.join("-"))
}

/// The actions of three steps in 100 environments.
fn actions(mut envs: DeviceEnvs, policy: &PolicyTables) -> Result<Vec<f32>, GpuError> {
    envs.set_policy(policy, &noise_keys(envs.len()))?;
    envs.reset(3)?;
    let mut all = Vec::new();
    for _ in 0..3 {
        envs.act()?;
        all.extend(envs.actions()?);
        envs.step()?;
    }
    Ok(all)
}

/// Compares a policy's actions on the device with the twin's, which takes a g++.
fn check(plan: &Plan, hidden: &[usize]) -> Result<PolicyCheck, GpuError> {
    let (task, mode) = (("pendulum-v1", Margin::Max), Mode::F64);
    let policy = policy(task.0, hidden);
    let found = actions(plan.envs(task, mode, 100, None)?, &policy)?;
    let twins = Plan::new(true);
    let want = actions(twins.envs(task, mode, 100, None)?, &policy)?;
    let differences = found
        .iter()
        .zip(&want)
        .map(|(a, b)| f64::from((a - b).abs()));
    Ok(PolicyCheck {
        policy: shown(hidden),
        compared: want.len(),
        // A NaN is a difference too.
        worst: differences.fold(0.0, |most, x| if x <= most { most } else { x }),
    })
}

/// The shortest of the turns that fit the time, but for the first two, which warm the device up.
fn shortest(
    envs: &mut DeviceEnvs,
    span: Duration,
    turn: fn(&mut DeviceEnvs) -> Result<(), GpuError>,
) -> Result<Duration, GpuError> {
    let (mut best, mut turns, begun) = (Duration::MAX, 0, Instant::now());
    while turns < 4 || begun.elapsed() < span {
        let clock = Instant::now();
        turn(envs)?;
        envs.wait()?;
        if turns >= 2 {
            best = best.min(clock.elapsed());
        }
        turns += 1;
    }
    Ok(best)
}

fn measure(
    plan: &Plan,
    (id, mode, closed): (&str, Mode, bool),
    hidden: &[usize],
    count: usize,
) -> Result<PolicyRate, GpuError> {
    let task = (id, Margin::Max);
    let mut envs = plan.envs(task, mode, count, None)?;
    envs.set_policy(&policy(id, hidden), &noise_keys(count))?;
    envs.reset(0)?;
    let best = if closed {
        shortest(&mut envs, plan.span, |envs| {
            envs.act()?;
            envs.step()?;
            envs.begin_ended()
        })?
    } else {
        shortest(&mut envs, plan.span, DeviceEnvs::act)?
    };
    let seconds = best.as_secs_f64();
    Ok(PolicyRate {
        policy: shown(hidden),
        closed: closed.then(|| (name(task), mode)),
        count,
        per_second: count as f64 / seconds,
        step: 1e6 * seconds,
    })
}

/// Compares, then measures denoising and closed loops; saves after each.
pub fn run(
    plan: &Plan,
    found: &mut Findings,
    save: &dyn Fn(&Findings) -> std::io::Result<()>,
) -> Result<(), Box<dyn std::error::Error>> {
    if twin::compiler() {
        for hidden in WIDTHS {
            let check = check(plan, hidden)?;
            eprintln!("{}: actions {:.1e} apart", check.policy, check.worst);
            found.policy_checks.push(check);
            save(found)?;
        }
    } else {
        let note = "no g++ here: the policies' actions were not compared with the twin's";
        found.notes.push(note.into());
    }
    let alone = WIDTHS.map(|hidden| ("halfcheetah-v4", Mode::Fast, false, hidden));
    let loops = LOOPS.map(|(id, mode)| (id, mode, true, WIDTHS[0]));
    for (id, mode, closed, hidden) in alone.into_iter().chain(loops) {
        for &count in plan.counts.iter().filter(|count| **count <= MOST) {
            let what = format!("{} {id} {mode} {count}", shown(hidden));
            if Instant::now() > plan.deadline {
                found.notes.push(format!("out of time before {what}"));
                continue;
            }
            match measure(plan, (id, mode, closed), hidden, count) {
                Ok(rate) => {
                    eprintln!("{what}, closed {closed}: {:.0} a second", rate.per_second);
                    found.policy_rates.push(rate);
                    save(found)?;
                }
                Err(error) => found.notes.push(format!("{what}: {error}")),
            }
        }
    }
    Ok(())
}
