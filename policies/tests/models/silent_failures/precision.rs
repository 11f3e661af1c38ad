//! The scores of paths against the same numbers in f64.

use tiltrl_policies::nets::Perceptron;
use tiltrl_policies::tilt::finetune::Options;
use tiltrl_policies::tilt::host::{host, host64};
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::tilt::sequential::{SequentialModel, StateFeatures};

use super::common::{first, gain_and_offset, none, path_sums};
use super::variants::{WORLD, moved};

#[test]
fn silent_failure_19_f32_scores_agree_with_f64_to_a_thousandth_of_a_nat() {
    let steps = 100;
    let tuner = moved(steps, 8, 2, Options::default());
    let mut noise = Noise::keyed(2, "path", 0);
    let path = tuner.posterior().sample_path(&none(64), &mut noise).path;
    let q = path_sums(tuner.posterior().step_log_probs(&path, 0..steps));
    let p = path_sums(tuner.prior().step_log_probs(&path, 0..steps));
    let schedule = tuner.prior().schedule().clone();
    let net = tuner
        .posterior()
        .weights()
        .get::<Perceptron>()
        .expect("a perceptron");
    let net = net.net();
    let parameters = host64(net.parameters());
    // States, features and parameters are the f32 values; network, kernels and scores are done again in f64.
    let states: Vec<Vec<f64>> = path.states.iter().map(first).collect();
    assert_eq!(parameters.len(), net.spec().num_parameters());
    for row in 0..64 {
        let mut sum = 0.0;
        for k in 0..steps {
            let x = states[k][row];
            let features = host(tuner.prior().state_features(&path, k));
            let width = features.len() / 64;
            let inputs: Vec<f64> = features[row * width..row * width + width - 1]
                .iter()
                .map(|&v| f64::from(v))
                .collect();
            let shift = forward(&parameters, &inputs, 8);
            let [gain, offset] = gain_and_offset(&WORLD, &schedule, k);
            let (prior, sigma) = (gain * x + offset, schedule.sigma[k]);
            let posterior = prior + schedule.coefficients(k)[1] * shift;
            let next = states[k + 1][row];
            sum += ((next - prior).powi(2) - (next - posterior).powi(2)) / (2.0 * sigma * sigma);
        }
        let gap = (q[row] - p[row] - sum).abs();
        assert!(gap < 1e-3, "row {row}: {gap} nats of {sum}");
    }
}

/// One hidden SiLU layer and one output, in f64.
fn forward(parameters: &[f64], inputs: &[f64], hidden: usize) -> f64 {
    let (weights, rest) = parameters.split_at(inputs.len() * hidden);
    let (bias, rest) = rest.split_at(hidden);
    let mut out = rest[hidden];
    for j in 0..hidden {
        let sum: f64 = inputs
            .iter()
            .enumerate()
            .map(|(i, x)| x * weights[i * hidden + j])
            .sum();
        let pre = sum + bias[j];
        out += rest[j] * pre / (1.0 + (-pre).exp());
    }
    out
}
