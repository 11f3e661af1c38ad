//! A user's own MJCF file as an environment, and Gymnasium's Ant and Humanoid.
//!
//! `MUJOCO_LIBRARIES` names the libraries. The test against Gymnasium also needs `GYMNASIUM_PYTHON`, a Python with gymnasium and mujoco:
//! its `ant.xml` and `humanoid.xml` are not ours to ship. What is missing is said aloud.

use crate::support::{Layout, Record, golden, libraries, python, read};
use std::path::{Path, PathBuf};
use std::process::Command;
use tiltrl_envs::mujoco::{MjcfEnv, MjcfRules, mjcf};
use tiltrl_envs::planar::robots::HALF_CHEETAH;
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

/// A ball (33.51 kg) with an arm (3.67 kg) on a plane.
const CRAWLER: &str = r#"<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.25">
      <freejoint/>
      <geom type="sphere" size="0.2" density="1000"/>
      <body pos="0.3 0 0">
        <joint type="hinge" axis="0 1 0" damping="5"/>
        <geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.05" density="1000"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="arm" gear="30" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>"#;

fn crawler(folder: &Path) -> PathBuf {
    let file = folder.join("crawler.xml");
    let named = CRAWLER.replace("<joint type", "<joint name=\"arm\" type");
    std::fs::write(&file, named).unwrap();
    file
}

/// On every release: what carries a robot at rest is its weight, which an array of another kind would hardly say.
#[test]
fn contact_forces_carry_the_weight_of_a_robot_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = crawler(folder.path());
    for path in libraries() {
        let rules = MjcfRules {
            healthy: None,
            ..MjcfRules::humanoid_v5()
        };
        let mut env = MjcfEnv::new(&file, Some(&path), rules).unwrap();
        let width = env.spec().observation_dim;
        // Positions without x and y, velocities; of two bodies inertias, velocities, forces; the arm's motor.
        assert_eq!(width, 6 + 7 + 20 + 12 + 1 + 12);
        let mut seen = vec![0.0_f32; width];
        env.reset(0, &mut seen);
        for _ in 0..400 {
            env.step(&[0.5], &mut seen);
        }
        let mut seen = vec![0.0; width];
        env.observe(&mut seen);
        let (inertias, rest) = seen[13..].split_at(20);
        let (motor, forces) = (rest[12], &rest[13..]);
        let mass = inertias[9] + inertias[19];
        let lift = forces[5] + forces[11];
        let version = &env.spec().engine_version;
        eprintln!("MuJoCo {version}: mass {mass} kg, lift {lift} N, motor {motor} N·m");
        assert!((mass - 37.1755).abs() < 1e-3, "{version}: {mass}");
        assert!(
            (lift / (9.81 * mass) - 1.0).abs() < 1e-3,
            "{version}: {lift}"
        );
        assert!(
            (motor - 0.5 * 30.0 * 0.4).abs() < 1e-6,
            "{version}: {motor}"
        );
        for id in ["ant-v5", "humanoid-v4"] {
            let rules = || MjcfRules {
                healthy: None,
                ..MjcfRules::of(id).unwrap()
            };
            let make = || MjcfEnv::new(&file, Some(&path), rules()).unwrap();
            tiltrl_envs::conformity::check(&|| Box::new(make())).unwrap();
        }
    }
}

/// The file of a model in that Python's gymnasium, and the release of its MuJoCo.
fn gymnasiums(python: &Path, model: &str) -> Option<(PathBuf, String)> {
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

/// Steps of that Python's gymnasium from its own resets, recorded as the golden traces are.
fn record(python: &Path, gymnasiums_id: &str, count: usize) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let code = format!(
        "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import record; record.record('{gymnasiums_id}', {count}, pathlib.Path(sys.argv[2]))"
    );
    let status = Command::new(python)
        .args(["-B", "-c", &code])
        .args([&golden(""), folder.path()])
        .status()
        .unwrap();
    assert!(status.success(), "{gymnasiums_id} was not recorded");
    let file = format!("{}.bin", gymnasiums_id.to_lowercase());
    read(&folder.path().join(file), Layout::Golden)
}

/// Largest difference of an observation and of a reward between Gymnasium's own environment and ours, which goes freely from
/// the first state of each of its episodes; both must say the same of termination.
fn differ(id: &str, library: &Path, file: &Path, records: &[Record]) -> (f64, f64) {
    let options = EnvOptions {
        engine: Engine::Mujoco(Some(library.into())),
        model: Some(file.into()),
        margin: None,
    };
    let width = records[0].next_observation.len();
    assert_eq!(
        make_with(id, &options).unwrap().spec().observation_dim,
        width
    );
    let mut ours = MjcfEnv::new(file, Some(library), MjcfRules::of(id).unwrap()).unwrap();
    let mut seen = vec![0.0; width];
    let (mut worst, mut worst_reward) = (0.0_f64, 0.0_f64);
    for record in records {
        if record.fresh {
            ours.set_state(&record.position, &record.velocity);
        }
        let step = ours.step(&record.action, &mut vec![0.0; width]);
        ours.observe(&mut seen);
        for (x, y) in seen.iter().zip(&record.next_observation) {
            worst = worst.max((x - y).abs());
        }
        worst_reward = worst_reward.max((step.reward - record.reward).abs());
        assert_eq!(step.terminated, record.terminated, "{id}");
    }
    (worst, worst_reward)
}

#[test]
fn gymnasiums_ants_and_humanoids_move_and_earn_as_gymnasium_says() {
    let Some(python) = python() else { return };
    for (id, gymnasiums_id) in [
        ("ant-v4", "Ant-v4"),
        ("ant-v5", "Ant-v5"),
        ("humanoid-v4", "Humanoid-v4"),
        ("humanoid-v5", "Humanoid-v5"),
    ] {
        let name = id.split('-').next().unwrap();
        let Some((file, version)) = gymnasiums(&python, name) else {
            return;
        };
        let same = libraries()
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(&version));
        let Some(library) = same else {
            eprintln!("SKIPPED: no libmujoco.so.{version} among MUJOCO_LIBRARIES");
            return;
        };
        let records = record(&python, gymnasiums_id, 300);
        let episodes = records.iter().filter(|record| record.fresh).count();
        let (observation, reward) = differ(id, &library, &file, &records);
        eprintln!("{id}: {episodes} episodes, observation {observation:e}, reward {reward:e}");
        assert_eq!(observation, 0.0, "{id}");
        // Sums in another order.
        assert!(reward < 1e-12, "{id}: {reward:e}");
    }
}
