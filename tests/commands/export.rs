//! Policies that leave: the exported files act as the run does, and say what they are.
//!
//! `ONNXRUNTIME_PYTHON` names a Python with onnxruntime and numpy; without it the comparisons are skipped aloud.

use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::Array2;
use tiltrl::Agent;
use tiltrl::agent::PolicyName;
use tiltrl::commands::{RunRequest, run};
use tiltrl::config::Source;
use tiltrl::console::Console;
use tiltrl::envs::{EnvBatch, EnvOptions, Step};
use tiltrl::rollout::start_seed;
use tiltrl::run::{Results, RunDir};
use tiltrl::tilt::Noise;

const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [16, 16]
updates = 300
[critic]
hidden = [16, 16]
updates = 100
[finetune]
updates = 40
states = 16
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 2
best_of = [4]
"#;
const ROWS: usize = 1000;
const STEPS: usize = 10;

fn tiny(folder: &Path) -> PathBuf {
    let path = folder.join("tiny.toml");
    std::fs::write(&path, TINY).expect("writable");
    let request = RunRequest {
        source: Source::File(path),
        seeds: vec![1],
        out: folder.join("run"),
        console: Console::Quiet,
        ..RunRequest::default()
    };
    run(&request).expect("the whole pipeline");
    request.out
}

fn tiltrl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), said)
}

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("ONNXRUNTIME_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: set ONNXRUNTIME_PYTHON to a Python with onnxruntime and numpy");
    }
    python
}

fn floats(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, bytes).expect("writable");
}

#[test]
fn what_leaves_acts_as_the_run_does() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = tiny(folder.path());
    three_lines_play_the_runs_first_episode(&run);
    let python = python();
    for policy in ["prior", "posterior", "best-of-4"] {
        for format in ["onnx", "safetensors"] {
            let out = folder
                .path()
                .join(format!("{policy}-{format}/policy.{format}"));
            let (place, run) = (out.display().to_string(), run.display().to_string());
            let export = ["export", &run, "--format", format, "--policy", policy];
            let command = [&export[..], &["--out", &place]].concat();
            let (done, said) = tiltrl(&command);
            assert!(done, "{said}");
            let card = std::fs::read_to_string(out.with_file_name("model-card.md")).expect("it");
            for words in [
                "config_sha256",
                "certificate_of_the_posterior",
                "## Scores",
                "Trained by",
            ] {
                assert!(card.contains(words), "{words}: {card}");
            }
            let (again, said) = tiltrl(&command);
            assert!(!again && said.contains("exists already"), "{said}");
            if let Some(python) = &python {
                compare(python, Path::new(&run), &out, policy);
            }
        }
    }
    let place = run.display().to_string();
    let (done, said) = tiltrl(&["export", &place, "--format", "onnx", "--policy", "smc-4"]);
    assert!(!done && said.contains("steered"), "{said}");
}

fn three_lines_play_the_runs_first_episode(run: &Path) {
    let dir = RunDir::of_seed(run, 1);
    let results = Results::read(&dir).expect("finished");
    let wanted = results.last.iter().find(|e| e.policy == "posterior");
    let wanted = wanted.expect("played").episodes[0];
    let mut agent = Agent::load(run).expect("loads");
    let options = EnvOptions::default();
    let mut batch = EnvBatch::new("pendulum-v1", &options, 1).expect("known");
    let mut observation = [0.0f32; 3];
    batch.reset(&[0], &[start_seed(1, 0)], &mut observation);
    let mut total = 0.0;
    for _ in 0..wanted.length {
        let action = agent.act(&observation).expect("acts");
        let mut steps = [Step::default()];
        batch.step(&[0], &action, &mut observation, &mut steps);
        total += steps[0].reward;
    }
    let wanted = wanted.episode_return;
    assert!(
        (total - wanted).abs() < 1e-6 * wanted.abs(),
        "{total} {wanted}"
    );
    let error = agent.act(&[0.0]).expect_err("another width").to_string();
    assert!(error.contains("3 finite numbers"), "{error}");
}

/// Compares the file with what the run's own policy does on 1,000 observations and the same noise.
fn compare(python: &Path, run: &Path, file: &Path, policy: &str) {
    let agent = Agent::load(run).expect("loads");
    let name: PolicyName = policy.parse().expect("known");
    let candidates = if policy == "best-of-4" { 4 } else { 1 };
    let mut own = Noise::keyed(7, "observations", 0);
    let observations = own.normals(ROWS, 3);
    let indices: Vec<u64> = (0..ROWS as u64).collect();
    let streams = Noise::streams(3, "act", &indices);
    let noise = streams.clone().normals(ROWS, (STEPS + 1) * candidates);
    let rows = Array2::from_shape_vec((ROWS, 3), observations.clone()).expect("rows");
    let acting = agent.policy(name).expect("trained");
    let actions = acting.act(rows.view(), &mut streams.clone());
    let folder = file.parent().expect("a folder");
    floats(&folder.join("observations.f32"), &observations);
    floats(&folder.join("noise.f32"), &noise);
    floats(
        &folder.join("actions.f32"),
        &actions.into_iter().collect::<Vec<f32>>(),
    );
    let script = folder.join("compare.py");
    let page = include_str!("../../docs/export.md");
    let loader = page
        .split("```python\n")
        .nth(1)
        .and_then(|t| t.split("```").next());
    let text =
        loader.expect("a loader").to_string() + include_str!("../fixtures/compare_export.py");
    std::fs::write(&script, text).expect("writable");
    let output = Command::new(python)
        .arg(&script)
        .arg(file)
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{policy} {}: {said}{error}",
        file.display()
    );
    let largest: f64 = said.trim().parse().expect("a number");
    eprintln!(
        "{policy} {}: largest difference {largest:e}",
        file.display()
    );
    assert!(largest < 1e-5, "{policy} {}: {largest:e}", file.display());
}
