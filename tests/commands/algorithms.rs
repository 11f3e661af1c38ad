//! Baselines by `--algorithm`: the same commands, folders and promises as a posterior's run.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|part| String::from_utf8_lossy(part).into_owned())
        .concat()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Words of a small run of an algorithm on data of its own.
fn small<'a>(algorithm: &'a str, updates: &'a str, threads: &'a str) -> Vec<&'a str> {
    let mut words = vec![
        "--threads",
        threads,
        "run",
        "--preset",
        "quickstart",
        "--out",
        "run",
    ];
    words.extend(["--algorithm", algorithm]);
    for entry in [
        updates,
        "prior.updates=100",
        "prior.held_out=0.05",
        "critic.updates=100",
        "evaluation.episodes=4",
        "evaluation.episodes_in_training=3",
        "evaluation.evaluations_in_training=4",
    ] {
        words.extend(["--set", entry]);
    }
    words
}

/// Trains, killed again and again until a run gets through.
fn killed(folder: &Path, words: &[&str]) -> u32 {
    let mut patience = std::time::Duration::from_millis(400);
    for kills in 0..40 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
            .current_dir(folder)
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(patience);
        if child.try_wait().expect("waitable").is_some() {
            return kills;
        }
        child.kill().expect("killable");
        child.wait().expect("waitable");
        patience = patience * 5 / 4;
    }
    panic!("the run never finished");
}

const COMPARED: [&str; 6] = [
    "log/policy.json",
    "log/results.json",
    "policy.csv",
    "eval.csv",
    "final.csv",
    "checkpoints/policy.safetensors",
];

#[test]
fn threads_and_kills_change_no_byte_of_a_baseline() {
    for (algorithm, updates) in [
        ("td3bc", "baseline.td3bc.updates=240"),
        ("iql", "baseline.iql.updates=240"),
    ] {
        let [one, two, broken] = [(); 3].map(|()| tempfile::tempdir().expect("temporary folder"));
        let output = tiltrl(one.path(), &small(algorithm, updates, "1"));
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains(algorithm), "{}", text(&output));
        let output = tiltrl(two.path(), &small(algorithm, updates, "2"));
        assert!(output.status.success(), "{}", text(&output));
        let kills = killed(broken.path(), &small(algorithm, updates, "2"));
        for name in COMPARED {
            let name = format!("run/seed-1/{name}");
            let whole = read(one.path(), &name);
            assert!(whole == read(two.path(), &name), "{name}: threads");
            assert!(whole == read(broken.path(), &name), "{name}: {kills} kills");
        }
        for name in ["returns.svg", "final.svg", "training.svg", "summary.json"] {
            assert!(one.path().join("run").join(name).exists(), "{name}");
        }
        assert!(!one.path().join("run/seed-1/certificate.json").exists());
        the_other_commands_take_it(one.path(), algorithm);
    }
}

fn the_other_commands_take_it(folder: &Path, algorithm: &str) {
    let output = tiltrl(folder, &["evaluate", "run"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(algorithm));
    let json = [
        "evaluate",
        "run",
        "--episodes",
        "4",
        "--json",
        "played.json",
    ];
    let output = tiltrl(folder, &json);
    assert!(output.status.success(), "{}", text(&output));
    let played: serde_json::Value =
        serde_json::from_slice(&read(folder, "played.json")).expect("JSON");
    let summary: serde_json::Value =
        serde_json::from_slice(&read(folder, "run/summary.json")).expect("JSON");
    let of =
        |value: &serde_json::Value, index: usize| value["lines"][index]["returns"]["mean"].clone();
    assert_eq!(played["lines"][0]["policy"], algorithm);
    // The run's own episodes again; its file holds twelve digits.
    let [again, stored] = [of(&played, 0), of(&summary, 1)].map(|v| v.as_f64().expect("a number"));
    assert!(
        (again - stored).abs() < 1e-9 * stored.abs(),
        "{again} {stored}"
    );
    assert_eq!(summary["algorithm"], algorithm);
    for (words, code, expected) in [
        (vec!["report", "run"], 0, "report.html"),
        (vec!["compare", "run", "run"], 0, algorithm),
        (vec!["plot", "run"], 0, "returns.svg"),
        (vec!["certify", "run"], 2, "nothing to certify"),
        (
            vec!["evaluate", "run", "--policy", "posterior"],
            2,
            algorithm,
        ),
        (
            vec!["export", "run", "--format", "onnx", "--policy", algorithm],
            2,
            "baseline",
        ),
    ] {
        let output = tiltrl(folder, &words);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(expected),
            "{words:?}: {}",
            text(&output)
        );
    }
    let collected = ["collect", "--env", "pendulum-v1", "--policy", "run/seed-1"];
    let output = tiltrl(
        folder,
        &[&collected[..], &["--episodes", "2", "--out", "own.hdf5"]].concat(),
    );
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_baseline_grows_and_another_is_refused_in_its_folder() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = |words: &[&str]| tiltrl(folder.path(), words);
    let output = run(&small("rebrac", "baseline.rebrac.updates=20", "2"));
    assert!(output.status.success(), "{}", text(&output));
    let output = run(&small("rebrac", "baseline.rebrac.updates=30", "2"));
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("20 → 30"), "{}", text(&output));
    let csv = String::from_utf8(read(folder.path(), "run/seed-1/final.csv")).expect("text");
    assert!(
        csv.lines()
            .skip(1)
            .all(|line| line.starts_with("30,final,rebrac,")),
        "{csv}"
    );
    let output = run(&small("bc", "baseline.bc.updates=30", "2"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("algorithm"), "{}", text(&output));
    let mut prior = small("bc", "baseline.bc.updates=30", "2");
    prior[2] = "train-prior";
    let output = run(&prior);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("has no prior"), "{}", text(&output));
}

#[test]
fn idql_trains_prior_and_critic_and_acts_by_the_best_of_several() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let words = small("idql", "baseline.idql.samples=8", "2");
    let output = tiltrl(folder.path(), &words);
    assert!(output.status.success(), "{}", text(&output));
    let seed = folder.path().join("run/seed-1");
    let csv = String::from_utf8(read(&seed, "final.csv")).expect("text");
    assert!(
        csv.contains("final,prior,0,") && csv.contains("final,idql,3,"),
        "{csv}"
    );
    let csv = String::from_utf8(read(&seed, "prior.csv")).expect("text");
    assert!(csv.starts_with("update,loss,held_out_loss\n"), "{csv}");
    let numbers: Vec<Vec<f64>> = csv
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|n| n.parse().unwrap_or(f64::NAN))
                .collect()
        })
        .collect();
    assert!(numbers.iter().flatten().all(|n| n.is_finite()), "{csv}");
    for words in [
        &["report", "run"][..],
        &[
            "evaluate",
            "run",
            "--policy",
            "idql,prior,best-of-2",
            "--episodes",
            "2",
        ],
        &["export", "run", "--format", "onnx", "--policy", "idql"],
    ] {
        let output = tiltrl(folder.path(), words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
    }
    assert!(
        tiltrl(folder.path(), &words).status.success(),
        "finished runs repeat"
    );
}

#[test]
fn a_benchmark_puts_algorithms_into_one_table() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut words = vec![
        "benchmark",
        "--presets",
        "quickstart",
        "--seeds",
        "1",
        "--out",
        "all",
    ];
    words.extend(["--algorithm", "bc,diffusion-ql", "--threads", "2"]);
    for entry in [
        "baseline.bc.updates=20",
        "baseline.diffusion-ql.updates=8",
        "baseline.diffusion-ql.samples=4",
        "evaluation.episodes=3",
        "evaluation.episodes_in_training=2",
        "evaluation.evaluations_in_training=2",
    ] {
        words.extend(["--set", entry]);
    }
    let output = tiltrl(folder.path(), &words);
    assert!(output.status.success(), "{}", text(&output));
    let table = String::from_utf8(read(folder.path(), "all/benchmark.md")).expect("text");
    for words in [
        "| run | data | bc | diffusion-ql |",
        "| quickstart, bc |",
        "| quickstart, diffusion-ql |",
    ] {
        assert!(table.contains(words), "{table}");
    }
    assert!(folder.path().join("all/benchmark.svg").exists());
    assert!(
        folder
            .path()
            .join("all/quickstart-bc/seed-1/policy.csv")
            .exists()
    );
}
