//! On worlds small enough to enumerate: the core does not know what it tilts.

use burn::tensor::{Device, Tensor};
use tiltrl_policies::Compute;
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::MaskedDiffusion;
use tiltrl_policies::models::{Strings, enumerated_posterior, total_variation};
use tiltrl_policies::nets::{CausalPerceptron, MaskedPerceptron, StringShape};
use tiltrl_policies::tilt::finetune::{LogZ, Mixture, Options};
use tiltrl_policies::tilt::host::{host64, vector};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::rtb::log_mean_exp;
use tiltrl_policies::tilt::sequential::{
    ConditionFeatures, Explore, SequentialModel, StateFeatures,
};
use tiltrl_policies::tilt::weights;

use super::common::{Tuner, group, none, path_sums, scored, tuner};
use crate::chain::CategoricalChain;

fn masked(
    [vocabulary, length]: [usize; 2],
    hidden: &[usize],
    noise: &mut Noise,
) -> MaskedDiffusion<MaskedPerceptron> {
    let shape = shape([vocabulary, length], hidden);
    let net = MaskedPerceptron::new(&shape, 3.0, noise, &Compute::cpu());
    MaskedDiffusion::new(net, 0)
}

fn letters(
    [vocabulary, length]: [usize; 2],
    hidden: &[usize],
    noise: &mut Noise,
) -> Autoregressive<CausalPerceptron> {
    let shape = shape([vocabulary, length], hidden);
    let net = CausalPerceptron::new(&shape, 3.0, noise, &Compute::cpu());
    Autoregressive::new(net, 0)
}

fn shape([vocabulary, length]: [usize; 2], hidden: &[usize]) -> StringShape {
    StringShape {
        vocabulary,
        length,
        condition_dim: 0,
        hidden: hidden.to_vec(),
    }
}

/// A reward of the whole string: neighbours that are equal, and whether it reads the same backwards.
fn whole_string(strings: &Strings) -> Vec<f64> {
    let rows = strings.tokens.chunks_exact(strings.length);
    rows.map(|row| {
        let equal = row.windows(2).filter(|w| w[0] == w[1]).count();
        let mirrored = row.iter().eq(row.iter().rev());
        0.7 * equal as f64 + 1.5 * f64::from(u8::from(mirrored)) - 2.0
    })
    .collect()
}

fn tune<M>(
    prior: &M,
    options: Options,
    [paths, updates]: [usize; 2],
    reward: &dyn Fn(&Strings) -> Vec<f64>,
) -> Tuner<M>
where
    M: SequentialModel<Condition = Tensor<2>, Sample = Strings>
        + Explore
        + ConditionFeatures
        + StateFeatures,
{
    let mut tuner = tuner(prior, 1e-2, Mixture::on_policy(paths)).with_options(options, 1);
    for update in 0..updates {
        let share = update as f32 / updates as f32;
        tuner.set_learning_rate(1e-2 * (1.0 - share) + 2e-4);
        let mut noise = Noise::keyed(1, "strings", update as u64);
        tuner
            .update(&group(), &|s, _| reward(s), &mut noise)
            .expect("finite");
    }
    tuner
}

fn check(name: &str, prior: &[f64], found: &[f64], length: usize, vocabulary: usize, log_z: f64) {
    assert!((prior.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{name}");
    let exact = enumerated_posterior(prior, &whole_string(&Strings::all(vocabulary, length)));
    let before = total_variation(prior, &exact.probabilities);
    let after = total_variation(found, &exact.probabilities);
    let exact = exact.log_z;
    assert!(after < 0.05 && before > 0.2, "{name}: {before} → {after}");
    assert!((log_z - exact).abs() < 0.02, "{name}: {log_z} {exact}");
}

/// log Z by importance sampling under the posterior.
fn log_z<M: SequentialModel<Condition = Tensor<2>, Sample = Strings>>(tuner: &Tuner<M>) -> f64 {
    let mut noise = Noise::keyed(2, "log-z", 0);
    let path = tuner.posterior().sample_path(&none(4000), &mut noise).path;
    let found = scored(tuner.posterior(), tuner.prior(), &path, &whole_string);
    log_mean_exp(&found.log_weights())
}

#[test]
fn silent_failure_02_masked_diffusion_reaches_the_enumerated_posterior() {
    let mut noise = Noise::keyed(5, "masked", 0);
    let prior = masked([3, 3], &[64, 64], &mut noise);
    let tuner = tune(&prior, Options::default(), [128, 1200], &whole_string);
    let (p, q) = (
        tuner.prior().enumerate(&none(1)),
        tuner.posterior().enumerate(&none(1)),
    );
    check("masked", &p, &q, 3, 3, log_z(&tuner));
}

#[test]
fn silent_failure_02_an_autoregressive_model_reaches_the_enumerated_posterior() {
    let mut noise = Noise::keyed(6, "autoregressive", 0);
    let prior = letters([4, 4], &[64], &mut noise);
    let tuner = tune(&prior, Options::default(), [128, 800], &whole_string);
    let (p, q) = (
        tuner.prior().enumerate(&none(1)),
        tuner.posterior().enumerate(&none(1)),
    );
    check("autoregressive", &p, &q, 4, 4, log_z(&tuner));
}

#[test]
fn silent_failure_12_strings_are_drawn_as_they_are_scored() {
    // Frequencies of whole strings against the enumerated probabilities: χ² over the likely ones.
    let mut noise = Noise::keyed(7, "draw", 0);
    let masked = masked([3, 3], &[16], &mut noise);
    let letters = letters([3, 3], &[16], &mut noise);
    let paths = 20_000;
    let drawn = [
        (
            masked.enumerate(&none(1)),
            masked.sample_path(&none(paths), &mut noise).path,
        ),
        (
            letters.enumerate(&none(1)),
            letters.sample_path(&none(paths), &mut noise).path,
        ),
    ];
    for (exact, path) in drawn {
        let mut counts = vec![0.0; exact.len()];
        for i in path.strings.index(3) {
            counts[i] += 1.0 / paths as f64;
        }
        let floor: f64 = exact.iter().map(|p| (p / paths as f64).sqrt()).sum();
        let distance = total_variation(&counts, &exact);
        assert!(distance < 0.6 * floor, "{distance}, sampling floor {floor}");
    }
}

/// The exact posterior of a chain: p(j|i) h_{k+1}(j)/h_k(i).
fn tilted(chain: &CategoricalChain, log_reward: &[f64]) -> (CategoricalChain, f64) {
    let (n, steps) = (chain.states, chain.steps);
    let logits = host64(chain.logits());
    let mut value = log_reward.to_vec();
    let mut out = vec![0.0f32; logits.len()];
    for k in (0..steps).rev() {
        let mut before = vec![0.0; n];
        for i in 0..n {
            let row = &logits[(k * n + i) * n..(k * n + i + 1) * n];
            let normalizer = log_mean_exp(row) + (n as f64).ln();
            let terms: Vec<f64> = (0..n).map(|j| row[j] - normalizer + value[j]).collect();
            before[i] = log_mean_exp(&terms) + (n as f64).ln();
            for j in 0..n {
                out[(k * n + i) * n + j] = (terms[j] - before[i]) as f32;
            }
        }
        value = before;
    }
    let values = vec![vector(out, &Device::flex())];
    let posterior = chain.with_weights(weights::with_tensors(chain.weights().clone(), values));
    (posterior, value[0])
}

#[test]
fn silent_failure_11_at_the_exact_posterior_delta_is_zero_on_every_path_of_a_chain() {
    for (seed, reward) in [(1, [0.5, -1.0, 2.0]), (2, [7.0, 7.0, 3.0])] {
        let chain = CategoricalChain::random(3, 3, 1.0, seed);
        let (posterior, log_z) = tilted(&chain, &reward);
        let path = chain.all_paths();
        let q = path_sums(posterior.step_log_probs(&path, 0..3));
        let p = path_sums(chain.step_log_probs(&path, 0..3));
        assert_eq!(q.len(), 27);
        let samples = chain.sample_of(&path);
        for ((q, p), &x) in q.iter().zip(&p).zip(&samples.tokens) {
            let delta = log_z + q - p - reward[x as usize];
            assert!(delta.abs() < 1e-5, "{delta}");
        }
        let masses = posterior.enumerate();
        let exact = enumerated_posterior(&chain.enumerate(), &reward);
        assert!((exact.log_z - log_z).abs() < 1e-6);
        assert!(total_variation(&masses, &exact.probabilities) < 1e-6);
    }
}

#[test]
fn every_loss_reaches_the_posterior_of_a_chain() {
    let reward = [0.5, -1.0, 2.0];
    let chain = CategoricalChain::random(3, 3, 1.0, 4);
    let exact = enumerated_posterior(&chain.enumerate(), &reward);
    let by_state =
        |s: &Strings| -> Vec<f64> { s.tokens.iter().map(|&x| reward[x as usize]).collect() };
    let base = || Options {
        value_rate: 3.0,
        ..Options::default()
    };
    let learned = || Options {
        log_z: LogZ::Learned,
        value_rate: 10.0,
        ..base()
    };
    let pieces = |sub_trajectory| Options {
        sub_trajectory,
        ..base()
    };
    for (name, options) in [
        ("VarGrad", base()),
        ("learned log Z", learned()),
        ("sub-trajectories of 1", pieces(1)),
        ("sub-trajectories of 2", pieces(2)),
    ] {
        let tuner = tune(&chain, options, [128, 800], &by_state);
        let distance = total_variation(&tuner.posterior().enumerate(), &exact.probabilities);
        assert!(distance < 0.03, "{name}: {distance}");
        let learned = tuner.learned_log_z(&none(1));
        assert_eq!(learned.is_some(), name == "learned log Z");
        if let Some(found) = learned {
            let exact = exact.log_z;
            assert!((found[0] - exact).abs() < 0.05, "{} {exact}", found[0]);
        }
    }
}
