//! Critics by name: kinds that configurations choose, one that this test registers, and what of a trained critic may grow.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value, json};
use tiltrl::agent::Agent;
use tiltrl::commands::{RunRequest, run};
use tiltrl::config::{Source, preset_names};
use tiltrl::console::Console;
use tiltrl::data::ActionBounds;
use tiltrl::policies::Compute;
use tiltrl::policies::agent::{Critic, CriticKind, LearnerShape, Lesson};
use tiltrl::policies::agent::{Range, Setting};
use tiltrl::run::RunDir;
use tiltrl::tilt::TiltError;
use tiltrl::tilt::checkpoint::Checkpoint;

/// Seconds on one core; data of its own.
const TINY: &str = r#"
extends = "quickstart"
[prior]
hidden = [16]
updates = 400
[critic]
kind = "KIND"
[finetune]
updates = 300
states = 16
alpha_in_std = 0.2
learning_rate = 0.003
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 2
best_of = [2]
"#;

fn tiny(folder: &Path, kind: &str) -> PathBuf {
    let path = folder.join("tiny.toml");
    std::fs::write(&path, TINY.replace("KIND", kind)).expect("writable");
    path
}

pub fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn set(entries: &[&str]) -> Vec<String> {
    entries.iter().map(|e| (*e).to_string()).collect()
}

#[test]
fn every_preset_takes_another_critic_and_prints_its_keys() {
    for name in preset_names() {
        let source = Source::Preset(name.clone());
        for (kind, has) in [("advantage", true), ("soft", false), ("iql", false)] {
            let chosen = set(&[&format!("critic.kind={kind}")]);
            let config = source.config(&chosen).expect(&name);
            assert_eq!(config.critic.kind, kind);
            let text = source.commented(&chosen).expect(&name);
            assert_eq!(
                text.contains("\nadvantage_updates = "),
                has,
                "{name}: {text}"
            );
            assert_eq!(text.contains("\nnats = 1"), kind == "soft", "{name}");
            assert!(text.contains("\nexpectile = "), "{name}");
        }
    }
}

#[test]
fn an_unknown_kind_gets_the_nearest_name_and_a_key_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("mine.toml");
    let wrong = "extends = \"quickstart\"\n[critic]\nadvantage_updates = 5\n";
    std::fs::write(&path, wrong).expect("writable");
    let quick = Source::default();
    let cases = [
        (
            quick.config(&set(&["critic.kind=advantag"])),
            "did you mean `advantage`",
        ),
        (
            quick.config(&set(&["critic.kind=iqll"])),
            "did you mean `iql`",
        ),
        (
            quick.config(&set(&["critic.advantage_updates=5"])),
            "the critic `iql` has no such key",
        ),
        (
            quick.config(&set(&[
                "prior.likelihood_updates=5",
                "finetune.learned_variance=false",
            ])),
            "finetune.learned_variance: expected true",
        ),
        (
            quick.config(&set(&[
                "critic.kind=soft",
                "critic.samples=4",
                "critic.nats=1.0",
            ])),
            "critic.nats: expected at most log(critic.samples) − 0.5 = 0.886",
        ),
        (
            Source::File(path).config(&[]),
            "the critic `iql` has no such key",
        ),
    ];
    for (result, words) in cases {
        let error = result.expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let text = said(&tiltrl(folder.path(), &["critics"]));
    assert!(
        text.contains("iql ") && text.contains("advantage ") && text.contains("soft "),
        "{text}"
    );
}

/// A critic that prefers no action to any: −‖a‖².
struct Lazy;

impl Critic for Lazy {
    fn updates(&self) -> u64 {
        3
    }

    fn figures(&self) -> Vec<&'static str> {
        vec!["loss"]
    }

    fn update(&mut self, lesson: &Lesson<'_>, _update: u64) -> Result<Vec<f64>, TiltError> {
        assert!(
            !lesson.transitions.rewards.is_empty(),
            "it is shown the data"
        );
        Ok(vec![0.0])
    }

    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        let dim = actions.len() / (observations.len() / 3);
        let rows = actions.chunks_exact(dim);
        rows.map(|row| -row.iter().map(|a| f64::from(a * a)).sum::<f64>())
            .collect()
    }

    fn gradient(&self, _observations: &[f32], actions: &[f32]) -> Vec<f32> {
        actions.iter().map(|a| -2.0 * a).collect()
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        checkpoint.settings.insert("lazy".into(), json!(true));
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        if checkpoint.settings.contains_key("lazy") {
            return Ok(());
        }
        Err(TiltError::Model(format!("{}: not lazy", path.display())))
    }
}

fn lazy() -> CriticKind {
    CriticKind {
        name: "lazy",
        summary: "no action is the best",
        settings: || {
            vec![Setting {
                key: "discount",
                meaning: "Discount γ",
                range: Range::Between(0.0, 1.0),
            }]
        },
        growing: &[],
        defaults: || Map::from_iter([("discount".to_string(), json!(0.9))]),
        fault: |_: &Map<String, Value>| None,
        make: |_: &Map<String, Value>, _: &LearnerShape| Ok(Box::new(Lazy)),
    }
}

#[test]
fn a_registered_critic_is_trained_and_tilted_by_and_the_units_of_actions_are_kept() {
    lazy().register().expect("free");
    assert!(lazy().register().is_err(), "a name is taken once");
    let folder = tempfile::tempdir().expect("temporary folder");
    let request = RunRequest {
        source: Source::File(tiny(folder.path(), "lazy")),
        seeds: vec![1],
        out: folder.path().join("run"),
        console: Console::Quiet,
        ..RunRequest::default()
    };
    run(&request).expect("the whole pipeline");
    let dir = RunDir::of_seed(&request.out, 1);
    let config = dir.config().expect("written");
    // The file that this one extends says it, and both kinds have the key.
    assert_eq!(config.critic.discount(), 0.97);
    let agent = Agent::of_seed(&dir, &config, 1, &Compute::cpu()).expect("loads");
    let size = |name: tiltrl::agent::PolicyName| -> f32 {
        let states = ndarray::Array2::from_elem((2000, 3), 0.5);
        let policy = agent.policy(name).expect("trained");
        let mut noise = tiltrl::tilt::Noise::keyed(1, "test", 0);
        let actions = policy.act(states.view(), &mut noise);
        actions.iter().map(|a| a * a).sum::<f32>() / 2000.0
    };
    let (before, after) = (
        size(tiltrl::agent::PolicyName::Prior),
        size(tiltrl::agent::PolicyName::Posterior),
    );
    assert!(
        after < 0.8 * before,
        "the posterior acts less: {before} {after}"
    );
    the_bounds_survive(&dir, &agent);
}

/// The file of the quickstart says that its actions are shares; another prior's checkpoint says other units.
fn the_bounds_survive(dir: &RunDir, agent: &Agent) {
    assert_eq!(agent.action_bounds, Some(ActionBounds::symmetric(1.0, 1)));
    let mut actions = [-1.0, 0.5];
    agent.to_data_units(&mut actions);
    assert_eq!(actions, [-1.0, 0.5]);
    let path = dir.checkpoint("prior");
    let mut checkpoint = Checkpoint::load(&path, "prior").expect("loads");
    let torque = serde_json::to_value(ActionBounds::symmetric(2.0, 1)).expect("plain");
    let load = |bounds: Value, checkpoint: &mut Checkpoint| {
        checkpoint.settings.insert("action_bounds".into(), bounds);
        checkpoint.save(&path).expect("writable");
        Agent::of_seed(dir, &dir.config().expect("read"), 1, &Compute::cpu())
    };
    let other = load(torque, &mut checkpoint).expect("loads");
    other.to_data_units(&mut actions);
    assert_eq!(actions, [-2.0, 1.0]);
    let damaged = load(json!("±2"), &mut checkpoint).err().expect("damaged");
    assert!(damaged.to_string().contains("action_bounds"), "{damaged}");
}

#[test]
fn the_updates_of_a_finished_critic_grow_only_where_training_can_go_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    for (kind, last) in [
        ("iql", None),
        ("advantage", Some("advantage_updates")),
        ("soft", Some("soft_updates")),
    ] {
        tiny(inside, kind);
        let own = [
            "critic.hidden=[8]",
            "finetune.updates=4",
            "critic.updates=20",
        ];
        let run = |more: &[String]| {
            let mut all = vec!["run", "--config", "tiny.toml", "--out", kind];
            for entry in own.into_iter().chain(more.iter().map(String::as_str)) {
                all.extend(["--set", entry]);
            }
            tiltrl(inside, &all)
        };
        let of_last = |updates: u64| last.map(|key| format!("critic.{key}={updates}"));
        let short: Vec<String> = of_last(20).into_iter().collect();
        let output = run(&short);
        assert!(output.status.success(), "{}", said(&output));
        let longer = run(&[&short[..], &["critic.updates=30".to_string()]].concat());
        let text = said(&longer);
        assert_eq!(longer.status.success(), last.is_none(), "{text}");
        let Some(key) = last else {
            assert!(text.contains("critic.updates 20 → 30"), "{text}");
            continue;
        };
        for words in [
            "critic.updates: 20 in the folder, 30 asked for",
            &format!("only {key} can grow"),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let grown = run(&of_last(30).into_iter().collect::<Vec<_>>());
        assert!(grown.status.success(), "{}", said(&grown));
        assert!(said(&grown).contains(&format!("critic.{key} 20 → 30")));
    }
}

/// α of a soft critic is that of the posterior, unless a price is set; a run done stage by stage has the bytes of a whole one.
#[test]
fn a_soft_critic_brings_its_alpha_to_the_posterior() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    tiny(inside, "soft");
    let run = |command: &str, out: &str, more: &[&str]| {
        let mut all = vec![command, "--config", "tiny.toml", "--out", out];
        let own = [
            "critic.hidden=[8]",
            "critic.updates=20",
            "critic.soft_updates=40",
            "prior.likelihood_updates=20",
            "finetune.updates=4",
        ];
        for entry in own.iter().chain(more) {
            all.extend(["--set", entry]);
        }
        let output = tiltrl(inside, &all);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    run("run", "whole", &[]);
    for command in ["train-prior", "train-critic", "run"] {
        run(command, "parts", &[]);
    }
    let path = |out: &str, name: &str| {
        let path = inside.join(out).join("seed-1/checkpoints").join(name);
        path.with_extension("safetensors")
    };
    for name in ["likelihood", "critic", "posterior"] {
        let of = |out: &str| std::fs::read(path(out, name)).expect("written");
        assert_eq!(of("whole"), of("parts"), "{name}");
    }
    let alpha = |out: &str, name: &str, key: &str| {
        let checkpoint = Checkpoint::load(&path(out, name), name).expect("loads");
        let bits = checkpoint.settings[key].as_str().expect("text").to_string();
        f64::from_bits(u64::from_str_radix(&bits, 16).expect("hexadecimal"))
    };
    let own = alpha("whole", "critic", "soft_alpha_bits");
    assert!(own > 0.0);
    assert_eq!(own, alpha("whole", "posterior", "alpha_bits"));
    let refused = tiltrl(
        inside,
        &["evaluate", "whole", "--policy", "adjoint-matching"],
    );
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("this prior's are functions"),
        "{}",
        said(&refused)
    );
    run("run", "priced", &["finetune.alpha=3.0"]);
    assert_ne!(own, alpha("priced", "posterior", "alpha_bits"));
}
