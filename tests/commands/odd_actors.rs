//! Actors' files that are changed by hand: what is odd is refused with its reason, what is stated overrides what is assumed.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use tiltrl::actor::{Actor, ImportedActor};
use tiltrl::envs::spec_of;

use super::actors::fixtures;

/// The arrays of a safetensors file: shape and values, and its metadata.
#[derive(Clone)]
struct File {
    arrays: Vec<(String, Vec<usize>, Vec<f32>)>,
    facts: HashMap<String, String>,
}

impl File {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("readable");
        let (size, rest) = bytes.split_at(8);
        let size = u64::from_le_bytes(size.try_into().expect("eight")) as usize;
        let header: serde_json::Map<String, Value> =
            serde_json::from_slice(&rest[..size]).expect("JSON");
        let body = &rest[size..];
        let mut file = Self {
            arrays: Vec::new(),
            facts: HashMap::new(),
        };
        for (name, entry) in header {
            if name == "__metadata__" {
                file.facts = serde_json::from_value(entry).expect("texts");
                continue;
            }
            let shape = serde_json::from_value(entry["shape"].clone()).expect("sizes");
            let ends: [usize; 2] =
                serde_json::from_value(entry["data_offsets"].clone()).expect("two");
            let bytes = body[ends[0]..ends[1]].as_chunks::<4>().0.iter();
            let wide = entry["dtype"] == "F64";
            let values = match wide {
                true => body[ends[0]..ends[1]]
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|&b| f64::from_le_bytes(b) as f32)
                    .collect(),
                false => bytes.map(|&b| f32::from_le_bytes(b)).collect(),
            };
            file.arrays.push((name, shape, values));
        }
        file
    }

    fn write(&self, path: &Path) {
        let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
        header.insert("__metadata__".into(), serde_json::json!(self.facts));
        for (name, shape, values) in &self.arrays {
            let start = body.len();
            values.iter().for_each(|v| body.extend(v.to_le_bytes()));
            let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, body.len()]});
            header.insert(name.clone(), entry);
        }
        let header = Value::Object(header).to_string();
        let size = (header.len() as u64).to_le_bytes();
        std::fs::write(path, [&size, header.as_bytes(), &body].concat()).expect("writable");
    }

    fn array(&mut self, key: &str) -> &mut (String, Vec<usize>, Vec<f32>) {
        let found = self.arrays.iter_mut().find(|array| array.0 == key);
        found.expect("there")
    }

    fn without(mut self, key: &str) -> Self {
        self.arrays.retain(|array| array.0 != key);
        self
    }

    fn with(mut self, key: &str, shape: &[usize], values: &[f32]) -> Self {
        self.arrays
            .push((key.into(), shape.to_vec(), values.to_vec()));
        self
    }

    fn renamed(mut self, key: &str, to: &str) -> Self {
        self.array(key).0 = to.into();
        self
    }

    fn poisoned(mut self, key: &str, value: f32) -> Self {
        self.array(key).2[0] = value;
        self
    }

    fn said(mut self, key: &str, value: &str) -> Self {
        self.facts.insert(key.into(), value.into());
        self
    }
}

/// Reads a changed file and returns the message with which it is refused, which must have all of the words.
fn refused(file: &File, env: &str, words: &[&str]) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("odd.safetensors");
    file.write(&path);
    let spec = spec_of(env).expect("known");
    let message = match ImportedActor::read(&path, &spec) {
        Ok(_) => panic!("{words:?} was not refused"),
        Err(error) => error.to_string(),
    };
    let all = ["odd.safetensors", "expected", "found", "Hint"];
    for word in all.iter().chain(words) {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn odd_actors_of_stable_baselines3_are_refused() {
    let sac = File::read(&fixtures().join("actors/sb3_sac.safetensors"));
    let first = "actor.latent_pi.0.weight";
    refused(
        &sac,
        "hopper-v4",
        &[first, "[any, 11]", "[16, 3]", "observation of hopper-v4"],
    );
    refused(
        &sac.clone().poisoned(first, f32::NAN),
        "pendulum-v1",
        &[first, "NaN"],
    );
    refused(
        &sac.clone().without(first),
        "pendulum-v1",
        &["`actor.latent_pi.0.weight` before it"],
    );
    for gone in [
        "actor.mu.weight",
        "actor.mu.bias",
        "actor.log_std.bias",
        "actor.latent_pi.2.bias",
        "action_high",
    ] {
        refused(
            &sac.clone().without(gone),
            "pendulum-v1",
            &[gone, "an array of that name"],
        );
    }
    let (odd, near) = ("actor.latent_pi.7.weight", "obs_men");
    refused(
        &sac.clone().with(odd, &[1, 1], &[0.0]),
        "pendulum-v1",
        &[odd, "before it"],
    );
    refused(
        &sac.clone().with(near, &[3], &[0.0; 3]),
        "pendulum-v1",
        &[near, "no such key"],
    );
    refused(
        &sac.clone().with("obs_mean", &[3], &[0.0; 3]),
        "pendulum-v1",
        &["obs_var"],
    );
    let normalised = sac.clone().with("obs_mean", &[3], &[0.0; 3]);
    refused(
        &normalised.clone().with("obs_var", &[2], &[1.0; 2]),
        "pendulum-v1",
        &["obs_var", "[2]"],
    );
    refused(
        &normalised.with("obs_var", &[3], &[1.0, -1.0, 1.0]),
        "pendulum-v1",
        &["obs_var", "-1"],
    );
    refused(
        &sac.clone()
            .renamed("action_low", "x")
            .renamed("action_high", "action_low")
            .renamed("x", "action_high"),
        "pendulum-v1",
        &["action_low", "less than"],
    );
    refused(
        &sac.clone().poisoned("action_low", f32::INFINITY),
        "pendulum-v1",
        &["action_low", "inf"],
    );
    refused(
        &sac.clone().said("kind", "td3"),
        "pendulum-v1",
        &["`kind`", "sac, tqc", "`td3`"],
    );
    refused(
        &sac.clone().said("kind", "rainbow"),
        "pendulum-v1",
        &["`kind`", "`rainbow`"],
    );
    refused(
        &sac.clone().said("activation", "gelu"),
        "pendulum-v1",
        &["activation", "relu", "`gelu`"],
    );
    refused(
        &sac.clone().said("squash", "sometimes"),
        "pendulum-v1",
        &["squash", "`sometimes`"],
    );
    refused(
        &sac.clone().said("squsah", "none"),
        "pendulum-v1",
        &["squsah", "`squash`"],
    );
    refused(
        &sac.clone().said("log_std_min", "low"),
        "pendulum-v1",
        &["log_std_min", "`low`"],
    );
    refused(
        &sac.clone().said("log_std_min", "-3"),
        "pendulum-v1",
        &["log_std_max"],
    );
    let sde = sac
        .clone()
        .renamed("actor.mu.weight", "actor.mu.0.weight")
        .renamed("actor.mu.bias", "actor.mu.0.bias");
    refused(&sde, "pendulum-v1", &["actor.mu.0.weight", "use_sde"]);
    let nothing = File {
        arrays: vec![("x".into(), vec![1], vec![0.0])],
        facts: HashMap::new(),
    };
    refused(&nothing, "pendulum-v1", &["Stable-Baselines3", "only [x]"]);
    refused(
        &nothing.said("layout", "tiltrl-policy-1"),
        "pendulum-v1",
        &["tiltrl export"],
    );
    let ppo = File::read(&fixtures().join("actors/sb3_ppo.safetensors"));
    refused(&ppo.clone().without("log_std"), "hopper-v4", &["log_std"]);
    refused(
        &ppo.clone().without("action_net.weight"),
        "hopper-v4",
        &["action_net.weight"],
    );
    refused(
        &ppo,
        "walker2d-v4",
        &["mlp_extractor.policy_net.0.weight", "[any, 17]"],
    );
}

#[test]
fn odd_actors_of_d3rlpy_are_refused() {
    let sac = File::read(&fixtures().join("actors/d3rlpy_sac.safetensors"));
    let iql = File::read(&fixtures().join("actors/d3rlpy_iql.safetensors"));
    refused(
        &sac,
        "hopper-v4",
        &["_encoder._layers.0.weight", "[any, 11]"],
    );
    refused(
        &iql,
        "pendulum-v1",
        &["_encoder._layers.0.weight", "[any, 3]"],
    );
    refused(
        &sac.clone().without("_logstd.weight"),
        "pendulum-v1",
        &["_logstd.weight"],
    );
    refused(
        &iql.clone().poisoned("_logstd", f32::NAN),
        "hopper-v4",
        &["_logstd", "NaN"],
    );
    refused(
        &iql.clone().without("_encoder._layers.2.weight"),
        "hopper-v4",
        &["_encoder._layers.2"],
    );
    refused(
        &iql.clone().without("_mu.weight"),
        "hopper-v4",
        &["_mu.weight"],
    );
    let batch_norm = "_encoder._layers.2.running_mean";
    refused(
        &iql.clone().with(batch_norm, &[16], &[0.0; 16]),
        "hopper-v4",
        &[batch_norm],
    );
    refused(
        &iql.clone().said("kind", "d3rlpy-bcq"),
        "hopper-v4",
        &["`d3rlpy-bcq`", "d3rlpy-awac"],
    );
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let pendulum = spec_of("pendulum-v1").expect("known");
    for name in ["sb3_sac.safetensors", "d3rlpy_td3plusbc.npz"] {
        let good = std::fs::read(fixtures().join("actors").join(name)).expect("there");
        let path = folder.path().join(name);
        for length in (0..good.len()).step_by(5) {
            std::fs::write(&path, &good[..length]).expect("writable");
            let error = ImportedActor::read(&path, &pendulum)
                .expect_err("cut short")
                .to_string();
            assert!(error.contains(name), "{error}");
        }
        // Anything may be read of damaged bytes but must not end the program.
        for at in (0..good.len()).step_by(3) {
            let mut damaged = good.clone();
            damaged[at] ^= 0x41;
            std::fs::write(&path, damaged).expect("writable");
            let _ = ImportedActor::read(&path, &pendulum);
        }
    }
    let zip = folder.path().join("sac.zip");
    std::fs::write(&zip, "PK").expect("writable");
    let error = Actor::read(&zip, &pendulum)
        .expect_err("a pickle")
        .to_string();
    assert!(error.contains("docs/actors.md"), "{error}");
    let none = folder.path().join("none.npz");
    let error = Actor::read(&none, &pendulum)
        .expect_err("absent")
        .to_string();
    assert!(error.contains("no such file"), "{error}");
}

#[test]
fn what_is_stated_overrides_what_is_assumed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("actor.safetensors");
    let pendulum = spec_of("pendulum-v1").expect("known");
    let mut sac = File::read(&fixtures().join("actors/sb3_sac.safetensors"));
    let act = |file: &File| {
        file.write(&path);
        let actor = ImportedActor::read(&path, &pendulum).expect("good");
        let mut action = [0.0];
        actor.act(&[0.6, -0.8, 0.3], None, &mut action);
        (action[0], actor.notes().join("\n"))
    };
    let (stated, notes) = act(&sac);
    assert_eq!(notes, "", "everything is stated");
    // The same without a prefix, without a word, and with bounds as one number.
    for array in &mut sac.arrays {
        array.0 = array.0.trim_start_matches("actor.").to_string();
    }
    let mut silent = sac.clone().without("action_low").without("action_high");
    silent.facts.clear();
    let (assumed, notes) = act(&silent);
    assert_eq!(stated, assumed);
    for words in [
        "kind sac",
        "activation relu",
        "squash tanh",
        "action space of pendulum-v1",
        "3 → 16 → 16 → 1",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let elu = sac.clone().said("activation", "ELU");
    assert!((act(&elu).0 - stated).abs() > 1e-3);
    // Bounds twice those of the environment: twice the action, clipped.
    let mut wide = sac.clone();
    wide.array("action_low").2 = vec![-4.0];
    wide.array("action_high").2 = vec![4.0];
    let (doubled, notes) = act(&wide);
    assert!(
        (doubled - (2.0 * stated).clamp(-1.0, 1.0)).abs() < 1e-6,
        "{doubled} {stated}"
    );
    assert!(notes.contains("clipped"), "{notes}");
    // Without tanh the mean is in newton metres.
    let (raw, _) = act(&sac.said("squash", "none"));
    let mean = stated.atanh();
    assert!(
        (raw - (mean / 2.0).clamp(-1.0, 1.0)).abs() < 1e-4,
        "{raw} {mean}"
    );
}
