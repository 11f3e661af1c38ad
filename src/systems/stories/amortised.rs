//! One policy for many gaps: trained on pairs of texts, and held to the exact posterior of pairs that it never saw.

use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{HostLlama, Llama};
use tiltrl_tilt::finetune::{Exploration, Mixture};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::rtb::Shaping;

use super::enumerate::{Gap, table};
use super::file::Stories;
use super::pairs::{Pair, Suffixes, draw};
use super::reader::{Amortised, Reader, Seen, indices};
use crate::error::Error;
use crate::systems::exact::Exact;
use crate::systems::outcome::{Check, Outcome, Row};
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, Recipe, Target, balance};

/// Tokens after a gap that the policy is told.
const TOLD: usize = 4;
/// Pairs per update.
const GROUPS: usize = 8;
/// Infills per pair and update: of the policy, of the prior, of the policy at a temperature.
const PATHS: [usize; 3] = [32, 8, 16];
/// That temperature at the start; it falls to 1.
const HOT: f64 = 2.0;
/// Residuals beyond so many nats count as these.
const CAP: f64 = 10.0;
/// Share of the prior's KL that the policy may keep on pairs that it learned from.
const KEPT: f64 = 0.5;

/// Runs the task.
///
/// # Errors
/// Those of training.
pub fn run(
    stories: &Stories,
    host: &HostLlama,
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let settings = &request.settings;
    let learned = settings.count("pairs");
    let held_out = settings.count("held_out");
    let mut noise = Noise::keyed(request.seed, "pairs", 0);
    let pairs = draw(host, learned + held_out, &mut noise)?;
    let prior = policy(&pairs, stories, &mut noise, request);
    let suffixes = Suffixes::new(host, &pairs);
    let log_reward = |z: &Strings, condition: &Tensor<2>| suffixes.of(z, &indices(condition));
    let target = Target {
        task: "amortised",
        prior: &prior,
        conditions: &|noise| prior.condition(&noise.indices(GROUPS, learned)),
        log_reward: &log_reward,
        distance: &|_| f64::NAN,
    };
    let updates = settings.count("amortised_updates");
    let recipe = Recipe {
        checkpoints: 10,
        max_gradient_norm: 10.0,
        ..Recipe::new(updates, settings.number("rate"))
    };
    let tuned = balance(&target, &recipe, &behaviour(updates), request)?;
    let learned_from: Vec<usize> = (0..held_out.min(learned)).collect();
    let others: Vec<usize> = (learned..pairs.len()).collect();
    for (name, chosen) in [("seen", learned_from), ("held out", others)] {
        let task = format!("one policy for {learned} gaps, {} {name}", chosen.len());
        let mut rows = [Row::new(&task, "prior"), Row::new(&task, "balance")];
        for &at in &chosen {
            let exact = exact(&pairs[at], (host, at), request)?;
            for (row, model) in rows.iter_mut().zip([&prior, &tuned.model]) {
                let found = exact.row(&task, "", &model.enumerate(at));
                add(row, &found, chosen.len());
            }
        }
        rows[1].seconds = Some(tuned.seconds);
        if name == "seen" {
            let share = rows[1].kl.unwrap_or(f64::NAN) / rows[0].kl.unwrap_or(f64::NAN);
            rows[1].checks = vec![Check::below("KL / prior's", share, KEPT)];
        }
        outcome.rows.extend(rows);
    }
    outcome.notes.push(format!(
        "one policy: {learned} pairs of stories that the Llama wrote; it is told the {TOLD} tokens after the gap; TV, KL and log Z are means over pairs, exact on each"
    ));
    Ok(())
}

/// The policy that is told of these pairs and has learned nothing yet: the prior.
fn policy(pairs: &[Pair], stories: &Stories, noise: &mut Noise, request: &Request) -> Amortised {
    let seen = pairs.iter().map(|pair| seen(pair, stories)).collect();
    let device = &request.compute.device;
    let llama = Llama::new(&stories.weights, device);
    let llama = match request.settings.count("amortised_rank") {
        0 => llama,
        rank => llama.with_adapters(rank, noise),
    };
    let features = TOLD * stories.weights.shape.dim;
    let net = Reader::new(llama, features, noise, device);
    Amortised::new(net, Arc::new(seen))
}

/// What the policy sees of a pair: the text before, and the embeddings of the first tokens after the gap.
fn seen(pair: &Pair, stories: &Stories) -> Seen {
    let dim = stories.weights.shape.dim;
    let embedding = |&token: &u32| {
        let at = token as usize * dim;
        &stories.weights.tokens[at..at + dim]
    };
    let told = pair.suffix.iter().take(TOLD);
    Seen {
        prefix: pair.prefix.clone(),
        features: told.flat_map(embedding).copied().collect(),
    }
}

fn behaviour(updates: usize) -> Behaviour {
    let [on_policy, prior, explored] = PATHS;
    Behaviour {
        mixture: Mixture {
            prior,
            ..Mixture::on_policy(on_policy)
        },
        exploration: Exploration {
            paths: explored,
            scale: HOT,
            updates: updates as u64,
        },
        shaping: Shaping {
            dead_zone: 0.0,
            huber: CAP,
        },
        ..Behaviour::on_policy(on_policy)
    }
}

/// The exact posterior of a pair.
fn exact(pair: &Pair, (host, at): (&HostLlama, usize), request: &Request) -> Result<Exact, Error> {
    let gap = Gap {
        llama: host,
        prefix: &pair.prefix,
        suffix: &pair.suffix,
    };
    let [log_prior, rewards] = table(&format!("pair {at}"), &gap, request)?;
    Ok(Exact::new(
        log_prior.iter().map(|l| l.exp()).collect(),
        rewards,
    ))
}

/// Adds one of `count` rows to a mean.
fn add(mean: &mut Row, row: &Row, count: usize) {
    let sum = |mean: &mut Option<f64>, value: Option<f64>| {
        let value = value.unwrap_or(f64::NAN) / count as f64;
        *mean = Some(mean.unwrap_or(0.0) + value);
    };
    sum(&mut mean.reference, row.reference);
    sum(&mut mean.log_reward, row.log_reward);
    sum(&mut mean.distance, row.distance);
    sum(&mut mean.kl, row.kl);
    sum(&mut mean.diversity, row.diversity);
}
