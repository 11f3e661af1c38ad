//! The kernels' text, compiled for the CPU, against the Rust engine and against MuJoCo.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

mod support;
#[path = "support/twin.rs"]
mod twin;

use std::sync::Arc;
use support::libraries;
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::{PROGRAMS, Program};
use tiltrl_envs::mujoco::{Data, Library, Model, mjcf};
use tiltrl_envs::planar::RobotDescription;
use tiltrl_envs::planar::robots::{HALF_CHEETAH, HOPPER, WALKER2D, WALKER2D_V5};
use tiltrl_envs::random::Stream;
use tiltrl_envs::vector::{Autoreset, VectorEnv};
use tiltrl_envs::{Engine, EnvOptions, Margin, Stateful, make_stateful};
use twin::Twin;

const STATES: usize = 10_000;

fn robot(id: &str) -> &'static RobotDescription {
    match id {
        "halfcheetah-v4" | "halfcheetah-v5" => &HALF_CHEETAH,
        "hopper-v4" | "hopper-v5" => &HOPPER,
        "walker2d-v4" => &WALKER2D,
        _ => &WALKER2D_V5,
    }
}

fn env(id: &str, engine: Engine, margin: Option<Margin>) -> Box<dyn Stateful> {
    let options = EnvOptions {
        engine,
        margin,
        ..EnvOptions::default()
    };
    make_stateful(id, &options).unwrap()
}

/// A random state: mostly near the ground, some deep in it, joints up to 0.1 rad beyond their limits (tests/mujoco.rs has
/// the same distribution). Hopper's links then often touch one another.
fn random_state(robot: &RobotDescription, stream: &mut Stream) -> (Vec<f64>, Vec<f64>) {
    let mut position = Vec::new();
    for joint in robot.bodies.iter().flat_map(|body| body.joints) {
        position.push(match (joint.name, joint.range) {
            ("rootz", _) => joint.reference + stream.uniform(-1.1, 0.0),
            (_, Some([low, high])) => stream.uniform(low - 0.1, high + 0.1),
            _ => stream.uniform(-1.0, 1.0),
        });
    }
    let velocity = position.iter().map(|_| 3.0 * stream.normal()).collect();
    (position, velocity)
}

fn random_actions(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| stream.uniform(-1.2, 1.2) as f32)
        .collect()
}

fn column(rows: &[f32], env: usize, count: usize) -> Vec<f32> {
    rows.iter().skip(env).step_by(count).copied().collect()
}

/// The largest difference of two states' numbers, relative to the largest number.
fn difference(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
    let numbers = |s: &(Vec<f64>, Vec<f64>)| [s.0.clone(), s.1.clone()].concat();
    let (a, b) = (numbers(a), numbers(b));
    let scale = a.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(x, y)| (x - y).abs() / scale);
    // A NaN is a difference too.
    differences.fold(0.0, |most, x| if x <= most { most } else { x })
}

/// Steps `STATES` random states once on the twin and in a Rust environment; returns the sorted differences of the states and
/// how many steps differed in reward (by more than `slack`) or in ending.
fn one_step(
    program: &Program,
    mode: Mode,
    id: &str,
    other: &mut dyn Stateful,
    slack: f64,
) -> (Vec<f64>, usize) {
    let mut stream = Stream::new(17);
    let mut twin = Twin::new(program, mode, STATES);
    let actions = random_actions(&mut stream, program.action_dim() * STATES);
    let mut starts = Vec::new();
    for k in 0..STATES {
        let (position, velocity) = random_state(robot(id), &mut stream);
        twin.set_state(k, &position, &velocity);
        starts.push((position, velocity));
    }
    twin.advance(&actions);
    let mut seen = vec![0.0; program.observation_dim()];
    let (mut differences, mut wrong) = (Vec::new(), 0);
    for (k, (position, velocity)) in starts.iter().enumerate() {
        other.set_state(position, velocity);
        let step = other.step(&column(&actions, k, STATES), &mut seen);
        differences.push(difference(&other.state(), &twin.state(k)));
        let reward = (step.reward - twin.rewards[k]).abs() <= slack;
        let ended = step.terminated == (twin.status[k] == 1);
        wrong += usize::from(!reward || !ended);
    }
    differences.sort_by(f64::total_cmp);
    (differences, wrong)
}

fn say(name: &str, mode: Mode, differences: &[f64], wrong: usize) {
    let at = |share: f64| differences[(share * (differences.len() - 1) as f64) as usize];
    eprintln!(
        "{name} {mode}: median {:.1e}, 99 % {:.1e}, 99.9 % {:.1e}, worst {:.1e}; {wrong} rewards or ends differ",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

#[test]
fn ten_thousand_random_states_step_with_the_rust_engines_bytes() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in PROGRAMS {
        let program = Program::of(id, margin).unwrap();
        for (mode, engine) in [
            (Mode::F64, Engine::Embedded),
            (Mode::F32, Engine::EmbeddedF32),
        ] {
            let mut other = env(id, engine, Some(margin));
            let (differences, wrong) = one_step(&program, mode, id, &mut *other, 0.0);
            say(name, mode, &differences, wrong);
            assert_eq!((differences[STATES - 1], wrong), (0.0, 0), "{name} {mode}");
        }
    }
}

#[test]
fn a_step_of_the_fast_mode_is_within_a_ten_thousandth_of_the_f64_engine() {
    if !twin::compiler() {
        return;
    }
    for (name, id, margin) in PROGRAMS {
        let program = Program::of(id, margin).unwrap();
        let mut other = env(id, Engine::Embedded, Some(margin));
        let (differences, wrong) = one_step(&program, Mode::Fast, id, &mut *other, 1e-3);
        say(name, Mode::Fast, &differences, wrong);
        let strays = differences.iter().filter(|d| **d > 1e-4).count();
        // Where the axes of two of Hopper's links nearly cross, the contact's normal turns round within a rounding error.
        let allowed = if name.starts_with("hopper") { 25 } else { 0 };
        assert!(
            strays <= allowed && wrong <= allowed,
            "{name}: {strays}, {wrong}"
        );
        assert!(differences[STATES / 2] > 1e-12, "{name}: this was not f32");
    }
}

/// Plays 8 environments through their first 1,100 steps on the twin and in a `VectorEnv`, whose rule of seeds it has:
/// starts, observations, rewards, ends and time limits.
fn play(program: &Program, mode: Mode, id: &str, margin: Margin) -> [usize; 2] {
    const COUNT: usize = 8;
    let engine = match mode {
        Mode::F32 => Engine::EmbeddedF32,
        _ => Engine::Embedded,
    };
    let options = EnvOptions {
        engine,
        margin: Some(margin),
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

#[test]
fn episodes_are_the_cpus_episodes_from_seed_to_end() {
    if !twin::compiler() {
        return;
    }
    for id in [
        "halfcheetah-v5",
        "hopper-v4",
        "hopper-v5",
        "walker2d-v4",
        "walker2d-v5",
    ] {
        let margin = if id == "hopper-v5" {
            Margin::Sum
        } else {
            Margin::Max
        };
        let program = Program::of(id, margin).unwrap();
        for mode in [Mode::F64, Mode::F32] {
            let [terminated, truncated] = play(&program, mode, id, margin);
            eprintln!("{id} {mode}: {terminated} terminated, {truncated} cut at the horizon");
            assert_eq!(truncated > 0, id.starts_with("half"), "{id}");
            assert_eq!(terminated > 50, !id.starts_with("half"), "{id}");
        }
    }
}

#[test]
fn a_hundred_thousand_starts_are_the_cpus_to_the_last_bit() {
    if !twin::compiler() {
        return;
    }
    const COUNT: usize = 100_000;
    for id in ["halfcheetah-v4", "walker2d-v4"] {
        let program = Program::of(id, Margin::Max).unwrap();
        let mut twin = Twin::new(&program, Mode::F64, COUNT);
        let seed = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for k in 0..COUNT {
            twin.seeds[k] = seed(k);
        }
        twin.begin(1);
        let mut other = env(id, Engine::Embedded, None);
        let mut seen = vec![0.0; program.observation_dim()];
        for k in 0..COUNT {
            other.reset(seed(k), &mut seen);
            assert_eq!(twin.state(k), other.state(), "{id} seed {}", seed(k));
            assert_eq!(twin.seeds[k], seed(k).wrapping_add(1));
        }
    }
}

#[test]
fn an_episode_that_has_ended_stands_still_and_earns_nothing() {
    if !twin::compiler() {
        return;
    }
    let program = Program::of("hopper-v4", Margin::Max).unwrap();
    let mut twin = Twin::new(&program, Mode::F64, 2);
    twin.begin(2);
    twin.set_state(0, &[0.0, 0.5, 0.0, 0.0, 0.0, 0.0], &[0.0; 6]);
    twin.advance(&[0.0; 6]);
    assert_eq!(twin.status, [1, 0]);
    assert!(twin.rewards[0] > 0.0, "v4 pays the last bonus");
    let (state, returns) = (twin.state(0), twin.returns.clone());
    twin.advance(&[0.0; 6]);
    assert_eq!((twin.state(0), twin.returns[0]), (state, returns[0]));
    assert_eq!((twin.rewards[0], twin.status[0]), (0.0, 1));
    assert!(twin.rewards[1] > 0.0 && twin.returns[1] > returns[1]);
}

/// The rule of a release: the sum from 3.6.0 on.
fn margin_of(library: &Library) -> Margin {
    let version = library.version();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
    let release = (parts.next().unwrap(), parts.next().unwrap());
    if release >= (3, 6) {
        Margin::Sum
    } else {
        Margin::Max
    }
}

/// MuJoCo with a solver that goes on to the end, one environment step at a time.
fn precise(robot: &RobotDescription, library: &Arc<Library>) -> Data {
    let mut option = "<option tolerance=\"0\" iterations=\"50\" ".to_string();
    if !library.version().starts_with("2.") {
        option += "ls_tolerance=\"1e-12\" ls_iterations=\"50\" ";
    }
    let text = mjcf::write(robot).replace("<option ", &option);
    Data::new(&Model::from_text(library, robot.name, &text).unwrap())
}

fn frame_skip(id: &str) -> usize {
    if id.starts_with("half") { 5 } else { 4 }
}

fn controls(actions: &[f32]) -> Vec<f64> {
    actions.iter().map(|x| f64::from(*x)).collect()
}

/// Sorted differences of one environment step of the twin from MuJoCo's over `STATES` random states, for each mode.
fn one_step_of_mujoco(program: &Program, id: &str, library: &Arc<Library>) -> [Vec<f64>; 3] {
    let mut stream = Stream::new(23);
    let actions = random_actions(&mut stream, program.action_dim() * STATES);
    let mut data = precise(robot(id), library);
    let mut twins = Mode::ALL.map(|mode| Twin::new(program, mode, STATES));
    let mut want = Vec::new();
    for k in 0..STATES {
        let (position, velocity) = random_state(robot(id), &mut stream);
        for twin in &mut twins {
            twin.set_state(k, &position, &velocity);
        }
        data.set_state(&position, &velocity);
        data.step(&controls(&column(&actions, k, STATES)), frame_skip(id));
        want.push((data.position().to_vec(), data.velocity().to_vec()));
    }
    twins.map(|mut twin| {
        twin.advance(&actions);
        let mut differences: Vec<f64> = (0..STATES)
            .map(|k| difference(&want[k], &twin.state(k)))
            .collect();
        differences.sort_by(f64::total_cmp);
        differences
    })
}

#[test]
fn ten_thousand_random_states_step_as_mujoco_steps_them() {
    if !twin::compiler() {
        return;
    }
    // One library of each margin rule: the engine's own test goes through all of them.
    for path in libraries() {
        let library = Library::open(Some(&path)).unwrap();
        if !["3.2.7", "3.17.0"].contains(&library.version().as_str()) {
            continue;
        }
        for id in ["halfcheetah-v4", "hopper-v4", "walker2d-v4", "walker2d-v5"] {
            let program = Program::of(id, margin_of(&library)).unwrap();
            let [fast, f32, f64] = one_step_of_mujoco(&program, id, &library);
            let name = format!("MuJoCo {} {id}", library.version());
            for (mode, differences) in [(Mode::Fast, &fast), (Mode::F32, &f32), (Mode::F64, &f64)] {
                say(&name, mode, differences, 0);
            }
            let strays =
                |differences: &[f64], bound| differences.iter().filter(|d| **d > bound).count();
            // Where the axes of two of Hopper's links cross, MuJoCo takes the contact's normal from rounding errors.
            let crossings = if id == "hopper-v4" { 100 } else { 0 };
            assert!(
                strays(&f64, 1e-12) <= crossings,
                "{name}: {}",
                strays(&f64, 1e-12)
            );
            let few = crossings + STATES / 2000;
            assert!(
                strays(&fast, 1e-4) <= few,
                "{name}: {}",
                strays(&fast, 1e-4)
            );
            // The f32 mode has the CPU's bytes, and with them its eight Newton steps.
            assert!(f32[STATES / 2] < 1e-5, "{name}: {:e}", f32[STATES / 2]);
        }
    }
}

#[test]
fn twenty_free_steps_go_where_mujoco_goes() {
    if !twin::compiler() {
        return;
    }
    for path in libraries() {
        let library = Library::open(Some(&path)).unwrap();
        for id in ["halfcheetah-v4", "hopper-v4", "walker2d-v4", "walker2d-v5"] {
            let program = Program::of(id, margin_of(&library)).unwrap();
            let mut twin = Twin::new(&program, Mode::F64, 1);
            let mut data = precise(robot(id), &library);
            let mut worst = 0.0_f64;
            for seed in 0..20 {
                let mut stream = Stream::new(seed);
                twin.status[0] = 1;
                twin.seeds[0] = seed;
                twin.begin(1);
                let (position, velocity) = twin.state(0);
                data.set_state(&position, &velocity);
                for _ in 0..20 {
                    let action = random_actions(&mut stream, program.action_dim());
                    twin.advance(&action);
                    twin.status[0] = 0;
                    data.step(&controls(&action), frame_skip(id));
                }
                let want = (data.position().to_vec(), data.velocity().to_vec());
                worst = worst.max(difference(&want, &twin.state(0)));
            }
            eprintln!(
                "MuJoCo {} {id}: worst {worst:.1e} after 20 steps",
                library.version()
            );
            assert!(worst < 1e-9, "{id}: {worst:e}");
        }
    }
}
