//! On worlds small enough to enumerate: the core does not know what it tilts.

use burn::tensor::{Device, Tensor};
use tiltrl_policies::autoregressive::Autoregressive;
use tiltrl_policies::finetune::{Finetuner, LogZ, Mixture, Options, path_sums};
use tiltrl_policies::masked::MaskedDiffusion;
use tiltrl_policies::nets::{host, vector};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::rtb::{Shaping, log_mean_exp};
use tiltrl_policies::sequential::SequentialModel;
use tiltrl_policies::strings::{Strings, enumerated_posterior, total_variation};
use tiltrl_policies::worlds::CategoricalChain;

use super::common::{adam, none};

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

fn tune<M: SequentialModel<Condition = Tensor<2>, Sample = Strings>>(
    prior: M,
    options: Options,
    [paths, updates]: [usize; 2],
    reward: &dyn Fn(&Strings) -> Vec<f64>,
) -> Finetuner<M> {
    let mixture = Mixture {
        on_policy: paths,
        prior: 0,
        data: 0,
    };
    let mut tuner =
        Finetuner::new(prior, adam(1e-2), mixture, Shaping::default()).with_options(options, 1);
    let unused = |_: usize| -> Strings { unreachable!("the mixture holds no data") };
    for update in 0..updates {
        let share = update as f32 / updates as f32;
        tuner.optimizer.config.learning_rate = 1e-2 * (1.0 - share) + 2e-4;
        let mut noise = Noise::keyed(1, "strings", update as u64);
        tuner
            .update(&none, &unused, &|s, _| reward(s), &mut noise)
            .expect("finite");
    }
    tuner
}

fn check(name: &str, prior: &[f64], found: &[f64], length: usize, vocabulary: usize, log_z: f64) {
    assert!((prior.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{name}");
    let (exact, posterior) =
        enumerated_posterior(prior, &whole_string(&Strings::all(vocabulary, length)));
    let before = total_variation(prior, &posterior);
    let after = total_variation(found, &posterior);
    assert!(after < 0.05 && before > 0.2, "{name}: {before} → {after}");
    assert!((log_z - exact).abs() < 0.02, "{name}: {log_z} {exact}");
}

/// log Z by importance sampling under the posterior.
fn log_z<M: SequentialModel<Condition = Tensor<2>, Sample = Strings>>(tuner: &Finetuner<M>) -> f64 {
    let steps = tuner.prior.num_steps();
    let mut noise = Noise::keyed(2, "log-z", 0);
    let (path, scores) = tuner.posterior.sample_path(&none(4000), &mut noise);
    let p = path_sums(tuner.prior.step_log_probs(&path, 0..steps));
    let r = whole_string(&tuner.prior.sample_of(&path));
    let terms: Vec<f64> = path_sums(scores)
        .iter()
        .zip(&p)
        .zip(&r)
        .map(|((q, p), r)| r + p - q)
        .collect();
    log_mean_exp(&terms)
}

#[test]
fn silent_failure_02_masked_diffusion_reaches_the_enumerated_posterior() {
    let mut noise = Noise::keyed(5, "masked", 0);
    let prior = MaskedDiffusion::new([3, 3, 0], &[64, 64], 3.0, &mut noise, &Device::flex());
    let tuner = tune(prior, Options::default(), [128, 1200], &whole_string);
    let (p, q) = (
        tuner.prior.enumerate(&none(1)),
        tuner.posterior.enumerate(&none(1)),
    );
    check("masked", &p, &q, 3, 3, log_z(&tuner));
}

#[test]
fn silent_failure_02_an_autoregressive_model_reaches_the_enumerated_posterior() {
    let mut noise = Noise::keyed(6, "autoregressive", 0);
    let prior = Autoregressive::new([4, 4, 0], &[64], 3.0, &mut noise, &Device::flex());
    let tuner = tune(prior, Options::default(), [128, 800], &whole_string);
    let (p, q) = (
        tuner.prior.enumerate(&none(1)),
        tuner.posterior.enumerate(&none(1)),
    );
    check("autoregressive", &p, &q, 4, 4, log_z(&tuner));
}

#[test]
fn silent_failure_12_strings_are_drawn_as_they_are_scored() {
    // Frequencies of whole strings against the enumerated probabilities: χ² over the likely ones.
    let mut noise = Noise::keyed(7, "draw", 0);
    let masked = MaskedDiffusion::new([3, 3, 0], &[16], 3.0, &mut noise, &Device::flex());
    let letters = Autoregressive::new([3, 3, 0], &[16], 3.0, &mut noise, &Device::flex());
    let paths = 20_000;
    let drawn = [
        (
            masked.enumerate(&none(1)),
            masked.sample_path(&none(paths), &mut noise).0,
        ),
        (
            letters.enumerate(&none(1)),
            letters.sample_path(&none(paths), &mut noise).0,
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
    let logits: Vec<f64> = host(chain.logits.clone())
        .iter()
        .map(|&v| f64::from(v))
        .collect();
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
    let posterior = chain.with_parameters(vector(out, &Device::flex()));
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
            let delta = log_z + q - p - reward[usize::from(x)];
            assert!(delta.abs() < 1e-5, "{delta}");
        }
        let masses = posterior.enumerate();
        let (exact, expected) = enumerated_posterior(&chain.enumerate(), &reward);
        assert!((exact - log_z).abs() < 1e-6);
        assert!(total_variation(&masses, &expected) < 1e-6);
    }
}

#[test]
fn every_loss_reaches_the_posterior_of_a_chain() {
    let reward = [0.5, -1.0, 2.0];
    let chain = CategoricalChain::random(3, 3, 1.0, 4);
    let (exact, expected) = enumerated_posterior(&chain.enumerate(), &reward);
    let by_state =
        |s: &Strings| -> Vec<f64> { s.tokens.iter().map(|&x| reward[usize::from(x)]).collect() };
    let base = || Options {
        value_rate: 3.0,
        ..Options::default()
    };
    let learned = || Options {
        log_z: LogZ::Learned,
        value_rate: 10.0,
        ..base()
    };
    let segments = |segment| Options { segment, ..base() };
    for (name, options) in [
        ("VarGrad", base()),
        ("learned log Z", learned()),
        ("segments of 1", segments(1)),
        ("segments of 2", segments(2)),
    ] {
        let tuner = tune(chain.clone(), options, [128, 800], &by_state);
        let distance = total_variation(&tuner.posterior.enumerate(), &expected);
        assert!(distance < 0.03, "{name}: {distance}");
        if let (true, Some(net)) = (name == "learned log Z", &tuner.value) {
            let found = net.values(&chain.condition_features(&none(1)))[0];
            assert!((found - exact).abs() < 0.05, "{found} {exact}");
        }
    }
}
