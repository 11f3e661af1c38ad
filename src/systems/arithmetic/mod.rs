//! Arithmetic: a chain of thought as a latent variable (arXiv:2310.04363 §4.4).
//!
//! A question is "6 - 0 - 4 - 8 = ?"; its rationale "6 - 0 = 6, 6 - 4 = 2, 2 - 8 = -6" copies the operands, so that the running
//! values are what is free: 1,288 rationales of three operands, 82,432 of four. The prior learned from rationales with wrong steps;
//! log r = log p(y | x, z) under it. Models see the question alone. All sums over rationales are exact.

mod exact;
mod learning;
mod net;
mod questions;

use burn::tensor::Tensor;
use tiltrl_policies::models::strings::Strings;
use tiltrl_tilt::finetune::ReplayOptions;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;

use super::baselines::policy_gradient;
use super::exact::Exact;
use super::figures::{Shown, distances, probabilities};
use super::outcome::{Check, Outcome, Row};
use super::request::{Request, Setting, System};
use super::train::{Behaviour, Curve, Recipe, Target, balance};
use crate::error::Error;
use exact::{Answers, Chain};
use learning::{prior, supervised};
use net::{Rationales, StepNet};
use questions::{Question, VALUES, WIDTH, read, token};

/// Largest mean KL to the exact posterior, nats per question.
const KL: f64 = 0.1;
/// Largest shortfall of the accuracy from the exact posterior's.
const ACCURACY: f64 = 0.03;

/// The system.
pub const SYSTEM: System = System {
    name: "arithmetic",
    summary: "rationales of sums and differences of digits as a latent variable; every rationale is enumerated",
    distance: "TV",
    tasks: &["3 operands", "4 operands", "5 operands"],
    settings: &[
        Setting::new("hidden", [320.0, 64.0], [1.0, 4096.0], "width of the two hidden layers"),
        Setting::new("right", [0.7, 0.7], [0.0, 1.0], "share of right steps in what the prior learns from"),
        Setting::new("prior_updates", [3000.0, 300.0], [1.0, 1e7], "updates of the prior"),
        Setting::new("prior_batch", [256.0, 64.0], [1.0, 1e6], "rationales per update of the prior"),
        Setting::new("updates", [2000.0, 100.0], [1.0, 1e7], "updates of the posterior"),
        Setting::new("questions", [16.0, 4.0], [1.0, 1e5], "questions per update"),
        Setting::new("paths", [32.0, 16.0], [2.0, 1e5], "rationales per question and update"),
        Setting::new("rate", [1e-3, 1e-3], [0.0, 1.0], "step size of the posterior"),
        Setting::new("baseline_updates", [1000.0, 50.0], [0.0, 1e7], "updates of each baseline, and of balance with replay; 0: none is trained"),
        Setting::new("test", [100.0, 10.0], [1.0, 500.0], "test questions per number of operands"),
    ],
    run,
};

/// A test question with what is exact about it.
struct Tested {
    question: Question,
    prior: Chain,
    exact: Chain,
    log_z: f64,
    log_reward: Vec<f64>,
}

/// Questions of one number of operands.
struct Set {
    operands: usize,
    all: Vec<Tested>,
}

fn run(request: &Request) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let held_out = test_sets(request, &mut outcome.notes)?;
    let prior = prior(&held_out, request)?;
    let answers = Answers::new(net(&prior));
    let sets: Vec<Set> = held_out
        .into_iter()
        .map(|questions| Set {
            operands: questions[0].operands.len(),
            all: questions
                .into_iter()
                .map(|question| tested(question, &prior, &answers))
                .collect(),
        })
        .collect();
    let mut curves: Vec<(&'static str, Curve)> = Vec::new();
    let mut methods: Vec<(&'static str, Rationales, f64)> = Vec::new();
    train_all(&prior, &answers, (&sets, request), |name, model, curve, seconds| {
        methods.push((name, model, seconds));
        curves.extend(curve.map(|curve| (name, curve)));
    })?;
    for set in sets.iter().filter(|set| request.wants(&name_of(set.operands))) {
        outcome.rows.push(row(set, "prior", |t| &t.prior));
        outcome.rows.push(row(set, "exact", |t| &t.exact));
        outcome.rows.push(with_tool(set, &answers));
        let asked = outcome.rows[outcome.rows.len() - 2].more["accuracy"];
        for (name, model, seconds) in &methods {
            let mut row = row_of_model(set, name, model);
            row.seconds = Some(*seconds);
            if *name == "balance" && set.operands < 5 {
                let accuracy = row.more["accuracy"];
                row.checks = vec![
                    Check::below("KL", row.kl.unwrap_or(f64::NAN), KL),
                    Check::above("accuracy − exact", accuracy - asked, -ACCURACY),
                ];
            }
            outcome.rows.push(row);
        }
    }
    let curves: Vec<_> = curves.iter().map(|(name, curve)| (*name, curve)).collect();
    let title = "Mean KL to the exact posterior, held-out questions";
    outcome.pictures.push(distances("distance", title, "KL", &curves));
    outcome.pictures.push(strings(&sets[0].all[0], &methods[0].1));
    outcome.notes.push(
        "numbers are means over held-out questions, exact by recursion over running values; models see the question alone;\n\
         with a tool the value after \"=\" is filled in: the operands are copied, so that the answer is all that is left to say"
            .into(),
    );
    Ok(outcome)
}

fn name_of(operands: usize) -> String {
    format!("{operands} operands")
}

fn net(model: &Rationales) -> &StepNet {
    tiltrl_tilt::sequential::SequentialModel::weights(model)
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
        Some(folder) => format!("test questions: the first {count} of each set in {}", folder.display()),
        None => format!("test questions: {count} of each length, drawn from the law of the paper's sets"),
    });
    Ok(sets)
}

fn tested(question: Question, prior: &Rationales, answers: &Answers) -> Tested {
    let answer = token(question.answer());
    let log_reward: Vec<f64> = (0..VALUES).map(|v| answers.log_prob(v, answer)).collect();
    let prior = Chain::new(net(prior), &question);
    let (exact, log_z) = prior.tilted(&log_reward);
    Tested {
        question,
        prior,
        exact,
        log_z,
        log_reward,
    }
}

/// Returns conditions [questions, WIDTH].
fn conditions(questions: &[Question], request: &Request) -> Tensor<2> {
    let rows = questions.iter().flat_map(Question::encoded).collect();
    matrix(rows, WIDTH, &request.compute.device)
}

/// Trains every method and hands it over with its distances on the way and its seconds.
fn train_all(
    prior: &Rationales,
    answers: &Answers,
    (sets, request): (&[Set], &Request),
    mut done: impl FnMut(&'static str, Rationales, Option<Curve>, f64),
) -> Result<(), Error> {
    let settings = &request.settings;
    let held_out: Vec<Vec<Question>> = sets
        .iter()
        .map(|set| set.all.iter().map(|t| t.question.clone()).collect())
        .collect();
    let draw = |noise: &mut Noise| {
        let count = settings.count("questions");
        conditions(&learning::training(count, &held_out, noise), request)
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
    let recipe = |updates: &str| Recipe {
        max_gradient_norm: 1.0,
        checkpoints: 10,
        ..Recipe::new(settings.count(updates), settings.number("rate"))
    };
    let target = |task| Target {
        task,
        prior,
        conditions: &draw,
        log_reward: &log_reward,
        distance: &distance,
    };
    let paths = settings.count("paths");
    let plain = Behaviour::on_policy(paths);
    let tuned = balance(&target("arithmetic"), (&recipe("updates"), &plain), request)?;
    done("balance", tuned.model, Some(tuned.curve), tuned.seconds);
    if settings.count("baseline_updates") == 0 {
        return Ok(());
    }
    let short = recipe("baseline_updates");
    let replay = ReplayOptions {
        groups: settings.count("questions") / 2,
        paths: 8,
        ..ReplayOptions::default()
    };
    let replayed = Behaviour { replay, ..plain };
    let tuned = balance(&target("arithmetic replay"), (&short, &replayed), request)?;
    done("balance + replay", tuned.model, Some(tuned.curve), tuned.seconds);
    for (name, kl) in [("policy gradient", 0.0), ("policy gradient + KL", 1.0)] {
        let tuned = policy_gradient(&target("arithmetic"), (&short, paths, kl), request)?;
        done(name, tuned.model, Some(tuned.curve), tuned.seconds);
    }
    let tuned = supervised(prior, &held_out, request)?;
    done("supervised on 50", tuned.model, None, tuned.seconds);
    Ok(())
}

fn mean(set: &Set, number: impl Fn(&Tested) -> f64) -> f64 {
    set.all.iter().map(number).sum::<f64>() / set.all.len() as f64
}

fn row_of_model(set: &Set, method: &str, model: &Rationales) -> Row {
    let all: Vec<Chain> = set
        .all
        .iter()
        .map(|t| Chain::new(net(model), &t.question))
        .collect();
    let pairs: Vec<(&Tested, &Chain)> = set.all.iter().zip(&all).collect();
    row_of_pairs(set, method, &pairs)
}

fn row(set: &Set, method: &str, chain: impl Fn(&Tested) -> &Chain) -> Row {
    let pairs: Vec<(&Tested, &Chain)> = set.all.iter().map(|t| (t, chain(t))).collect();
    row_of_pairs(set, method, &pairs)
}

fn row_of_pairs(set: &Set, method: &str, pairs: &[(&Tested, &Chain)]) -> Row {
    let mean = |number: &dyn Fn(&Tested, &Chain) -> f64| {
        pairs.iter().map(|(t, q)| number(t, q)).sum::<f64>() / pairs.len() as f64
    };
    let under = |t: &Tested, q: &Chain, number: fn(f64) -> f64| -> f64 {
        let some = q.last();
        let some = some.iter().zip(&t.log_reward).filter(|(q, _)| **q > 0.0);
        some.map(|(q, r)| q * number(*r)).sum()
    };
    let right = |t: &Tested, q: &Chain| q.last()[token(t.question.answer())];
    let kl = mean(&|t, q| q.divergence(&t.exact));
    let log_z = mean(&|t, _| t.log_z);
    let mut row = Row::new(&name_of(set.operands), method);
    row.reference = Some(log_z);
    row.elbo = Some(log_z - kl);
    row.kl = Some(kl);
    row.log_reward = Some(mean(&|t, q| under(t, q, |r| r)));
    // Walks through every rationale; of five operands there are 6.8 million per question.
    row.distance = (set.operands < 5).then(|| mean(&|t, q| q.total_variation(&t.exact)));
    row.diversity = Some(mean(&|_, q| q.entropy().exp()));
    row.more.insert("accuracy".into(), mean(&|t, q| under(t, q, f64::exp)));
    row.more.insert("right value".into(), mean(&right));
    row
}

/// The evaluator fills in every value: what is left is the answer, said by the prior.
fn with_tool(set: &Set, answers: &Answers) -> Row {
    let mut row = Row::new(&name_of(set.operands), "prior with a tool");
    let said = |t: &Tested| {
        let answer = token(t.question.answer());
        answers.log_prob(answer, answer).exp()
    };
    row.more.insert("accuracy".into(), mean(set, said));
    row.more.insert("right value".into(), 1.0);
    row
}

/// The rationales of a question of three operands.
fn strings(tested: &Tested, model: &Rationales) -> super::outcome::Picture {
    let question = &tested.question;
    let all = Chain::pairs();
    let found = Chain::new(net(model), question);
    let masses = |chain: &Chain| all.iter().map(|z| chain.probability(z)).collect::<Vec<f64>>();
    let rewards = all.iter().map(|z| tested.log_reward[z[1]]).collect();
    let exact = Exact::new(masses(&tested.prior), rewards);
    let (found, prior) = (masses(&found), masses(&tested.prior));
    let shown = [
        Shown { label: "balance", probabilities: &found },
        Shown { label: "prior", probabilities: &prior },
    ];
    let value = |t: usize| t as i32 + questions::LEAST;
    let name = |i: usize| format!("{}, {}", value(all[i][0]), value(all[i][1]));
    let signs = question.minus.iter().map(|m| if *m { "-" } else { "+" });
    let rest: Vec<String> = signs
        .zip(&question.operands[1..])
        .map(|(sign, operand)| format!("{sign} {operand}"))
        .collect();
    let title = format!("Running values of {} {}", question.operands[0], rest.join(" "));
    probabilities("strings", &title, &exact, (&shown, &name), 10)
}
