//! A posterior for a range of temperatures, through every command: trained, killed, turned, certified, exported, refused.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::critics::{said, tiltrl};

/// Seconds on one core; data of its own.
const SMALL: [&str; 10] = [
    "prior.updates=200",
    "prior.hidden=[32]",
    "critic.updates=300",
    "critic.hidden=[16]",
    "finetune.updates=200",
    "finetune.dial=[0.5,4.0]",
    "evaluation.episodes=6",
    "evaluation.episodes_in_training=4",
    "evaluation.evaluations_in_training=8",
    "evaluation.best_of=[2]",
];

fn quickstart<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["quickstart", "--out", out];
    for entry in SMALL.iter().chain(more) {
        arguments.extend(["--set", entry]);
    }
    arguments
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = tiltrl(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn refused(folder: &Path, arguments: &[&str], words: &str) {
    let output = tiltrl(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    let text = said(&output);
    assert!(text.contains(words), "{arguments:?}: {text}");
}

fn json(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(name)).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

/// The price of the middle, of which the range is half to four times.
fn middle(folder: &Path) -> f64 {
    json(folder, "run/seed-1/certificate.json")["price"]
        .as_f64()
        .expect("a price")
}

#[test]
fn a_posterior_with_a_dial_goes_through_every_command() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path();
    done(folder, &quickstart("run", &[]));
    a_killed_run_changes_no_byte(folder);
    episodes_follow_the_temperature(folder);
    certificates_follow_the_temperature(folder);
    files_follow_the_temperature(folder);
    the_curve_is_drawn(folder);
    a_run_without_a_dial_is_refused(folder);
}

fn a_killed_run_changes_no_byte(folder: &Path) {
    let mut patience = Duration::from_millis(150);
    for kills in 0.. {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tiltrl"))
            .current_dir(folder)
            .args(quickstart("killed", &[]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(patience);
        if child.try_wait().expect("waitable").is_some() {
            break;
        }
        child.kill().expect("killable");
        child.wait().expect("waitable");
        patience = patience * 5 / 4;
        assert!(kills < 40, "the run never finished");
    }
    for name in [
        "log/results.json",
        "log/finetune.json",
        "certificate.json",
        "checkpoints/posterior.safetensors",
        "checkpoints/posterior-best.safetensors",
    ] {
        let read = |run: &str| std::fs::read(folder.join(run).join("seed-1").join(name));
        let [one, two] = ["run", "killed"].map(|run| read(run).expect("written"));
        assert!(one == two, "{name} differs after kills");
    }
}

fn episodes_follow_the_temperature(folder: &Path) {
    let middle = middle(folder);
    let mean = |file: &str| json(folder, file)["lines"][0]["returns"]["mean"].as_f64();
    let play = |price: f64, file: &str| {
        let price = price.to_string();
        let own = ["evaluate", "run", "--alpha", &price, "--json", file];
        done(folder, &own)
    };
    let text = play(middle, "middle.json");
    for words in [
        "reward per nat",
        "in the critic's units",
        "1.000 of the middle",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    play(0.5 * middle, "low.json");
    play(4.0 * middle, "high.json");
    done(
        folder,
        &[
            "evaluate",
            "run",
            "--policy",
            "posterior",
            "--json",
            "own.json",
        ],
    );
    assert_eq!(
        mean("own.json"),
        mean("middle.json"),
        "a run acts by the middle"
    );
    assert_ne!(mean("low.json"), mean("middle.json"));
    assert_ne!(mean("high.json"), mean("middle.json"));
    let price = (2.0 * middle).to_string();
    let names = "prior,posterior,posterior-best,posterior-mean,posterior-best-of-2,tail-2,best-of-2,resample-2,smc-2,guidance";
    let all = [
        "evaluate",
        "run",
        "--policy",
        names,
        "--episodes",
        "1",
        "--alpha",
    ];
    let text = done(folder, &[&all[..], &[&price]].concat());
    assert!(text.contains("tail-2"), "{text}");
    // Without --alpha a baseline shares the middle's α; with another it would be of another target.
    let own = [
        "evaluate",
        "run",
        "--policy",
        "weighted-denoising",
        "--episodes",
        "1",
    ];
    done(folder, &own);
    refused(
        folder,
        &[&own[..], &["--alpha", &price]].concat(),
        "for the α of the run alone",
    );
    for outside in [0.4 * middle, 4.2 * middle] {
        let outside = outside.to_string();
        let range = format!("expected {:.4} to {:.4}", 0.5 * middle, 4.0 * middle);
        for command in ["evaluate", "certify"] {
            refused(folder, &[command, "run", "--alpha", &outside], &range);
        }
    }
}

fn certificates_follow_the_temperature(folder: &Path) {
    let middle = middle(folder);
    let certify = |price: f64, file: &str| {
        let price = price.to_string();
        let text = done(
            folder,
            &["certify", "run", "--alpha", &price, "--json", file],
        );
        assert!(text.contains("reward per nat"), "{text}");
        json(folder, file)
    };
    done(folder, &["certify", "run", "--json", "stored.json"]);
    let (stored, same) = (json(folder, "stored.json"), certify(middle, "same.json"));
    let close = |a: &Value, b: &Value| {
        let pair = (a["ess"].as_f64(), b["ess"].as_f64());
        (pair.0.unwrap_or(0.0) - pair.1.unwrap_or(1.0)).abs() < 1e-4
    };
    assert!(
        close(&stored["verdict"], &same["verdict"]),
        "{stored} {same}"
    );
    let high = certify(4.0 * middle, "gentle.json");
    let kl = |value: &Value| value["quantiles"]["path_kl"][1].as_f64().expect("measured");
    assert!(kl(&high) < 0.9 * kl(&same), "{} {}", kl(&high), kl(&same));
}

fn files_follow_the_temperature(folder: &Path) {
    let price = (0.5 * middle(folder)).to_string();
    let export = ["export", "run", "--format", "onnx", "--alpha", &price];
    done(
        folder,
        &[&export[..], &["--out", "low/policy.onnx"]].concat(),
    );
    done(
        folder,
        &[
            "export",
            "run",
            "--format",
            "onnx",
            "--out",
            "own/policy.onnx",
        ],
    );
    let read = |name: &str| std::fs::read(folder.join(name)).expect("written");
    assert!(read("low/policy.onnx") != read("own/policy.onnx"));
    let card = String::from_utf8(read("low/model-card.md")).expect("text");
    for words in [
        "| temperature |",
        "(0.500 of the middle)",
        "in the middle of the run's dial",
    ] {
        assert!(card.contains(words), "{words}: {card}");
    }
    let prior = [
        &export[..],
        &["--policy", "prior", "--out", "p/policy.onnx"],
    ]
    .concat();
    refused(folder, &prior, "does not follow the dial");
}

fn the_curve_is_drawn(folder: &Path) {
    let own = [
        "dial",
        "run",
        "--points",
        "3",
        "--episodes",
        "2",
        "--json",
        "curve.json",
    ];
    let text = done(folder, &own);
    assert!(
        text.contains("d log Z/dβ") && text.contains("path-KL"),
        "{text}"
    );
    for name in ["run/dial.svg", "run/dial.png", "run/dial.csv"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let curve = json(folder, "curve.json");
    let factors = curve["points"].as_array().expect("a list").iter();
    let factors: Vec<f64> = factors.filter_map(|p| p["factor"].as_f64()).collect();
    assert!((factors[0] - 0.5).abs() < 1e-9 && (factors[2] - 4.0).abs() < 1e-9);
    let errors = curve["relative_errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 5);
    for error in errors {
        assert!(error.as_f64() < Some(0.05), "{curve}");
    }
    refused(folder, &["dial", "run", "--points", "1"], "2..=99");
}

fn a_run_without_a_dial_is_refused(folder: &Path) {
    done(
        folder,
        &quickstart("plain", &["finetune.dial=[]", "finetune.updates=8"]),
    );
    for arguments in [
        &["evaluate", "plain", "--alpha", "1"][..],
        &["certify", "plain", "--alpha", "1"],
        &["export", "plain", "--format", "onnx", "--alpha", "1"],
        &["dial", "plain"],
    ] {
        refused(folder, arguments, "has no dial");
    }
    // Another range is another run.
    let output = tiltrl(folder, &quickstart("run", &["finetune.dial=[0.5,2.0]"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("finetune.dial: [0.5, 4.0] in the folder"));
}
