//! Actors of Stable-Baselines3 and d3rlpy: they act as those packages do, and the commands take them.
//!
//! tests/fixtures/actors was written by the packages themselves. `STABLE_BASELINES3_PYTHON` names a Python with both: then new files
//! are written by the snippets of docs/actors.md and compared too; without it that is skipped aloud.

use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::ArrayView2;
use serde_json::Value;
use tiltrl::actor::{Actor, ImportedActor};
use tiltrl::envs::{EnvSpec, spec_of};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).expect("rows of numbers")
}

/// An action of Gymnasium's space as share of its bounds: ±2 for Pendulum, ±1 for Hopper.
fn to_unit(action: &[f64], spec: &EnvSpec) -> Vec<f64> {
    let bound = if spec.id == "pendulum-v1" { 2.0 } else { 1.0 };
    let share = |a: &f64| (a / bound).clamp(-1.0, 1.0);
    action.iter().map(share).collect()
}

/// Compares every case of a folder, and returns the largest difference of an action, deterministic or drawn.
fn largest_difference(folder: &Path) -> f64 {
    let text = std::fs::read_to_string(folder.join("actors.json")).expect("written");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let cases = all["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 6);
    let (mut largest, mut spread) = (0f64, 0f64);
    for case in cases {
        let file = case["file"].as_str().expect("a name");
        let spec = spec_of(case["env"].as_str().expect("an id")).expect("known");
        let actor = ImportedActor::read(&folder.join(file), &spec)
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let drawn = case
            .get("drawn")
            .map(|drawn| (rows(&case["noise"]), rows(drawn)));
        assert_eq!(actor.is_gaussian(), drawn.is_some(), "{file}");
        for (at, observation) in rows(&case["observations"]).iter().enumerate() {
            let observation: Vec<f32> = observation.iter().map(|&x| x as f32).collect();
            let mut action = vec![f32::NAN; spec.action_dim];
            let mut compare = |action: &[f32], wanted: &[f64]| {
                for (found, wanted) in action.iter().zip(to_unit(wanted, &spec)) {
                    let difference = (f64::from(*found) - wanted).abs();
                    assert!(
                        difference < 1e-5,
                        "{file}, row {at}: {found} is not {wanted}"
                    );
                    largest = largest.max(difference);
                    spread = spread.max(wanted.abs());
                }
            };
            actor.act(&observation, None, &mut action);
            compare(&action, &rows(&case["actions"])[at]);
            if let Some((noise, drawn)) = &drawn {
                let mut noise = noise[at].iter();
                let mut draw = || *noise.next().expect("one per entry");
                actor.act(&observation, Some(&mut draw), &mut action);
                compare(&action, &drawn[at]);
            }
        }
    }
    assert!(spread > 0.5, "actions are of some size");
    largest
}

#[test]
fn files_of_the_real_packages_act_as_they_do() {
    let largest = largest_difference(&fixtures().join("actors"));
    eprintln!("committed actors: largest difference {largest:e}");
    let Some(python) = std::env::var_os("STABLE_BASELINES3_PYTHON") else {
        eprintln!(
            "SKIPPED: set STABLE_BASELINES3_PYTHON to a Python with stable-baselines3 and d3rlpy"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = Command::new(python)
        .arg(fixtures().join("make_actors.py"))
        .arg(folder.path())
        .arg("20240531")
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let largest = largest_difference(folder.path());
    eprintln!("actors written now: largest difference {largest:e}");
}

fn tiltrl(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn returns(folder: &Path, file: &str, more: &[&str]) -> Vec<f64> {
    let json = folder.join("returns.json");
    let _ = std::fs::remove_file(&json);
    let first = [
        "evaluate",
        "--env",
        "pendulum-v1",
        "--actor",
        file,
        "--json",
        "returns.json",
    ];
    let (done, _, error) = tiltrl(folder, &[&first, more].concat());
    assert!(done, "{error}");
    let value: Value =
        serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON");
    serde_json::from_value(value["returns"].clone()).expect("numbers")
}

#[test]
fn commands_evaluate_and_collect_with_actors_of_others() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path();
    for name in ["sb3_sac.safetensors", "d3rlpy_td3plusbc.npz", "sb3_td3.npz"] {
        std::fs::copy(fixtures().join("actors").join(name), folder.join(name)).expect("copied");
    }
    std::fs::copy(fixtures().join("actor.bin"), folder.join("actor.bin")).expect("copied");
    let sac = "sb3_sac.safetensors";
    // An episode depends on (seed, index) alone: neither on the threads nor on the others.
    let mean = returns(folder, sac, &["--episodes", "5"]);
    assert_eq!(
        mean,
        returns(folder, sac, &["--episodes", "5", "--threads", "1"])
    );
    let drawn = returns(folder, sac, &["--episodes", "5", "--stochastic"]);
    assert_ne!(mean, drawn);
    assert_eq!(
        drawn[..2],
        returns(folder, sac, &["--episodes", "2", "--stochastic"])[..]
    );
    assert_ne!(
        drawn,
        returns(
            folder,
            sac,
            &["--episodes", "5", "--stochastic", "--seed", "2"]
        )
    );
    // By the mean unless told otherwise, in both commands; the returns are the same.
    let collected = |more: &[&str], out: &str| {
        let first = [
            "collect",
            "--env",
            "pendulum-v1",
            "--episodes",
            "5",
            "--out",
            out,
            "--policy",
        ];
        tiltrl(folder, &[&first, more].concat())
    };
    let (done, said, error) = collected(&[sac], "mean.hdf5");
    assert!(done, "{error}");
    let average = mean.iter().sum::<f64>() / 5.0;
    assert!(
        said.contains(&format!("mean return {average:.1}")),
        "{said} {average}"
    );
    let (done, said, _) = collected(&[sac, "--stochastic"], "drawn.hdf5");
    let average = drawn.iter().sum::<f64>() / 5.0;
    assert!(
        done && said.contains(&format!("mean return {average:.1}")),
        "{said} {average}"
    );
    // What was assumed is said, unless nothing is to be said.
    let d3rlpy = "d3rlpy_td3plusbc.npz";
    let (done, _, error) = collected(&[d3rlpy], "d3rlpy.hdf5");
    assert!(
        done && error.contains("so assumed: activation relu, squash tanh, actions within −1 … 1"),
        "{error}"
    );
    let (done, _, error) = collected(&[d3rlpy, "--quiet"], "quiet.hdf5");
    assert!(done && error.is_empty(), "{error}");
    let (done, _, error) = collected(&[d3rlpy, "--stochastic"], "none.hdf5");
    assert!(!done && error.contains("deterministic actor"), "{error}");
    let (done, _, error) = collected(&["uniform", "--stochastic"], "none.hdf5");
    assert!(!done && error.contains("--stochastic"), "{error}");
    let (done, _, error) = collected(&["sb3_td3.npz"], "none.hdf5");
    assert!(
        !done && error.contains("actor.mu.0.weight") && error.contains("[any, 3]"),
        "{error}"
    );
    let (done, _, error) = collected(&["actor.bin"], "none.hdf5");
    assert!(
        !done && error.contains("expected an actor for pendulum-v1 (3 → 1), found 5 → 3"),
        "{error}"
    );
    // Critics beside the actor are counted.
    let env = [
        "evaluate",
        "--env",
        "hopper-v4",
        "--episodes",
        "1",
        "--actor",
        "sb3_td3.npz",
    ];
    let (done, _, error) = tiltrl(folder, &env);
    assert!(
        done && error.contains("left out 30 arrays of critics"),
        "{error}"
    );
}

#[test]
fn a_policy_of_an_actor_gives_each_row_its_own_noise() {
    use tiltrl::actor::ActorPolicy;
    use tiltrl::policies::agent::Policy;
    use tiltrl::rollout::episode_noise;

    let pendulum = spec_of("pendulum-v1").expect("known");
    let path = fixtures().join("actors/sb3_sac.safetensors");
    let actor = Actor::read(&path, &pendulum).expect("good");
    let policy = ActorPolicy { actor, drawn: true };
    let observations = [0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    let all = ArrayView2::from_shape((3, 3), &observations).expect("rows");
    let together = policy.act(all, &mut episode_noise(5, &[0, 1, 2]));
    for row in 0..3 {
        let one =
            ArrayView2::from_shape((1, 3), &observations[3 * row..3 * row + 3]).expect("a row");
        let alone = policy.act(one, &mut episode_noise(5, &[row as u64]));
        assert_eq!(alone[[0, 0]], together[[row, 0]]);
    }
}
