//! A Python Gymnasium environment behind the `Env` trait.
//!
//! `GYMNASIUM_PYTHON` names a Python with gymnasium; without it the tests are skipped aloud.

use crate::support::python;
use std::path::Path;
use tiltrl_envs::python::PythonEnv;
use tiltrl_envs::{Engine, Env, EnvBatch, EnvError, EnvOptions, Step, conformity, spec_with};

#[test]
fn a_missing_python_is_an_error_that_names_it() {
    let error = PythonEnv::new(Path::new("/nowhere/python"), "Pendulum-v1")
        .err()
        .unwrap();
    assert!(matches!(error, EnvError::Python { .. }));
    assert!(error.to_string().contains("/nowhere/python"), "{error}");
}

#[test]
fn a_gymnasium_environment_conforms_and_moves_as_ours() {
    let Some(python) = python() else { return };
    conformity::check(&|| Box::new(PythonEnv::new(&python, "Pendulum-v1").unwrap())).unwrap();
    let mut theirs = PythonEnv::new(&python, "Pendulum-v1").unwrap();
    let mut ours = tiltrl_envs::classic::Pendulum::new();
    let (mut a, mut b) = ([0.0_f32; 3], [0.0_f32; 3]);
    theirs.reset(3, &mut a);
    let angle = f64::from(a[1]).atan2(f64::from(a[0]));
    tiltrl_envs::Stateful::set_state(&mut ours, &[angle], &[f64::from(a[2])]);
    for _ in 0..10 {
        let (want, got) = (theirs.step(&[0.5], &mut a), ours.step(&[0.5], &mut b));
        assert!((want.reward - got.reward).abs() < 1e-4);
        assert!(
            a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4),
            "{a:?} {b:?}"
        );
    }
    assert_eq!(theirs.spec().horizon, 200);
}

#[test]
fn what_python_says_of_an_unknown_id_arrives() {
    let Some(python) = python() else { return };
    let error = PythonEnv::new(&python, "Nothing-v0")
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("Nothing"), "{error}");
    let error = PythonEnv::new(&python, "CartPole-v1")
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("Box"),
        "discrete actions are refused: {error}"
    );
}

#[test]
fn python_environments_run_in_a_batch() {
    let Some(python) = python() else { return };
    let envs = (0..3)
        .map(|_| Box::new(PythonEnv::new(&python, "Pendulum-v1").unwrap()) as Box<dyn Env>)
        .collect();
    let mut batch = EnvBatch::from_envs(envs);
    let mut observations = [0.0; 9];
    batch.reset(&[0, 1, 2], &[1, 2, 1], &mut observations);
    assert_eq!(observations[..3], observations[6..]);
    let mut steps = [Step::default(); 3];
    batch.step(&[0, 1, 2], &[0.1, 0.2, 0.1], &mut observations, &mut steps);
    assert_eq!(steps[0], steps[2]);
}

#[test]
fn the_registry_reaches_python_by_the_engine_gymnasium() {
    let Some(python) = python() else { return };
    let options = EnvOptions {
        engine: Engine::Gymnasium(python),
        ..EnvOptions::default()
    };
    let spec = spec_with("MountainCarContinuous-v0", &options).unwrap();
    assert_eq!((spec.observation_dim, spec.action_dim), (2, 1));
    assert_eq!(EnvBatch::new("Pendulum-v1", &options, 2).unwrap().len(), 2);
}
