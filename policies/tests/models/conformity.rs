//! Every model of the tree keeps the rules that the method relies on, and models that break one are found out.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::fast::{Activation, HostAdam};
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::MaskedDiffusion;
use tiltrl_policies::models::Strings;
use tiltrl_policies::models::{GaussianDiffusion, GaussianPath, StepShape, Units};
use tiltrl_policies::models::{Prediction, Schedule, ScheduleKind};
use tiltrl_policies::nets::{CausalNet, CausalPerceptron, MaskedPerceptron, StringShape};
use tiltrl_policies::nets::{CausalTransformer, MaskedTransformer, TransformerShape};
use tiltrl_policies::nets::{Denoiser, Network, NetworkKind, NetworkShape, Perceptron};
use tiltrl_policies::nets::{UNet, UNetShape};
use tiltrl_policies::tilt::conformity::{Settings, check};
use tiltrl_policies::tilt::finetune::{Finetuner, Mixture};
use tiltrl_policies::tilt::host::{host, matrix, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::optimizer::AdamConfig;
use tiltrl_policies::tilt::sequential::{Scored, SequentialModel};
use tiltrl_policies::tilt::weights;

#[allow(dead_code, reason = "its enumeration serves other tests")]
use crate::chain::CategoricalChain;

const STEPS: usize = 5;

fn conditions(rows: usize, width: usize) -> Tensor<2> {
    let values = Noise::keyed(2, "conformity-test", 0).normals(rows, width);
    matrix(values, width, &Device::flex())
}

/// All weights moved a little: what starts at zero would hide what it does.
fn stirred<M: SequentialModel>(model: &M) -> M {
    let mut noise = Noise::keyed(3, "conformity-test", 0);
    let parameters = weights::tensors(model.weights()).into_iter();
    let moved = parameters.map(|p| {
        let mut values = host(p);
        let shift = noise.normals(values.len(), 1);
        values
            .iter_mut()
            .zip(&shift)
            .for_each(|(v, z)| *v += 0.03 * z);
        vector(values, &Device::flex())
    });
    model.with_weights(weights::with_tensors(
        model.weights().clone(),
        moved.collect(),
    ))
}

fn passes<M: SequentialModel<Condition = Tensor<2>>>(name: &str, model: &M, width: usize) {
    let found = check(&stirred(model), &conditions(6, width), Settings::default());
    assert_eq!(found, Ok(()), "{name}");
}

fn schedule() -> Schedule {
    Schedule::new(ScheduleKind::Cosine, STEPS, Prediction::Velocity).expect("memoryless")
}

fn perceptron(step: &StepShape, condition_dim: usize, waves: usize) -> Perceptron {
    let shape = NetworkShape {
        dim: 3,
        condition_dim,
        // Means, log σ, the scale of guidance.
        outputs: 3
            + if step.learned_variance { 3 } else { 0 }
            + usize::from(step.guidance.is_some()),
        hidden: vec![24, 16],
        activation: Activation::Silu,
        waves,
    };
    let mut noise = Noise::keyed(1, "conformity-test", 0);
    Perceptron::new(&shape, 1.0, &mut noise, &Compute::cpu())
}

fn gaussian(step: StepShape, condition_dim: usize, waves: usize) -> GaussianDiffusion {
    let net = perceptron(&step, condition_dim, waves);
    GaussianDiffusion::new(Network::of(net), schedule(), [3, condition_dim], step).expect("fits")
}

fn plain() -> GaussianDiffusion {
    gaussian(StepShape::default(), 4, 0)
}

#[test]
fn diffusions_over_perceptrons_conform() {
    let learned = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    let pull = |x: &[f32], _: &[usize], _: &[f32]| x.iter().map(|v| 0.3 - v).collect::<Vec<_>>();
    let guided = StepShape {
        learned_variance: true,
        guidance: Some(Arc::new(pull)),
        ..StepShape::default()
    };
    let sigma = StepShape {
        units: Units::Sigma,
        ..StepShape::default()
    };
    let exact = |x: &[f32], _: &[usize], _: &[f32]| x.iter().map(|v| 0.5 * v).collect::<Vec<_>>();
    passes("plain", &plain(), 4);
    passes("learned variance", &gaussian(learned.clone(), 4, 0), 4);
    passes("guidance", &gaussian(guided, 4, 0), 4);
    passes("units of sigma", &gaussian(sigma, 4, 0), 4);
    passes("waves", &gaussian(learned, 4, 3), 4);
    passes("exact part", &plain().with_exact(Arc::new(exact)), 4);
    passes("no condition", &gaussian(StepShape::default(), 0, 0), 1);
}

#[test]
fn diffusions_over_every_named_network_conform_with_and_without_their_type() {
    let learned = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    let typed = perceptron(&learned, 4, 0);
    let typed = GaussianDiffusion::new(typed, schedule(), [3, 4], learned.clone());
    passes("a perceptron with its type", &typed.expect("fits"), 4);
    for kind in NetworkKind::all() {
        let shape = NetworkShape {
            dim: 3,
            condition_dim: 4,
            outputs: 6,
            hidden: vec![16, 16],
            activation: Activation::Mish,
            waves: 0,
        };
        let mut noise = Noise::keyed(1, "conformity-test", 0);
        let net = (kind.make)(&shape, &mut noise, &Compute::cpu()).expect(kind.name);
        let model = GaussianDiffusion::new(net, schedule(), [3, 4], learned.clone());
        passes(kind.name, &model.expect("fits"), 4);
    }
}

fn images(condition_dim: usize) -> GaussianDiffusion<UNet> {
    let shape = UNetShape {
        image: [1, 8, 8],
        condition_dim,
        channels: 4,
    };
    let mut noise = Noise::keyed(1, "conformity-test", 0);
    let net = UNet::new(&shape, &mut noise, &Compute::cpu()).expect("even");
    GaussianDiffusion::new(net, schedule(), [64, condition_dim], StepShape::default())
        .expect("fits")
}

#[test]
fn diffusions_over_a_unet_conform() {
    passes("U-Net", &images(3), 3);
    let learned = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    let wide = images(0).reshaped(learned).expect("a second image");
    assert_eq!(wide.weights().num_outputs(), 128);
    passes("U-Net, learned variance", &wide, 1);
    let guided = StepShape {
        guidance: Some(Arc::new(|x: &[f32], _: &[usize], _: &[f32]| x.to_vec())),
        ..StepShape::default()
    };
    let refused = images(0).reshaped(guided).err().expect("no whole image");
    assert!(refused.to_string().contains("hint:"), "{refused}");
}

fn letters(condition_dim: usize) -> StringShape {
    StringShape {
        vocabulary: 4,
        length: 5,
        condition_dim,
        hidden: vec![16],
    }
}

fn transformer(condition_dim: usize) -> TransformerShape {
    TransformerShape {
        vocabulary: 4,
        length: 5,
        condition_dim,
        width: 8,
        heads: 2,
        layers: 2,
    }
}

#[test]
fn models_of_strings_conform() {
    let compute = Compute::cpu();
    let mut noise = Noise::keyed(4, "conformity-test", 0);
    for dim in [0, 3] {
        let width = dim.max(1);
        let net = MaskedPerceptron::new(&letters(dim), 1.0, &mut noise, &compute);
        passes("masked perceptron", &MaskedDiffusion::new(net, dim), width);
        let net = MaskedTransformer::new(&transformer(dim), 1.0, &mut noise, &compute);
        passes("masked transformer", &MaskedDiffusion::new(net, dim), width);
        let net = CausalPerceptron::new(&letters(dim), 1.0, &mut noise, &compute);
        passes("causal perceptron", &Autoregressive::new(net, dim), width);
        let net = CausalTransformer::new(&transformer(dim), 1.0, &mut noise, &compute);
        passes("causal transformer", &Autoregressive::new(net, dim), width);
    }
    passes("chain", &CategoricalChain::random(3, 4, 1.0, 1), 1);
}

/// Keys and values kept from token to token against the whole prefix computed again.
#[test]
fn a_cached_decoder_gives_the_logits_of_computing_anew() {
    let mut noise = Noise::keyed(5, "conformity-test", 0);
    for dim in [0, 3] {
        let net = CausalTransformer::new(&transformer(dim), 1.0, &mut noise, &Compute::cpu());
        let (rows, condition) = (7, conditions(7, dim.max(1)));
        let tokens = noise.indices(rows * 5, 4).into_iter();
        let whole = Strings {
            tokens: tokens.map(|t| t as u32).collect(),
            length: 5,
        };
        let mut decoder = net.decoder(&condition);
        for position in 0..5 {
            // What is not written yet must not be seen.
            let mut written = whole.clone();
            for row in written.tokens.chunks_exact_mut(5) {
                row[position..].fill(0);
            }
            let cached = decoder.next(&written, position);
            let anew = host(net.logits(&whole, position..position + 1, &condition));
            let gaps = cached.iter().zip(&anew).map(|(a, b)| (a - b).abs());
            let gap = gaps.fold(0.0, f32::max);
            assert!(
                cached.len() == anew.len() && gap < 1e-5,
                "{position}: {gap}"
            );
        }
        let differ = host(net.logits(&whole, 0..5, &condition));
        assert!(differ.iter().any(|l| (l - differ[0]).abs() > 1e-2));
    }
}

/// How a model breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    ShiftedAtSampling,
    LosesTheSample,
    IgnoresTheWeights,
    IgnoresNewValues,
    StepsOutOfOrder,
    AnotherCopy,
}

/// A diffusion with a fault.
#[derive(Clone)]
struct Broken {
    model: GaussianDiffusion,
    first: GaussianDiffusion,
    fault: Fault,
}

impl SequentialModel for Broken {
    type Weights = Network;
    type Condition = Tensor<2>;
    type Sample = Tensor<2>;
    type Path = GaussianPath;

    fn weights(&self) -> &Network {
        self.model.weights()
    }
    fn with_weights(&self, weights: Network) -> Self {
        let mut model = self.model.with_weights(weights);
        if self.fault == Fault::AnotherCopy {
            let mut schedule = model.schedule().clone();
            schedule.sigma.iter_mut().for_each(|s| *s *= 1.1);
            model = model.with_schedule(schedule);
        }
        Self {
            model,
            ..self.clone()
        }
    }
    fn num_steps(&self) -> usize {
        self.model.num_steps()
    }
    fn sample_path(&self, c: &Tensor<2>, noise: &mut Noise) -> Scored<GaussianPath> {
        let Scored { path, scores } = self.model.sample_path(c, noise);
        match self.fault {
            Fault::ShiftedAtSampling => {
                let scores = scores + 0.01;
                Scored { path, scores }
            }
            Fault::IgnoresTheWeights | Fault::IgnoresNewValues | Fault::StepsOutOfOrder => {
                let scores = self.step_log_probs(&path, 0..STEPS);
                Scored { path, scores }
            }
            _ => Scored { path, scores },
        }
    }
    fn path_to(&self, c: &Tensor<2>, sample: &Tensor<2>, noise: &mut Noise) -> GaussianPath {
        let mut path = self.model.path_to(c, sample, noise);
        if self.fault == Fault::LosesTheSample {
            path.states[STEPS] = path.states[STEPS - 1].clone();
        }
        path
    }
    fn sample_of(&self, path: &GaussianPath) -> Tensor<2> {
        self.model.sample_of(path)
    }
    fn step_log_probs(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        match self.fault {
            // Those of the weights that it was made with, whatever it has now.
            Fault::IgnoresTheWeights => self.first.step_log_probs(path, steps),
            // The same, and gradients as if it did not.
            Fault::IgnoresNewValues => {
                let own = self.model.step_log_probs(path, steps.clone());
                let first = self.first.step_log_probs(path, steps);
                if own.device().is_autodiff() {
                    own.clone() - own.without_autodiff() + first
                } else {
                    first
                }
            }
            Fault::StepsOutOfOrder => {
                let scores = self.model.step_log_probs(path, steps);
                scores.flip([1])
            }
            _ => self.model.step_log_probs(path, steps),
        }
    }
}

fn broken(fault: Fault) -> Vec<String> {
    let model = stirred(&plain());
    let broken = Broken {
        first: model.clone(),
        model,
        fault,
    };
    check(&broken, &conditions(6, 4), Settings::default())
        .err()
        .unwrap_or_default()
}

#[test]
fn a_broken_model_is_found_out_with_the_rule_that_it_breaks() {
    assert_eq!(broken(Fault::None), Vec::<String>::new());
    for (fault, rule) in [
        (
            Fault::ShiftedAtSampling,
            "scoring again equals sampling: differs by",
        ),
        (
            Fault::LosesTheSample,
            "noising backwards ends in the given sample: differs by",
        ),
        (
            Fault::IgnoresTheWeights,
            "gradients reach every trained parameter: none at `net.parameters`",
        ),
        (Fault::IgnoresTheWeights, "other weights give other scores"),
        (Fault::IgnoresNewValues, "other weights give other scores"),
        (
            Fault::StepsOutOfOrder,
            "steps scored one by one equal steps scored together: differs by",
        ),
        (Fault::AnotherCopy, "a copy has log-ratio 0: differs by"),
    ] {
        let found = broken(fault);
        let named = found.iter().any(|sentence| sentence.starts_with(rule));
        assert!(named, "{fault:?}: {found:?}");
    }
}

fn start(prior: &GaussianDiffusion, posterior: &GaussianDiffusion) -> Result<(), String> {
    let adam = HostAdam::new(AdamConfig::plain(1e-3));
    let mixture = Mixture::on_policy(4);
    let (prior, posterior) = (prior.clone(), posterior.clone());
    let tuner = Finetuner::new(prior, posterior, adam, mixture, &conditions(6, 4));
    tuner.map(drop).map_err(|e| e.to_string())
}

#[test]
fn a_fine_tuner_refuses_a_prior_that_learns_and_a_posterior_that_differs() {
    let prior = plain();
    let [name] = &weights::names(prior.weights())[..] else {
        panic!("a perceptron has one flat parameter");
    };
    assert_eq!(start(&prior, &prior), Ok(()));
    // A posterior that records gradients is the usual case; it is taken as it is.
    assert_eq!(start(&prior, &prior.tracked()), Ok(()));
    let refused = start(&prior.tracked(), &prior).expect_err("the prior learns");
    assert!(
        refused.contains("frozen") && refused.contains(&format!("`{name}`")),
        "{refused}"
    );
    assert!(refused.contains("hint:"), "{refused}");
    let frozen = prior.tracked();
    let frozen = frozen.with_weights(frozen.weights().clone().valid());
    assert_eq!(start(&frozen, &prior), Ok(()), "the hint helps");
    let refused = start(&prior, &stirred(&prior)).expect_err("they differ");
    assert!(refused.contains("|log q − log p|"), "{refused}");
    assert!(refused.contains(&format!("`{name}` differs")), "{refused}");
    assert!(refused.contains("hint:"), "{refused}");
    // More outputs that are zero are the same distribution.
    let learned = StepShape {
        learned_variance: true,
        ..StepShape::default()
    };
    let wide = prior.reshaped(learned).expect("a perceptron widens");
    assert_eq!(start(&prior, &wide), Ok(()));
    let refused = start(&prior, &stirred(&wide)).expect_err("they differ");
    assert!(refused.contains("the prior's"), "{refused}");
}
