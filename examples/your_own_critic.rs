//! A critic of your own, registered by name and tilted by through the whole pipeline: here one that is known and not learned,
//! Q(s, a) = −(a − g(s))², which wants a controller's torque g(s) of the pendulum.
//!
//! `cargo run --release --example your_own_critic` trains a tiny run in runs/your-own-critic, and compares the posterior's actions
//! at one state with those that weighting samples of the prior by exp(Q/α) gives, which is exact but for their number.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};
use serde_json::{Map, Value, json};
use tiltrl::agent::{Agent, PolicyName};
use tiltrl::commands::{RunRequest, run};
use tiltrl::config::Source;
use tiltrl::console::Console;
use tiltrl::error::Error;
use tiltrl::policies::Compute;
use tiltrl::policies::agent::{Critic, CriticKind, LearnerShape, Lesson};
use tiltrl::policies::agent::{Range, Setting};
use tiltrl::run::RunDir;
use tiltrl::tilt::checkpoint::Checkpoint;
use tiltrl::tilt::{Noise, TiltError};
use tiltrl::train::certificate::Certificate;

/// Q(s, a) = −(a − g(s))² with g(s) = tanh(gain · s₁), s₁ the normalised sine of the angle.
struct Known {
    gain: f64,
}

impl Known {
    /// Returns a − g(s) of every row.
    fn misses(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        let states = observations.chunks_exact(3).zip(actions);
        let miss = |(s, a): (&[f32], &f32)| f64::from(*a) - (self.gain * f64::from(s[1])).tanh();
        states.map(miss).collect()
    }
}

impl Critic for Known {
    fn updates(&self) -> u64 {
        1
    }

    fn figures(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn update(&mut self, _lesson: &Lesson<'_>, _update: u64) -> Result<Vec<f64>, TiltError> {
        Ok(Vec::new())
    }

    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        let misses = self.misses(observations, actions);
        misses.iter().map(|m| -m * m).collect()
    }

    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32> {
        let misses = self.misses(observations, actions);
        misses.iter().map(|m| -2.0 * *m as f32).collect()
    }

    fn save(&self, _checkpoint: &mut Checkpoint) {}

    fn load(&mut self, _checkpoint: &Checkpoint, _path: &Path) -> Result<(), TiltError> {
        Ok(())
    }
}

fn settings() -> Vec<Setting> {
    vec![
        Setting {
            key: "discount",
            meaning: "Discount γ, which only the units of the data's returns depend on",
            range: Range::Between(0.0, 1.0),
        },
        Setting {
            key: "gain",
            meaning: "How steeply the wanted torque follows the sine of the angle",
            range: Range::Number(-10.0, 10.0),
        },
    ]
}

fn defaults() -> Map<String, Value> {
    Map::from_iter([
        ("discount".to_string(), json!(0.97)),
        ("gain".to_string(), json!(-1.0)),
    ])
}

fn make(settings: &Map<String, Value>, _: &LearnerShape) -> Result<Box<dyn Critic>, TiltError> {
    let gain = settings.get("gain").and_then(Value::as_f64);
    let gain = gain.ok_or_else(|| TiltError::Model("critic: no gain".into()))?;
    Ok(Box::new(Known { gain }))
}

const CONFIG: &str = r#"
extends = "quickstart"
[prior]
hidden = [64, 64]
updates = 1500
[critic]
kind = "known"
[finetune]
updates = 300
alpha_in_std = 0.5
[evaluation]
episodes = 16
episodes_in_training = 8
evaluations_in_training = 3
best_of = [16]
"#;

/// Prints the mean action at one state: what weighted samples of the prior say, and what the posterior does.
fn compare(folder: &Path) -> Result<(), Error> {
    let dir = RunDir::of_seed(folder, 1);
    let agent = Agent::of_seed(&dir, &dir.config()?, 1, &Compute::cpu())?;
    let (Some(critic), Some(tuned)) = (&agent.critic, &agent.posterior) else {
        return Err(Error::Run("the run is not finished".into()));
    };
    // Hanging a little to the right of the bottom.
    let states = Array2::from_shape_fn((20_000, 3), |(_, column)| [-0.8, 0.6, 0.0][column]);
    let act = |name: PolicyName| -> Result<Vec<f32>, Error> {
        let policy = agent.policy(name)?;
        let actions = policy.act(states.view(), &mut Noise::keyed(1, "compare", 0));
        Ok(actions.remove_axis(Axis(1)).to_vec())
    };
    let (prior, posterior) = (act(PolicyName::Prior)?, act(PolicyName::Posterior)?);
    let mut normalised: Vec<f32> = states.iter().copied().collect();
    agent.coordinates.observation.apply(&mut normalised);
    let values = critic.values(&normalised, &prior);
    let weights: Vec<f64> = values.iter().map(|q| (q / tuned.alpha).exp()).collect();
    let weighted: f64 = prior
        .iter()
        .zip(&weights)
        .map(|(a, w)| f64::from(*a) * w)
        .sum();
    let exact = weighted / weights.iter().sum::<f64>();
    let mean = |actions: &[f32]| actions.iter().sum::<f32>() / actions.len() as f32;
    let (before, found) = (mean(&prior), mean(&posterior));
    println!("mean action   prior {before:.3}   posterior exact {exact:.3}, found {found:.3}");
    let verdict = Certificate::read(&dir.path.join("certificate.json"))?.verdict;
    let (ess, gap) = (verdict.ess, verdict.log_z_gap);
    println!("certificate   median ESS/N {ess:.2}, median |log Z_q − log Z_p| {gap:.2}");
    Ok(())
}

fn main() -> Result<(), Error> {
    let kind = CriticKind {
        name: "known",
        summary: "a controller's torque is wanted, and nothing is learned",
        settings,
        growing: &[],
        defaults,
        fault: |_| None,
        make,
    };
    kind.register()?;
    let folder = PathBuf::from("runs/your-own-critic");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let config = folder.join("own.toml");
    std::fs::write(&config, CONFIG).map_err(Error::io(&config))?;
    run(&RunRequest {
        source: Source::File(config),
        seeds: vec![1],
        out: folder.clone(),
        console: Console::of_process(false),
        ..RunRequest::default()
    })?;
    compare(&folder)
}
