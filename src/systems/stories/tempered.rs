//! Continuations at a temperature T of the whole text, p(z | x)^(1/T) (arXiv:2310.04363 §4.1), beside a temperature of each token.
//!
//! Dividing each token's logits by T is not the same: it forgets what a token leads to. log r = (1/T − 1) log p(z | x) tilts the model
//! to the temperature of the whole text, and all continuations of two tokens are enumerated.

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::Llama;
use tiltrl_tilt::finetune::Exploration;
use tiltrl_tilt::rtb::Shaping;

use super::file::Stories;
use super::infill::Infill;
use super::tokenizer::{START, Tokenizer};
use super::work::{TV, Work};
use crate::error::Error;
use crate::systems::exact::Exact;
use crate::systems::outcome::{Check, Outcome};
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, balance};

/// The text that is continued.
const TEXT: &str = "Tom had a big";
/// Temperatures of the whole text.
const TEMPERATURES: [f64; 3] = [0.8, 0.5, 0.25];
/// Residuals beyond so many nats count as these: a continuation that the prior hardly writes has log r far below all others.
const CAP: f64 = 10.0;

/// Runs the task.
///
/// # Errors
/// Those of training.
pub fn run(stories: &Stories, request: &Request, outcome: &mut Outcome) -> Result<(), Error> {
    let prefix = [vec![START], stories.tokenizer.encode(TEXT)].concat();
    let llama = Llama::new(&stories.weights, &request.compute.device);
    let model = Infill::new(llama, &prefix, 2);
    let prior = model.enumerate();
    outcome.notes.push(likeliest(&prior, &stories.tokenizer));
    for temperature in TEMPERATURES {
        at(temperature, (&model, &prior), request, outcome)?;
    }
    Ok(())
}

fn at(
    temperature: f64,
    (model, prior): (&Infill, &[f64]),
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let count = (prior.len() as f64).sqrt().round() as usize;
    let factor = 1.0 / temperature - 1.0;
    let rewards: Vec<f64> = prior.iter().map(|p| factor * p.max(1e-300).ln()).collect();
    let exact = Exact::new(prior.to_vec(), rewards.clone());
    let log_reward = |z: &Strings, _: &Tensor<2>| -> Vec<f64> {
        z.index(count).iter().map(|&i| rewards[i]).collect()
    };
    let (name, task) = (
        format!("tempered {temperature}"),
        format!("{TEXT} …, T = {temperature}"),
    );
    let work = Work {
        name: &name,
        task: &task,
        exact: &exact,
        log_reward: &log_reward,
        request,
    };
    let recipe = work.recipe("tempered_updates");
    let behaviour = Behaviour {
        exploration: Exploration::default(),
        shaping: Shaping {
            dead_zone: 0.0,
            huber: CAP,
        },
        ..work.behaviour()
    };
    let tuned = work.with_target(model, &name, |target| {
        balance(target, &recipe, &behaviour, request)
    })?;
    let mut row = work.row("balance", model, &tuned);
    row.checks = vec![Check::below("TV", row.distance.unwrap_or(f64::NAN), TV)];
    outcome.rows.extend([
        exact.row(&task, "prior", prior),
        exact.row(&task, "exact", &exact.posterior),
        row,
        exact.row(
            &task,
            "temperature of each token",
            &of_each_token(prior, temperature),
        ),
    ]);
    Ok(())
}

/// Returns what a temperature of each token makes of the probabilities of all pairs of tokens, first token major.
fn of_each_token(prior: &[f64], temperature: f64) -> Vec<f64> {
    let count = (prior.len() as f64).sqrt().round() as usize;
    let sharpened = |masses: &[f64]| -> Vec<f64> {
        let powers: Vec<f64> = masses.iter().map(|p| p.powf(1.0 / temperature)).collect();
        let total: f64 = powers.iter().sum();
        powers.iter().map(|p| p / total.max(1e-300)).collect()
    };
    let rows: Vec<&[f64]> = prior.chunks_exact(count).collect();
    let first: Vec<f64> = rows.iter().map(|row| row.iter().sum()).collect();
    let own = |(first, row): (f64, &&[f64])| {
        // Given the first token; dividing by its mass first keeps small rows from underflowing.
        let mass: f64 = row.iter().sum::<f64>().max(1e-300);
        let given: Vec<f64> = row.iter().map(|p| p / mass).collect();
        sharpened(&given).into_iter().map(move |q| first * q)
    };
    sharpened(&first)
        .into_iter()
        .zip(&rows)
        .flat_map(own)
        .collect()
}

/// What greedy writing finds, and what is likeliest of all.
fn likeliest(prior: &[f64], tokenizer: &Tokenizer) -> String {
    let count = (prior.len() as f64).sqrt().round() as usize;
    let best = |masses: &[f64]| {
        (0..masses.len()).fold(0, |best, i| if masses[i] > masses[best] { i } else { best })
    };
    let first: Vec<f64> = prior
        .chunks_exact(count)
        .map(|row| row.iter().sum())
        .collect();
    let start = best(&first) * count;
    let greedy = start + best(&prior[start..start + count]);
    let all = best(prior);
    let shown = |i: usize| {
        let text = tokenizer.decode(&[(i / count) as u32, (i % count) as u32]);
        format!("“{text}”, log p {:.2}", prior[i].ln())
    };
    format!(
        "{TEXT} …: greedy writes {}; the likeliest of all, which a beam of {count} finds, is {}",
        shown(greedy),
        shown(all)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At T = 1 nothing changes; below, a temperature of each token is another distribution than that of the whole text, unless all
    /// second tokens are as sure.
    #[test]
    fn a_temperature_of_each_token_is_not_that_of_the_whole_text() {
        let prior = [0.30, 0.30, 0.36, 0.04];
        let same = of_each_token(&prior, 1.0);
        assert!(same.iter().zip(prior).all(|(a, b)| (a - b).abs() < 1e-12));
        let whole: Vec<f64> = prior.iter().map(|p| p * p).collect();
        let total: f64 = whole.iter().sum();
        let each = of_each_token(&prior, 0.5);
        assert!((each.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // First token: 0.6² and 0.4² of each other; the whole text prefers the sure continuation more.
        assert!((each[0] + each[1] - 0.36 / 0.52).abs() < 1e-12);
        assert!(whole[2] / total > each[2] + 0.1);
        let even = [0.3, 0.3, 0.2, 0.2];
        let whole: Vec<f64> = even.iter().map(|p| p * p / 0.26).collect();
        let each = of_each_token(&even, 0.5);
        assert!(each.iter().zip(whole).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
