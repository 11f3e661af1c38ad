//! The program itself with `--device cuda:0`: without a driver, and with a stand-in for NVIDIA's library whose kernels are twins.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tiltrl::envs::Margin;
use tiltrl::envs::gpu::policy::KERNELS;
use tiltrl::envs::gpu::program::Program;
use tiltrl::envs::gpu::{Mode, devices};

use crate::twin;

/// A run of Pendulum that takes seconds.
const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [80, 48]
updates = 60
[critic]
hidden = [8]
updates = 20
[finetune]
updates = 10
states = 8
[evaluation]
episodes = 4
episodes_in_training = 2
evaluations_in_training = 2
best_of = [2]
"#;

/// A folder to work in, and the stand-in beside it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub library: Option<PathBuf>,
}

fn hash(text: &str) -> String {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}

impl Place {
    pub fn new(with_driver: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = with_driver.then(|| stand_in(folder.path()));
        std::fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        Self { folder, library }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiltrl"));
        command.current_dir(self.folder.path()).args(arguments);
        if let Some(library) = &self.library {
            command
                .env("LD_LIBRARY_PATH", library)
                .env("TILTRL_FAKE_CUDA", library);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Standard output, then what was said beside it, of a command that must succeed.
    pub fn done(&self, arguments: &[&str]) -> [String; 2] {
        let output = self.run(arguments);
        let [out, beside] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{arguments:?}: {beside}");
        [out, beside]
    }

    #[cfg(not(feature = "cuda-networks"))]
    fn json(&self, name: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// The library, and the twins under their programs' hashes.
fn stand_in(folder: &Path) -> PathBuf {
    let place = folder.join("driver");
    std::fs::create_dir_all(&place).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/card/libcuda.cpp");
    let built = Command::new("g++")
        .args(["-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-o"])
        .args([&place.join("libcuda.so.1"), &source])
        .arg("-ldl")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && said.is_empty(), "{said}");
    let put = |ptx: &str, twin: PathBuf| {
        std::fs::copy(twin, place.join(hash(ptx) + ".so")).unwrap();
    };
    put(KERNELS[0].ptx, twin::build_policy(&KERNELS[0]));
    for (id, mode) in [
        ("pendulum-v1", Mode::F64),
        ("hopper-v4", Mode::F64),
        ("hopper-v4", Mode::Fast),
        ("reacher-v4", Mode::F64),
    ] {
        let program = Program::of(id, Margin::Max).unwrap();
        put(program.ptx(mode).unwrap(), twin::build(&program, mode, &[]));
    }
    place
}

#[test]
fn without_a_card_every_command_says_what_to_install_and_exits_with_one() {
    if let Ok(found) = devices::list_here() {
        eprintln!("SKIPPED: this machine has {found:?}");
        return;
    }
    let place = Place::new(false);
    for arguments in [
        &[
            "evaluate",
            "--env",
            "hopper-v4",
            "--random",
            "--device",
            "cuda:0",
        ][..],
        &[
            "evaluate",
            "no-run",
            "--policy",
            "posterior",
            "--device",
            "cuda:0",
            "--episodes",
            "10",
        ],
        &["run", "--config", "tiny.toml", "--device", "cuda:0"],
        &[
            "collect",
            "--env",
            "hopper-v4",
            "--out",
            "x.hdf5",
            "--device",
            "cuda:0",
        ],
        &["envs", "bench", "hopper-v4", "--device", "cuda:0/fast"],
        &["tilt", "words", "--device", "cuda:0"],
        &["tilt", "arithmetic", "--device", "cuda:0"],
        &["tilt", "stories", "--data", ".", "--device", "cuda:0"],
        &["tilt", "digits", "--device", "cuda:0"],
        &["tilt", "captions", "--device", "cuda:0"],
        &["tilt", "subjectivity", "--data", ".", "--device", "cuda:0"],
    ] {
        let output = place.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(
            text.contains("--device cuda:0: ") && text.contains("hint: "),
            "{text}"
        );
    }
    let [list, _] = place.done(&["devices"]);
    let line = list.lines().find(|line| line.starts_with("cuda")).unwrap();
    assert!(
        line.contains("apt-get install") || line.contains("nvidia-smi"),
        "{line}"
    );
}

// Networks on cards want more of a driver than the stand-in is.
#[cfg(not(feature = "cuda-networks"))]
#[test]
fn a_run_is_evaluated_on_the_card_and_earns_what_it_earns_on_the_processor() {
    if !twin::compiler() || cfg!(not(target_os = "linux")) {
        return;
    }
    let place = Place::new(true);
    let [list, _] = place.done(&["devices"]);
    assert!(
        list.contains("cuda:0  Stand-in, compute capability 9.0"),
        "{list}"
    );
    let [_, said] = place.done(&[
        "run",
        "--config",
        "tiny.toml",
        "--out",
        "there",
        "--device",
        "cuda:0",
    ]);
    assert!(
        said.contains("networks are trained, and act, on the processor"),
        "{said}"
    );
    place.done(&["run", "--config", "tiny.toml", "--out", "here"]);
    // Physics in f64 has the processor's bytes: the same run came out, whoever computed the environments.
    let returns = |run: &str| place.json(&format!("{run}/seed-1/log/results.json"));
    assert_eq!(returns("there")["last"], returns("here")["last"]);

    let policies = "prior,posterior,best-of-2";
    let mut arguments = vec![
        "evaluate",
        "here",
        "--policy",
        policies,
        "--episodes",
        "25",
        "--json",
        "a.json",
    ];
    let [_, beside] = place.done(&arguments);
    assert!(!beside.contains("acts on the processor"), "{beside}");
    arguments[7] = "b.json";
    arguments.extend(["--device", "cuda:0"]);
    let [table, beside] = place.done(&arguments);
    assert!(table.contains("whole episodes on the card"), "{table}");
    assert!(
        beside.contains("best-of-2 acts on the processor"),
        "{beside}"
    );
    assert!(
        !beside.contains("posterior acts") && !beside.contains("prior acts"),
        "{beside}"
    );
    let (here, there) = (place.json("a.json"), place.json("b.json"));
    assert!(there["engine"].as_str().unwrap().ends_with(" on cuda:0"));
    for k in 0..3 {
        let mean = |j: &serde_json::Value| j["lines"][k]["returns"]["mean"].as_f64().unwrap();
        let (a, b) = (mean(&here), mean(&there));
        eprintln!("policy {k}: {a} on the processor, {b} on the card");
        assert!((a - b).abs() < 0.01 * a.abs(), "{a} {b}");
    }
}

// Networks on cards want more of a driver than the stand-in is.
#[cfg(not(feature = "cuda-networks"))]
#[test]
fn recordings_and_the_measurement_run_on_the_card() {
    if !twin::compiler() || cfg!(not(target_os = "linux")) {
        return;
    }
    let place = Place::new(true);
    let collect = |out: &str, device: &str| {
        let [said, _] = place.done(&[
            "collect",
            "--env",
            "hopper-v4",
            "--episodes",
            "6",
            "--out",
            out,
            "--device",
            device,
        ]);
        said.split_once(':').unwrap().1.to_string()
    };
    // Random actions: Hopper falls where it falls on the processor.
    assert_eq!(collect("a.hdf5", "cpu"), collect("b.hdf5", "cuda:0"));
    assert!(collect("c.hdf5", "cuda:0/fast").contains("6 episodes"));
    for id in ["hopper-v4", "reacher-v4"] {
        let bench = ["--count", "64", "--seconds", "0.1", "--device", "cuda:0"];
        let [said, _] = place.done(&[&["envs", "bench", id], &bench[..]].concat());
        let end = "steps/s, 64 side by side on cuda:0";
        assert!(said.contains(id) && said.contains(end), "{said}");
    }
    let output = place.run(&["envs", "bench", "hopper-v4", "--device", "cuda:7"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("no device cuda:7") && text.contains("Stand-in"),
        "{text}"
    );
}
