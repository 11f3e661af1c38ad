//! The commands around environments: list, page, check, evaluation and film; engines and refusals.

use std::path::Path;
use std::process::{Command, Output};

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Standard output of a command that must succeed.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = tiltrl(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Exit code and standard error of a command that must fail.
fn refused(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = tiltrl(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), errors)
}

#[test]
fn the_list_the_page_and_the_check_say_what_they_should() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let list = done(folder.path(), &["envs", "--json", "envs.json"]);
    assert!(
        list.contains("hopper-v5") && list.contains("-20.3, 3234.3"),
        "{list}"
    );
    assert!(
        list.contains("ant-v5") && list.contains("gymnasium:PYTHON"),
        "{list}"
    );
    let json = std::fs::read_to_string(folder.path().join("envs.json")).expect("written");
    assert!(json.contains("\"termination\""));
    let page = done(folder.path(), &["envs", "show", "hopper-v4"]);
    assert!(
        page.contains("| 0 | torque of thigh_joint | −200 | 200 | N·m |"),
        "{page}"
    );
    let sum = done(
        folder.path(),
        &["envs", "show", "hopper-v4", "--margin", "sum"],
    );
    assert!(sum.contains("sum (MuJoCo from 3.6.0)"), "{sum}");
    let check = done(folder.path(), &["envs", "check", "reacher-v5"]);
    assert!(check.contains("keeps its promises"), "{check}");
    let single = done(
        folder.path(),
        &["envs", "check", "hopper-v4", "--engine", "embedded-f32"],
    );
    assert!(single.contains("tiltrl-planar-f32"), "{single}");
    done(folder.path(), &["envs", "docs", "pages"]);
    assert!(folder.path().join("pages/hopper-v4.md").exists());
}

#[test]
fn an_evaluation_films_the_same_bytes_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let arguments = |video: &'static str| {
        let fixed = [
            "evaluate",
            "--env",
            "invertedpendulum-v4",
            "--scripted",
            "--episodes",
            "2",
        ];
        [
            &fixed[..],
            &["--frames", "10", "--size", "80", "--video", video],
        ]
        .concat()
    };
    let said = done(folder.path(), &arguments("a.gif"));
    assert!(said.contains("mean return 1000.0"), "{said}");
    done(folder.path(), &arguments("b.gif"));
    let [a, b] =
        ["a.gif", "b.gif"].map(|name| std::fs::read(folder.path().join(name)).expect("written"));
    assert_eq!(&a[..6], b"GIF89a");
    assert!(a == b, "the same episode gives the same bytes");
    let (code, errors) = refused(folder.path(), &arguments("a.gif"));
    assert!(code == 1 && errors.contains("exists already"), "{errors}");
}

#[test]
fn wrong_engines_rules_and_policies_are_refused_in_words() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let evaluate = [
        "evaluate",
        "--env",
        "hopper-v4",
        "--random",
        "--episodes",
        "1",
    ];
    for (more, code, word) in [
        (&["--engine", "bullet"][..], 2, "embedded-f32"),
        (&["--margin", "most"], 2, "max, sum"),
        (
            &["--engine", "mujoco:/nowhere/libmujoco.so"],
            1,
            "pip install",
        ),
        (
            &["--engine", "gymnasium:/nowhere/python"],
            1,
            "/nowhere/python",
        ),
        (&["--mjcf", "robot.xml"], 1, "ant-v4"),
        (&["--scripted"], 2, "--random"),
    ] {
        let (found, errors) = refused(folder.path(), &[&evaluate[..], more].concat());
        assert!(
            found == code && errors.contains(word),
            "{more:?}: {found} {errors}"
        );
    }
    let (code, errors) = refused(
        folder.path(),
        &["evaluate", "--env", "hopper-v4", "--scripted"],
    );
    assert!(
        code == 2 && errors.contains("no controller was written"),
        "{errors}"
    );
    let (code, errors) = refused(folder.path(), &["evaluate"]);
    assert!(code == 2 && errors.contains("--actor FILE"), "{errors}");
    let run = [
        "run",
        "--preset",
        "hopper-medium",
        "--engine",
        "embedded",
        "--set",
        "evaluation.margin=most",
    ];
    let (code, errors) = refused(folder.path(), &run);
    assert!(
        code == 2 && errors.contains("evaluation.margin"),
        "{errors}"
    );
}

#[test]
fn scripted_data_names_its_engine() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let collect = [
        "collect",
        "--env",
        "reacher-v4",
        "--policy",
        "scripted",
        "--randomness",
        "0.1",
    ];
    let said = done(
        folder.path(),
        &[&collect[..], &["--episodes", "3", "--out", "a.hdf5"]].concat(),
    );
    assert!(said.contains("3 episodes"), "{said}");
    let data = done(folder.path(), &["data", "a.hdf5"]);
    assert!(
        data.contains("150"),
        "three episodes of fifty steps: {data}"
    );
}

/// A ball with an arm, for the rules of Ant.
const ROBOT: &str = r#"<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.4">
      <freejoint/>
      <geom type="sphere" size="0.3"/>
      <body pos="0.3 0 0">
        <joint name="arm" axis="0 1 0" damping="5"/>
        <geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.05"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="arm" gear="30" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>"#;

/// The first MuJoCo of `MUJOCO_LIBRARIES`, as an engine; none is said aloud.
fn mujoco() -> Option<String> {
    let list = std::env::var("MUJOCO_LIBRARIES").unwrap_or_default();
    let first = list.split(':').find(|path| !path.is_empty());
    if first.is_none() {
        eprintln!("SKIPPED: set MUJOCO_LIBRARIES to the paths of libmujoco, separated by colons");
    }
    first.map(|path| format!("mujoco:{path}"))
}

#[test]
fn a_model_of_ones_own_goes_from_data_to_posterior() {
    let Some(engine) = mujoco() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    std::fs::write(inside.join("robot.xml"), ROBOT).expect("writable");
    let model = ["--mjcf", "robot.xml", "--engine", &engine];
    let collect = [
        "collect",
        "--env",
        "ant-v5",
        "--episodes",
        "2",
        "--out",
        "robot.hdf5",
    ];
    done(inside, &[&collect[..], &model].concat());
    let mut run = vec![
        "run",
        "--preset",
        "hopper-medium",
        "--data",
        "robot.hdf5",
        "--out",
        "run",
    ];
    for small in [
        "env=ant-v5",
        "prior.updates=60",
        "critic.updates=60",
        "finetune.updates=10",
        "evaluation.episodes=2",
        "evaluation.episodes_in_training=2",
        "evaluation.evaluations_in_training=1",
        "evaluation.best_of=[]",
    ] {
        run.extend(["--set", small]);
    }
    let (_, errors) = refused(inside, &run);
    assert!(errors.contains("--mjcf FILE"), "{errors}");
    done(inside, &[&run[..], &model].concat());
    let config = std::fs::read_to_string(inside.join("run/seed-1/run.toml")).expect("written");
    let entry = format!("mjcf = \"{}\"", inside.join("robot.xml").display());
    assert!(config.contains(&entry), "{config}");
    // The run knows its model, from whatever folder it is evaluated.
    let elsewhere = tempfile::tempdir().expect("temporary folder");
    let path = inside.join("run").display().to_string();
    let said = done(
        elsewhere.path(),
        &[
            "evaluate",
            &path,
            "--policy",
            "posterior",
            "--episodes",
            "2",
        ],
    );
    assert!(said.contains("ant-v5 on mujoco"), "{said}");
}

#[test]
fn steps_a_second_are_measured_and_a_card_that_is_not_there_is_no_wrong_usage() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let bench = ["envs", "bench", "hopper-v4", "--count", "8", "--seconds"];
    let said = done(folder.path(), &[&bench[..], &["0.05"]].concat());
    assert!(
        said.contains("environment steps/s, 8 side by side on the processor"),
        "{said}"
    );
    let (code, errors) = refused(folder.path(), &[&bench[..], &["0"]].concat());
    assert!(code == 2 && errors.contains("--seconds"), "{errors}");
    if cfg!(feature = "cuda") {
        return; // tests/card has the rest
    }
    for arguments in [
        &["evaluate", "runs/x", "--episodes", "100000"][..],
        &["run", "--preset", "hopper-medium"],
        &["collect", "--env", "hopper-v4", "--out", "x.hdf5"],
        &[&bench[..], &["1"]].concat(),
    ] {
        let all = [arguments, &["--device", "cuda:0"]].concat();
        let (code, errors) = refused(folder.path(), &all);
        assert_eq!(code, 1, "{errors}");
        assert!(
            errors.contains("cargo build --release --features cuda")
                && errors.contains("install NVIDIA's driver"),
            "{errors}"
        );
    }
}
