//! The network of the prior by its name: built in, and one of the user's that is registered.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use tiltrl::agent::{Agent, PolicyName};
use tiltrl::commands::{RunRequest, run};
use tiltrl::config::Source;
use tiltrl::console::Console;
use tiltrl::policies::Compute;
use tiltrl::policies::nets::{Denoiser, Network, NetworkKind};
use tiltrl::run::RunDir;
use tiltrl::tilt::TiltError;
use tiltrl::tilt::sequential::SequentialModel;
use tiltrl::train::certificate::Certificate;

/// Seconds on one core; data of its own.
const TINY: &str = r#"
extends = "quickstart"
[prior]
updates = 40
OWN
[critic]
updates = 100
hidden = [16]
[finetune]
updates = 20
states = 8
VARIANCE
[evaluation]
episodes = 2
episodes_in_training = 2
evaluations_in_training = 1
best_of = [2]
tail = 2
"#;

fn tiny(folder: &Path, prior: &str, variance: &str) -> PathBuf {
    let path = folder.join("tiny.toml");
    let text = TINY.replace("OWN", prior).replace("VARIANCE", variance);
    std::fs::write(&path, text).expect("writable");
    path
}

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A network that sees neither the time nor how far it has come: [state, condition] W + b.
#[derive(Module, Debug)]
struct Straight {
    layer: Linear,
}

impl Denoiser for Straight {
    fn outputs_at(
        &self,
        states: &Tensor<2>,
        _steps: &[usize],
        _num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        self.layer
            .forward(Tensor::cat(vec![states.clone(), condition.clone()], 1))
    }

    fn num_outputs(&self) -> usize {
        self.layer.weight.dims()[1]
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        if outputs == self.num_outputs() {
            return Ok(self.clone());
        }
        Err(TiltError::Model(
            "a straight network has the outputs that it was made with".into(),
        ))
    }
}

fn straight() -> NetworkKind {
    NetworkKind {
        name: "straight",
        summary: "one layer",
        make: |shape, _, compute| {
            let inputs = shape.dim + shape.condition_dim;
            let layer = LinearConfig::new(inputs, shape.outputs).init(&compute.device);
            Ok(Network::of(Straight { layer }))
        },
    }
}

fn trained(folder: &Path, file: PathBuf) -> (RunDir, Agent) {
    let request = RunRequest {
        source: Source::File(file),
        seeds: vec![1],
        out: folder.join("run"),
        console: Console::Quiet,
        ..RunRequest::default()
    };
    run(&request).expect("the whole pipeline");
    let dir = RunDir::of_seed(&request.out, 1);
    let config = dir.config().expect("written");
    let agent = Agent::of_seed(&dir, &config, 1, &Compute::cpu()).expect("loads");
    (dir, agent)
}

#[test]
fn a_registered_network_goes_through_the_whole_pipeline() {
    straight().register().expect("free");
    assert!(straight().register().is_err(), "a name is taken once");
    let folder = tempfile::tempdir().expect("temporary folder");
    let own = (
        "network = \"straight\"",
        "learned_variance = false\nalpha = 0.7",
    );
    let (dir, agent) = trained(folder.path(), tiny(folder.path(), own.0, own.1));
    let found = agent
        .prior
        .as_ref()
        .expect("trained")
        .weights()
        .get::<Straight>();
    assert!(found.is_some(), "the prior is the network that was named");
    let certificate = Certificate::read(&dir.path.join("certificate.json")).expect("written");
    assert_eq!(certificate.tail.as_ref().expect("asked for").ends, 2);
    let price = certificate.price.expect("said");
    assert!((price - 0.7).abs() < 1e-9, "reward per nat: {price}");
    let stored = tiltrl::tilt::checkpoint::Checkpoint::load(&dir.checkpoint("prior"), "prior");
    let names: Vec<String> = stored.expect("loads").tensors.into_keys().collect();
    assert!(
        names.contains(&"average.layer.weight".to_string()),
        "{names:?}"
    );
    // It gains no column for a temperature, which is said before anything is trained.
    let dialled = format!("{}\ndial = [0.5, 2.0]", own.1);
    let request = RunRequest {
        source: Source::File(tiny(folder.path(), own.0, &dialled)),
        seeds: vec![1],
        out: folder.path().join("dialled"),
        console: Console::Quiet,
        ..RunRequest::default()
    };
    let error = run(&request).expect_err("no column").to_string();
    assert!(
        error.contains("finetune.dial: the network `straight`"),
        "{error}"
    );
    let states = ndarray::Array2::from_elem((8, 3), 0.5);
    let names = [
        PolicyName::Prior,
        PolicyName::Posterior,
        PolicyName::Mean,
        PolicyName::PosteriorBestOf(4),
        PolicyName::Tail(3),
    ];
    for name in names {
        let mut noise = tiltrl::tilt::Noise::keyed(1, "test", 0);
        let actions = agent
            .policy(name)
            .expect("trained")
            .act(states.view(), &mut noise);
        assert!(actions.iter().all(|a| a.abs() <= 1.0), "{name}");
    }
}

#[test]
fn the_residual_network_trains_resumes_and_is_refused_where_it_cannot_go() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    let file = tiny(
        inside,
        "network = \"residual\"\nhidden = [16, 16]\nnum_steps = 3",
        "",
    );
    let file = file.to_str().expect("text");
    let arguments = |command: &str, out: &str, more: &[&str]| {
        let fixed = ["--config", file, "--quiet", "--out", out];
        let seeds = ["--seeds", "1"];
        tiltrl(inside, &[&[command][..], &fixed, &seeds, more].concat())
    };
    let whole = arguments("run", "whole", &[]);
    assert!(whole.status.success(), "{}", said(&whole));
    // Half of the prior's updates, then the rest.
    for more in [&["--set", "prior.updates=20"][..], &[]] {
        let part = arguments("train-prior", "parts", more);
        assert!(part.status.success(), "{}", said(&part));
    }
    let bytes = |out: &str| {
        let path = inside
            .join(out)
            .join("seed-1/checkpoints/prior.safetensors");
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    assert_eq!(
        bytes("whole"),
        bytes("parts"),
        "a longer training is the same training"
    );
    let refused = tiltrl(inside, &["export", "whole", "--format", "onnx"]);
    let words = said(&refused);
    assert!(
        !refused.status.success() && words.contains("no perceptron"),
        "{words}"
    );
    let dialled = arguments("run", "dialled", &["--set", "finetune.dial=[0.5,2.0]"]);
    assert!(dialled.status.success(), "{}", said(&dialled));
    let odd = arguments("train-prior", "odd", &["--set", "prior.hidden=[16,8]"]);
    let words = said(&odd);
    assert!(words.contains("blocks of one width"), "{words}");
    let listed = said(&tiltrl(inside, &["networks"]));
    assert!(
        listed.contains("perceptron ") && listed.contains("residual "),
        "{listed}"
    );
}
