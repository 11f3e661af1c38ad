//! Arithmetic: a chain of thought as a latent variable (arXiv:2310.04363 §4.4).
//!
//! A question is "6 - 0 - 4 - 8 = ?"; its rationale "6 - 0 = 6, 6 - 4 = 2, 2 - 8 = -6" copies the operands, so that the running
//! values are what is free: 1,288 rationales of three operands, 82,432 of four. The prior learned from rationales with wrong steps;
//! log r = log p(y | x, z) under it. Models see the question alone. All sums over rationales are exact.

mod exact;
mod learning;
mod net;
mod questions;
mod rows;

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_tilt::finetune::{Mixture, ReplayOptions};
use tiltrl_tilt::host::host;
use tiltrl_tilt::noise::Noise;

use super::baselines::policy_gradient;
use super::figures::{Line, distances};
use super::outcome::{Check, Outcome};
use super::request::{Request, Setting, System};
use super::train::{Behaviour, Curve, Recipe, Target, Tuned, balance};
use crate::error::Error;
use exact::{Answers, Chain};
use learning::{conditions, prior, supervised, training};
use net::Rationales;
use questions::{Question, WIDTH, read, token};
use rows::{Set, name_of, net, row, row_of_model, strings, with_tool};

/// Largest mean KL to the exact posterior, nats per question.
const KL: f64 = 0.1;
/// Largest shortfall of the accuracy from the exact posterior's.
const ACCURACY: f64 = 0.03;

/// What `tiltrl tilt arithmetic` runs.
pub const SYSTEM: System = System {
    name: "arithmetic",
    summary: "rationales of sums and differences of digits as a latent variable; every rationale is enumerated",
    distance: "TV",
    tasks: &["3 operands", "4 operands", "5 operands"],
    settings: &[
        Setting::new(
            "hidden",
            [320.0, 64.0],
            [1.0, 4096.0],
            "width of the two hidden layers",
        ),
        Setting::new(
            "right",
            [0.7, 0.7],
            [0.0, 1.0],
            "share of right steps in what the prior learns from",
        ),
        Setting::new(
            "prior_updates",
            [3000.0, 300.0],
            [1.0, 1e7],
            "updates of the prior",
        ),
        Setting::new(
            "prior_batch",
            [256.0, 64.0],
            [1.0, 1e6],
            "rationales per update of the prior",
        ),
        Setting::new(
            "updates",
            [16000.0, 100.0],
            [1.0, 1e7],
            "updates of the posterior",
        ),
        Setting::new("questions", [32.0, 4.0], [1.0, 1e5], "questions per update"),
        Setting::new(
            "paths",
            [8.0, 12.0],
            [2.0, 1e5],
            "rationales per question and update",
        ),
        Setting::new(
            "prior_paths",
            [8.0, 4.0],
            [0.0, 1e5],
            "rationales of the prior per question and update: they find answers that the posterior gave up",
        ),
        Setting::new(
            "rate",
            [2e-3, 1e-3],
            [0.0, 1.0],
            "step size of the posterior",
        ),
        Setting::new(
            "baseline_updates",
            [500.0, 50.0],
            [0.0, 1e7],
            "updates of each baseline, and of balance with replay; 0: none is trained",
        ),
        Setting::new(
            "test",
            [100.0, 10.0],
            [1.0, 500.0],
            "test questions per number of operands",
        ),
    ],
    run,
};

/// A trained method: its name, its model, distances on the way and seconds.
struct Method {
    name: &'static str,
    model: Rationales,
    curve: Curve,
    seconds: f64,
}

impl Method {
    fn new(name: &'static str, tuned: Tuned<Rationales>) -> Self {
        Self {
            name,
            model: tuned.model,
            curve: tuned.curve,
            seconds: tuned.seconds,
        }
    }
}

fn run(request: &Request) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let held_out = test_sets(request, &mut outcome.notes)?;
    let prior = prior(&held_out, request)?;
    let answers = Answers::new(net(&prior));
    let all = held_out.iter().cloned();
    let sets: Vec<Set> = all.map(|q| Set::new(q, &prior, &answers)).collect();
    let methods = train_all(&prior, &answers, (&sets, &held_out), request)?;
    for set in sets.iter().filter(|s| request.wants(&name_of(s.operands))) {
        outcome.rows.push(row(set, "prior", |t| &t.prior));
        let exact = row(set, "exact", |t| &t.exact);
        let asked = exact.more["accuracy"];
        outcome.rows.push(exact);
        outcome.rows.push(with_tool(set, &answers));
        for method in &methods {
            let mut row = row_of_model(set, method.name, &method.model);
            row.seconds = Some(method.seconds);
            if method.name == "balance" && set.operands < 5 {
                let accuracy = row.more["accuracy"];
                row.checks = vec![
                    Check::below("KL", row.kl.unwrap_or(f64::NAN), KL),
                    Check::above("accuracy − exact", accuracy - asked, -ACCURACY),
                ];
            }
            outcome.rows.push(row);
        }
    }
    let curves = methods.iter().map(|m| Line {
        label: m.name,
        curve: &m.curve,
    });
    let curves: Vec<_> = curves.collect();
    let title = "Mean KL to the exact posterior, held-out questions";
    outcome
        .pictures
        .push(distances("distance", title, "KL", &curves));
    outcome
        .pictures
        .push(strings(&sets[0].all[0], &methods[0].model));
    outcome.notes.push(
        "numbers are means over held-out questions, exact by recursion over running values; models see the question alone;\n\
         with a tool the value after \"=\" is filled in: the operands are copied, so that the answer is all that is left to say"
            .into(),
    );
    Ok(outcome)
}

/// The test questions of 3, 4 and 5 operands: the user's, or drawn from the same law.
fn test_sets(request: &Request, notes: &mut Vec<String>) -> Result<Vec<Vec<Question>>, Error> {
    let count = request.settings.count("test");
    let mut sets = Vec::new();
    for operands in 3..=5 {
        let mut set = match &request.data {
            Some(folder) => read(folder, &format!("1digit_{operands}_op+-_test.json"))?,
            None => {
                let mut noise = Noise::keyed(0, "test-questions", operands as u64);
                let draw = |_| Question::random(operands, &mut noise);
                (0..count).map(draw).collect()
            }
        };
        set.truncate(count);
        sets.push(set);
    }
    notes.push(match &request.data {
        Some(folder) => format!(
            "test questions: the first {count} of each set in {}",
            folder.display()
        ),
        None => format!(
            "test questions: {count} of each length, drawn from the law of the paper's sets"
        ),
    });
    Ok(sets)
}

/// Trains every method.
fn train_all(
    prior: &Rationales,
    answers: &Answers,
    (sets, held_out): (&[Set], &[Vec<Question>]),
    request: &Request,
) -> Result<Vec<Method>, Error> {
    let settings = &request.settings;
    let draw = |noise: &mut Noise| {
        let count = settings.count("questions");
        conditions(&training(count, held_out, noise), request)
    };
    let log_reward = |strings: &Strings, condition: &Tensor<2>| -> Vec<f64> {
        let conditions = host(condition.clone());
        let rows = strings.tokens.chunks_exact(strings.length);
        let pairs = rows.zip(conditions.chunks_exact(WIDTH));
        pairs
            .map(|(row, condition)| {
                let question = Question::decoded(condition);
                let last = row[question.steps() - 1] as usize;
                answers.log_prob(last, token(question.answer()))
            })
            .collect()
    };
    let distance = |model: &Rationales| -> f64 {
        let some = sets[..2].iter().flat_map(|set| set.all.iter().take(10));
        let all: Vec<f64> = some
            .map(|t| Chain::new(net(model), &t.question).divergence(&t.exact))
            .collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let target = Target {
        task: "arithmetic",
        prior,
        conditions: &draw,
        log_reward: &log_reward,
        distance: &distance,
    };
    let plain = Behaviour {
        mixture: Mixture {
            prior: settings.count("prior_paths"),
            ..Mixture::on_policy(settings.count("paths"))
        },
        ..Behaviour::on_policy(2)
    };
    let long = recipe("updates", request);
    let tuned = balance(&target, &long, &plain, request)?;
    let mut methods = vec![Method::new("balance", tuned)];
    if settings.count("baseline_updates") > 0 {
        methods.extend(baselines(&target, plain, request)?);
        let tuned = supervised(prior, held_out, request)?;
        methods.push(Method::new("supervised on 50", tuned));
    }
    Ok(methods)
}

fn recipe(updates: &str, request: &Request) -> Recipe {
    let settings = &request.settings;
    Recipe {
        max_gradient_norm: 1.0,
        checkpoints: 10,
        ..Recipe::new(settings.count(updates), settings.number("rate"))
    }
}

fn baselines(
    target: &Target<'_, Rationales>,
    plain: Behaviour,
    request: &Request,
) -> Result<Vec<Method>, Error> {
    let (short, paths) = (recipe("baseline_updates", request), plain.paths());
    let replay = ReplayOptions {
        groups: request.settings.count("questions") / 2,
        paths: 8,
        ..ReplayOptions::default()
    };
    let replayed = Behaviour { replay, ..plain };
    let again = Target {
        task: "arithmetic replay",
        ..*target
    };
    let gradient = |kl| policy_gradient(target, &short, paths, kl, request);
    Ok(vec![
        Method::new(
            "balance + replay",
            balance(&again, &short, &replayed, request)?,
        ),
        Method::new("policy gradient", gradient(0.0)?),
        Method::new("policy gradient + KL", gradient(1.0)?),
    ])
}
