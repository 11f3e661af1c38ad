//! A user's own MJCF file as an environment, and Ant under Gymnasium's rules.
//!
//! `MUJOCO_LIBRARIES` names the libraries. The Ant test also needs `GYMNASIUM_PYTHON`, a Python with gymnasium and mujoco:
//! its `ant.xml` is not ours to ship. What is missing is said aloud.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use support::{libraries, python};
use tiltrl_envs::mujoco::{MjcfEnv, MjcfRules, mjcf};
use tiltrl_envs::planar::robots::HALF_CHEETAH;
use tiltrl_envs::python::PythonEnv;
use tiltrl_envs::{Engine, Env, EnvError, EnvOptions, make_with};

#[test]
fn a_users_own_model_becomes_an_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runner.xml");
    std::fs::write(&file, mjcf::write(&HALF_CHEETAH)).unwrap();
    let rules = || MjcfRules {
        id: "runner".into(),
        hidden_positions: 1,
        healthy: None,
        alive_bonus: 0.0,
        control_cost: 0.1,
        ..MjcfRules::ant()
    };
    for path in libraries() {
        let make = || MjcfEnv::new(&file, Some(&path), rules()).unwrap();
        tiltrl_envs::conformity::check(&|| Box::new(make())).unwrap();
        let env = make();
        let spec = tiltrl_envs::Env::spec(&env);
        assert_eq!((spec.observation_dim, spec.action_dim), (17, 6));
        assert!((spec.timestep - 0.05).abs() < 1e-12);
        let missing = MjcfEnv::new(&folder.path().join("none.xml"), Some(&path), rules());
        assert!(matches!(
            missing.err().unwrap(),
            EnvError::MujocoModel { .. }
        ));
    }
}

#[test]
fn a_model_of_ones_own_is_asked_for_and_refused_where_it_does_not_fit() {
    let error = |id: &str, options: &EnvOptions| make_with(id, options).err().unwrap().to_string();
    let embedded = EnvOptions::default();
    assert!(error("ant-v4", &embedded).contains("--mjcf FILE"));
    let mut options = EnvOptions {
        model: Some("robot.xml".into()),
        ..EnvOptions::default()
    };
    assert!(error("ant-v4", &options).contains("mujoco:PATH"));
    assert!(error("hopper-v4", &options).contains("ant-v4"));
    options.engine = Engine::Mujoco(Some("/nowhere/libmujoco.so".into()));
    assert!(error("ant-v5", &options).contains("pip install"));
}

/// The file of a model in that Python's gymnasium, and the release of its MuJoCo.
fn gymnasiums(python: &std::path::Path, model: &str) -> Option<(PathBuf, String)> {
    let code = format!(
        "import gymnasium.envs.mujoco as m, mujoco, os;\
         print(os.path.join(os.path.dirname(m.__file__), 'assets', '{model}.xml'));print(mujoco.__version__)"
    );
    let output = Command::new(python).args(["-c", &code]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(file), Some(version)) => Some((file.into(), version.into())),
        _ => {
            eprintln!("SKIPPED: {} has no mujoco", python.display());
            None
        }
    }
}

/// Largest difference of an observation and of a reward between Gymnasium's own Ant and ours over four episodes of eight
/// steps from its first states; both must say the same of termination.
fn ant_against_gymnasium(
    id: &str,
    gymnasiums_id: &str,
    library: PathBuf,
    file: PathBuf,
    python: &std::path::Path,
) -> (f64, f64) {
    let options = EnvOptions {
        engine: Engine::Mujoco(Some(library.clone())),
        model: Some(file.clone()),
        margin: None,
    };
    assert_eq!(make_with(id, &options).unwrap().spec().observation_dim, 27);
    let mut ours = MjcfEnv::new(&file, Some(&library), MjcfRules::of(id).unwrap()).unwrap();
    let mut theirs = PythonEnv::new(python, gymnasiums_id).unwrap();
    let wide = theirs.spec().observation_dim;
    let (mut a, mut b) = (vec![0.0_f32; wide], vec![0.0_f32; 27]);
    let (mut worst, mut worst_reward) = (0.0_f64, 0.0_f64);
    for seed in 0..4 {
        theirs.reset(seed, &mut a);
        let seen: Vec<f64> = a[..27].iter().map(|&x| f64::from(x)).collect();
        ours.set_state(&[&[0.0, 0.0], &seen[..13]].concat(), &seen[13..]);
        for t in 0..8 {
            let action: Vec<f32> = (0..8)
                .map(|k| ((t * 5 + k * 3) % 7) as f32 / 3.0 - 1.0)
                .collect();
            let (want, got) = (theirs.step(&action, &mut a), ours.step(&action, &mut b));
            assert_eq!(want.terminated, got.terminated);
            for (x, y) in a.iter().zip(&b) {
                worst = worst.max(f64::from((x - y).abs()));
            }
            worst_reward = worst_reward.max((want.reward - got.reward).abs());
        }
    }
    (worst, worst_reward)
}

#[test]
fn an_ant_of_gymnasiums_moves_and_earns_as_gymnasium_says() {
    let Some(python) = python() else { return };
    let Some((file, version)) = gymnasiums(&python, "ant") else {
        return;
    };
    let same = libraries()
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(&version));
    let Some(library) = same else {
        eprintln!("SKIPPED: no libmujoco.so.{version} among MUJOCO_LIBRARIES");
        return;
    };
    let (observation, reward) = ant_against_gymnasium("ant-v4", "Ant-v4", library, file, &python);
    eprintln!("Ant-v4: observation {observation:e}, reward {reward:e}");
    // The first state passes through f32, which eight steps of contacts may enlarge.
    assert!(
        observation < 1e-3 && reward < 1e-3,
        "{observation:e} {reward:e}"
    );
}
