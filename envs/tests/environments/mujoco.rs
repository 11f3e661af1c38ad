//! MuJoCo as an engine and as an oracle for the embedded one.
//!
//! The libraries to test with stand in `MUJOCO_LIBRARIES`, separated by colons (or one in `MUJOCO_LIBRARY`); without them the
//! tests are skipped aloud.

use crate::support::{Layout, golden, libraries, read, replay_freely, shared};
use std::sync::Arc;
use tiltrl_envs::mujoco::{Data, Library, Model, mjcf};
use tiltrl_envs::planar::robots::{HALF_CHEETAH, HOPPER, WALKER2D, WALKER2D_V5};
use tiltrl_envs::planar::{Margin, RobotDescription, compile, engine, lanes::Lanes};
use tiltrl_envs::random::Stream;
use tiltrl_envs::{Engine, EnvError, EnvOptions, make_stateful, make_with};

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

#[test]
fn a_missing_library_says_how_to_get_it() {
    let options = EnvOptions {
        engine: Engine::Mujoco(Some("/nowhere/libmujoco.so".into())),
        ..EnvOptions::default()
    };
    let error = make_with("hopper-v4", &options).err().unwrap();
    assert!(matches!(error, EnvError::MujocoLibrary { .. }));
    let text = error.to_string();
    assert!(
        text.contains("/nowhere/libmujoco.so") && text.contains("pip install"),
        "{text}"
    );
}

#[test]
fn a_broken_model_says_what_mujoco_says() {
    for path in libraries() {
        let library = Library::open(Some(&path)).unwrap();
        let error = Model::from_text(
            &library,
            "broken",
            "<mujoco><worldbody><nonsense/></worldbody></mujoco>",
        )
        .err()
        .unwrap();
        assert!(matches!(error, EnvError::MujocoModel { .. }), "{error}");
    }
}

/// The recordings that a release made, bit for bit: its own golden traces from 3.2.7, the shared ones from 3.17.0.
#[test]
fn the_generated_models_replay_gymnasiums_recordings_to_the_last_bit() {
    let ids = [
        "HalfCheetah-v4",
        "Hopper-v4",
        "Hopper-v5",
        "Walker2d-v4",
        "Walker2d-v5",
    ];
    for path in libraries() {
        let library = Library::open(Some(&path)).unwrap();
        for id in ids {
            let (file, layout) = match library.version().as_str() {
                "3.2.7" => (
                    golden(&format!("{}.bin", id.to_lowercase())),
                    Layout::Golden,
                ),
                "3.17.0" => match shared(&format!("oracles/gymnasium/{id}.bin")) {
                    Some(file) => (file, Layout::Oracle),
                    None => continue,
                },
                _ => continue,
            };
            let options = EnvOptions {
                engine: Engine::Mujoco(Some(path.clone())),
                ..EnvOptions::default()
            };
            let mut env = make_stateful(id, &options).unwrap();
            let deviation = replay_freely(&mut *env, &read(&file, layout), usize::MAX);
            eprintln!("MuJoCo {} {id}: {deviation:?}", library.version());
            assert_eq!(deviation.observation, 0.0, "{id}: {deviation:?}");
            assert_eq!(deviation.reward, 0.0, "{id}: {deviation:?}");
            assert_eq!(deviation.wrong_terminations, 0, "{id}");
        }
    }
}

/// A random state: mostly near the ground, some deep in it, joints up to 0.1 rad beyond their limits.
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

/// How the two engines differ over many random states.
#[derive(Debug, Default)]
struct Difference {
    /// Largest difference of a velocity after one simulation step, relative to the largest velocity change.
    worst: f64,
    /// States that differ by more than 1e-7.
    strays: usize,
    /// States in which a limit or contact pushed.
    pushed: usize,
}

fn differ<const N: usize>(
    robot: &'static RobotDescription,
    library: &Arc<Library>,
    count: usize,
) -> Difference {
    let mut result = Difference::default();
    let model = compile::<N>(robot, margin_of(library));
    // MuJoCo's solver stops early by default; here it goes on to the end.
    let mut precise = "<option tolerance=\"0\" iterations=\"50\" ".to_string();
    if !library.version().starts_with("2.") {
        precise += "ls_tolerance=\"1e-12\" ls_iterations=\"50\" ";
    }
    let text = mjcf::write(robot).replace("<option ", &precise);
    let mut data = Data::new(&Model::from_text(library, robot.name, &text).unwrap());
    let mut stream = Stream::new(11);
    for _ in 0..count {
        let (position, velocity) = random_state(robot, &mut stream);
        let controls: Vec<f64> = robot
            .motors
            .iter()
            .map(|_| stream.uniform(-1.0, 1.0))
            .collect();
        let mut state = engine::State::<N, 1>::ZERO;
        let mut force = [Lanes([0.0]); N];
        for k in 0..N {
            state.position[k] = Lanes([position[k]]);
            state.velocity[k] = Lanes([velocity[k]]);
        }
        for (motor, &control) in model.motors.iter().zip(&controls) {
            force[motor.dof] = Lanes([motor.gear * control]);
        }
        let outcome = engine::advance(&model, &mut state, &force, 1);
        result.pushed += usize::from(outcome.constraint_force.iter().any(|f| f.0[0].abs() > 1e-6));
        data.set_state(&position, &velocity);
        data.step(&controls, 1);
        let change = (0..N)
            .map(|k| (data.velocity()[k] - velocity[k]).abs())
            .fold(1.0, f64::max);
        let difference = (0..N)
            .map(|k| (state.velocity[k].0[0] - data.velocity()[k]).abs() / change)
            .fold(0.0, f64::max);
        if difference > 1e-7 {
            result.strays += 1;
        } else {
            result.worst = result.worst.max(difference);
        }
    }
    result
}

#[test]
fn ten_thousand_random_states_move_as_mujoco_moves_them() {
    for path in libraries() {
        let library = Library::open(Some(&path)).unwrap();
        for (name, difference) in [
            ("half_cheetah", differ::<9>(&HALF_CHEETAH, &library, 2500)),
            ("hopper", differ::<6>(&HOPPER, &library, 2500)),
            ("walker2d", differ::<9>(&WALKER2D, &library, 2500)),
            ("walker2d_v5", differ::<9>(&WALKER2D_V5, &library, 2500)),
        ] {
            eprintln!("MuJoCo {} {name}: {difference:?}", library.version());
            assert!(
                difference.pushed > 1000,
                "{name}: too few touch anything: {difference:?}"
            );
            // Where the axes of two of Hopper's links cross, MuJoCo takes the contact's normal from rounding errors.
            let allowed = if name == "hopper" { 25 } else { 0 };
            assert!(difference.strays <= allowed, "{name}: {difference:?}");
            assert!(difference.worst < 1e-8, "{name}: {difference:?}");
        }
    }
}

#[test]
fn the_mujoco_engine_conforms() {
    for path in libraries() {
        let options = EnvOptions {
            engine: Engine::Mujoco(Some(path.clone())),
            ..EnvOptions::default()
        };
        for id in ["halfcheetah-v4", "hopper-v5", "walker2d-v4"] {
            tiltrl_envs::conformity::check(&|| make_with(id, &options).unwrap()).unwrap();
        }
    }
}
