//! An environment of your own, registered by name and taken through the whole pipeline: data by a hand-written policy,
//! prior, critic, posterior, evaluation, the table.
//!
//! `cargo run --release --example your_own_environment` trains a tiny run in runs/cart-on-rail. With arguments it is the `tiltrl`
//! command line, which then knows the environment too:
//! `cargo run --release --example your_own_environment -- envs check cart-on-rail-v0`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ndarray::{Array2, ArrayView2};
use tiltrl::commands::{self, RunRequest};
use tiltrl::config::Source;
use tiltrl::console::Console;
use tiltrl::data;
use tiltrl::envs::{self, Component, Env, EnvSpec, Rules, Step};
use tiltrl::error::Error;
use tiltrl::policies::agent::Policy;
use tiltrl::rollout::rollout;
use tiltrl::tilt::noise::Noise;

const ID: &str = "cart-on-rail-v0";

/// A cart of 1 kg on a rail, pushed by up to 1 N, that should come to rest in the middle.
struct Cart {
    spec: EnvSpec,
    position: f64,
    speed: f64,
}

impl Cart {
    fn new() -> Self {
        let spec = EnvSpec {
            id: ID.into(),
            observation_dim: 2,
            action_dim: 1,
            horizon: 50,
            timestep: 0.1,
            engine: "cart".into(),
            engine_version: "1".into(),
            margin: None,
            reference: None,
            observation: vec![
                Component::unbounded("position", "m"),
                Component::unbounded("speed", "m/s"),
            ],
            action: vec![Component::bounded("push", "N", [-1.0, 1.0])],
            rules: Rules {
                summary: "A cart that should come to rest in the middle of its rail.".into(),
                reward: "−x² − 0.1 v² per timestep".into(),
                ..Rules::default()
            },
        };
        Self {
            spec,
            position: 0.0,
            speed: 0.0,
        }
    }

    fn observe(&self, observation: &mut [f32]) {
        observation.copy_from_slice(&[self.position as f32, self.speed as f32]);
    }
}

impl Env for Cart {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let start = Noise::keyed(seed, "cart", 0).normals(1, 2);
        (self.position, self.speed) = (f64::from(start[0]), 0.5 * f64::from(start[1]));
        self.observe(observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let push = f64::from(action[0].clamp(-1.0, 1.0));
        self.speed += self.spec.timestep * push;
        self.position += self.spec.timestep * self.speed;
        self.observe(observation);
        Step {
            reward: -self.position.powi(2) - 0.1 * self.speed.powi(2),
            terminated: false,
        }
    }
}

/// A spring and a damper that are right half of the time.
struct Clumsy;

impl Policy for Clumsy {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let (choice, random) = (noise.uniforms(), noise.uniforms());
        Array2::from_shape_fn((observations.nrows(), 1), |(row, _)| {
            let (x, v) = (observations[[row, 0]], observations[[row, 1]]);
            let wise = (-x - 1.5 * v).clamp(-0.95, 0.95);
            if choice[row] < 0.5 {
                wise
            } else {
                1.9 * random[row] as f32 - 0.95
            }
        })
    }
}

/// Settings of a run of seconds.
const CONFIG: &str = r#"
extends = "base"
env = "cart-on-rail-v0"
data_files = ["cart.hdf5"]
[prior]
hidden = [64, 64]
updates = 1500
[critic]
hidden = [64, 64]
updates = 2000
discount = 0.95
[finetune]
updates = 300
alpha_in_std = 0.3
[evaluation]
episodes = 64
evaluations_in_training = 3
best_of = [16]
"#;

/// Records data unless they are there.
fn collect(path: &Path) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    let mut recorders = Vec::new();
    rollout(&Clumsy, ID, 200, 1, Some(&mut recorders))?;
    let mut recorders = recorders.into_iter();
    let mut all = recorders.next().ok_or(Error::Run("no episode".into()))?;
    recorders.for_each(|one| all.append(one));
    Ok(data::write(path, &all.finish(), &[])?)
}

fn train() -> Result<(), Error> {
    let folder = PathBuf::from("runs/cart-on-rail");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    collect(&folder.join("cart.hdf5"))?;
    let config = folder.join("cart.toml");
    std::fs::write(&config, CONFIG).map_err(Error::io(&config))?;
    commands::run(&RunRequest {
        source: Source::File(config),
        data_dir: folder.clone(),
        seeds: vec![1],
        out: folder,
        console: Console::of_process(false),
        ..RunRequest::default()
    })
}

fn main() -> ExitCode {
    if let Err(error) = envs::register(|| Box::new(Cart::new())) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if std::env::args().len() > 1 {
        return commands::main();
    }
    match train() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
