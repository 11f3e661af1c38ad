//! The kernels' text, compiled for the CPU, against MuJoCo.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/states.rs"]
mod states;
mod support;
#[path = "support/twin.rs"]
mod twin;

use states::{STATES, column, difference, random_actions, random_state, robot, say};
use std::sync::Arc;
use support::libraries;
use tiltrl_envs::Margin;
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::mujoco::{Data, Library, Model, mjcf};
use tiltrl_envs::planar::RobotDescription;
use tiltrl_envs::random::Stream;
use twin::Twin;

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
