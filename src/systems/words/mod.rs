//! Words: a masked diffusion over the letters of an English word list, whose marginal over all strings is known.
//!
//! Two tasks. "doubles": log r = 4·[double letter] − 4·[contains s]. "infilling": hard evidence by clamping known letters, and
//! log r = log p(suffix | prefix, infill) under an autoregressive model of the same words, as in arXiv:2405.20971 §3.3.

mod data;
mod models;

use tiltrl_policies::models::Strings;
use tiltrl_tilt::finetune::Mixture;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;

use super::baselines::{best_samples, policy_gradient};
use super::exact::{Exact, Sampled};
use super::figures::{Line, Shown, distances, probabilities};
use super::outcome::{Check, Outcome, Row};
use super::request::{Request, Setting, System};
use super::train::{Behaviour, Curve, Recipe, Target, Tuned, balance};
use crate::error::Error;
use data::{LETTERS, doubles_without_s, evidence, spelled, words};
use models::{Prior, none, prior, suffix_model, suffix_rewards};

/// Paths of the posterior that ELBO, importance and ESS are estimated from.
const PATHS: usize = 4096;
/// Total variation that a row must stay below.
const TV: f64 = 0.02;
/// Largest |learned log Z − exact|, nats.
const LOG_Z: f64 = 0.02;

/// What `tiltrl tilt words` runs.
pub const SYSTEM: System = System {
    name: "words",
    summary: "a masked diffusion over English words of four letters; all 456,976 strings are enumerated",
    distance: "TV",
    tasks: &["doubles", "infilling"],
    settings: &[
        Setting::new("letters", [4.0, 3.0], [3.0, 4.0], "letters per word"),
        Setting::new(
            "hidden",
            [256.0, 128.0],
            [1.0, 4096.0],
            "width of the two hidden layers",
        ),
        Setting::new(
            "prior_updates",
            [3500.0, 1500.0],
            [1.0, 1e7],
            "updates of the prior",
        ),
        Setting::new(
            "prior_batch",
            [384.0, 256.0],
            [1.0, 1e6],
            "words per update of the prior",
        ),
        Setting::new(
            "prior_rate",
            [5e-3, 3e-3],
            [0.0, 1.0],
            "step size of the prior",
        ),
        Setting::new(
            "updates",
            [1500.0, 2000.0],
            [1.0, 1e7],
            "updates of the posterior",
        ),
        Setting::new(
            "infilling_updates",
            [300.0, 300.0],
            [1.0, 1e7],
            "updates of the infilling's posterior, which starts near its prior",
        ),
        Setting::new(
            "paths",
            [4096.0, 256.0],
            [2.0, 1e6],
            "paths of the posterior per update",
        ),
        Setting::new(
            "prior_paths",
            [128.0, 64.0],
            [0.0, 1e6],
            "paths of the prior per update",
        ),
        Setting::new(
            "rate",
            [1e-2, 1e-2],
            [0.0, 1.0],
            "step size of the posterior",
        ),
        Setting::new(
            "baseline_updates",
            [300.0, 0.0],
            [0.0, 1e7],
            "updates of each trained baseline; 0: none is trained",
        ),
    ],
    run,
};

fn run(request: &Request) -> Result<Outcome, Error> {
    let length = request.settings.count("letters");
    let list = words(length);
    // The prior never moves again: what it says of every partly masked word is looked up.
    let prior = prior(&list, request)?.tabulated();
    let masses = prior.enumerate(&none(1, request));
    let on_list: f64 = list.index(LETTERS).iter().map(|&i| masses[i]).sum();
    let mut outcome = Outcome::default();
    let seconds = request.dir.seconds()?;
    outcome.notes.push(format!(
        "prior: {:.1} % of its mass on the {} words of the list, trained in {:.0} s; TV, KL and the prior's log Z are exact, over all strings",
        100.0 * on_list,
        list.tokens.len() / length,
        seconds.get("prior").copied().unwrap_or(0.0),
    ));
    if request.wants("doubles") {
        doubles(&prior, masses, request, &mut outcome)?;
    }
    if request.wants("infilling") {
        infilling(&prior, &list, request, &mut outcome)?;
    }
    Ok(outcome)
}

fn recipe(request: &Request, updates: &str) -> Recipe {
    let settings = &request.settings;
    Recipe {
        checkpoints: 5,
        max_gradient_norm: 10.0,
        ..Recipe::new(settings.count(updates), settings.number("rate"))
    }
}

/// A task whose elements are strings, by their index among all strings.
struct Task<'a> {
    name: &'a str,
    prior: &'a Prior,
    exact: Exact,
    /// The elements of `exact` among all strings.
    elements: Vec<usize>,
    log_reward: &'a dyn Fn(&Strings) -> Vec<f64>,
    /// The setting that holds its number of updates.
    updates: &'static str,
}

impl Task<'_> {
    fn masses(&self, model: &Prior, request: &Request) -> Vec<f64> {
        let all = model.enumerate(&none(1, request));
        self.elements.iter().map(|&i| all[i]).collect()
    }
}

fn doubles(
    prior: &Prior,
    masses: Vec<f64>,
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let all = Strings::all(LETTERS, request.settings.count("letters"));
    let task = Task {
        name: "doubles",
        prior,
        elements: (0..masses.len()).collect(),
        exact: Exact::new(masses, doubles_without_s(&all)),
        log_reward: &doubles_without_s,
        updates: "updates",
    };
    solve(&task, request, outcome)
}

fn infilling(
    prior: &Prior,
    list: &Strings,
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let pattern = if list.length == 3 { "??e" } else { "?a?e" };
    let evidence = evidence(pattern);
    let all = Strings::all(LETTERS, list.length);
    let fits = |row: &[u32]| {
        let mut pairs = row.iter().zip(&evidence);
        pairs.all(|(token, known)| known.is_none_or(|k| k == *token))
    };
    let rows = all.tokens.chunks_exact(list.length).enumerate();
    let elements: Vec<usize> = rows.filter(|(_, row)| fits(row)).map(|(i, _)| i).collect();
    let suffix = suffix_model(list, request)?;
    let rewards = suffix_rewards(&suffix, &evidence, &elements, request);
    let clamped = prior.clamped(&evidence);
    let masses = clamped.enumerate(&none(1, request));
    let masses = elements.iter().map(|&i| masses[i]).collect();
    let log_reward = |strings: &Strings| {
        let at = |i: &usize| elements.binary_search(i).expect("evidence is clamped");
        let index = strings.index(LETTERS);
        index.iter().map(|i| rewards[at(i)]).collect()
    };
    outcome.notes.push(format!(
        "infilling: {pattern}, the letters shown are clamped; log r is that of the suffix after the last gap under an autoregressive model"
    ));
    let task = Task {
        name: "infilling",
        prior: &clamped,
        exact: Exact::new(masses, rewards.clone()),
        elements: elements.clone(),
        log_reward: &log_reward,
        updates: "infilling_updates",
    };
    solve(&task, request, outcome)
}

/// Tilts, trains the baselines, and adds rows and pictures.
fn solve(task: &Task<'_>, request: &Request, outcome: &mut Outcome) -> Result<(), Error> {
    let (settings, exact) = (&request.settings, &task.exact);
    let distance = |model: &Prior| exact.total_variation(&task.masses(model, request));
    let log_reward =
        |strings: &Strings, _: &<Prior as SequentialModel>::Condition| (task.log_reward)(strings);
    let target = Target {
        task: task.name,
        prior: task.prior,
        conditions: &|_| none(1, request),
        log_reward: &log_reward,
        distance: &distance,
    };
    let paths = settings.count("paths");
    let mut behaviour = Behaviour::on_policy(paths);
    behaviour.mixture = Mixture {
        prior: settings.count("prior_paths"),
        ..behaviour.mixture
    };
    let tuned = balance(&target, &recipe(request, task.updates), &behaviour, request)?;
    let found = task.masses(&tuned.model, request);
    let mut rows = vec![
        exact.row(task.name, "prior", &exact.prior),
        exact.row(task.name, "exact", &exact.posterior),
    ];
    rows.push(row(&target, exact, "balance", &tuned, (&found, request)));
    let learned = tuned.log_z.unwrap_or(f64::NAN);
    rows[2].checks = vec![
        Check::below("TV", rows[2].distance.unwrap_or(f64::NAN), TV),
        Check::below("|Δ log Z|", (learned - exact.log_z).abs(), LOG_Z),
    ];
    let mut curves = vec![("balance", tuned.curve)];
    let mut noise = Noise::keyed(request.seed, "resampling", 0);
    // An update of balance passes each path through the networks four times: drawn, scored twice, and back.
    let same = 4 * settings.count(task.updates) * behaviour.paths();
    rows.push(exact.importance_resampling(task.name, same.min(2_000_000), &mut noise));
    for (name, model) in baselines(&target, request)? {
        let found = task.masses(&model.model, request);
        rows.push(row(&target, exact, name, &model, (&found, request)));
        curves.push((name, model.curve));
    }
    draw(task, &found, (&curves, request), outcome);
    outcome.rows.extend(rows);
    Ok(())
}

/// Strings beside their exact probabilities, and distances over the updates.
fn draw(
    task: &Task<'_>,
    found: &[f64],
    (curves, request): (&[(&'static str, Curve)], &Request),
    outcome: &mut Outcome,
) {
    let (exact, length) = (&task.exact, request.settings.count("letters"));
    let shown = [
        Shown {
            label: "balance",
            probabilities: found,
        },
        Shown {
            label: "prior",
            probabilities: &exact.prior,
        },
    ];
    let name = |i: usize| spelled(task.elements[i], length);
    let stem = |what: &str| format!("{what}-{}", task.name);
    let lines = curves.iter().map(|(label, curve)| Line { label, curve });
    let curves: Vec<_> = lines.collect();
    outcome.pictures.push(probabilities(
        &stem("strings"),
        &format!("Words and their probabilities: {}", task.name),
        exact,
        &shown,
        &name,
        12,
    ));
    let title = format!("Distance to the exact posterior: {}", task.name);
    outcome
        .pictures
        .push(distances(&stem("distance"), &title, "TV", &curves));
}

type Named = (&'static str, Tuned<Prior>);

fn baselines(target: &Target<'_, Prior>, request: &Request) -> Result<Vec<Named>, Error> {
    if request.settings.count("baseline_updates") == 0 {
        return Ok(Vec::new());
    }
    let recipe = recipe(request, "baseline_updates");
    let paths = request.settings.count("paths");
    let gradient = |kl| policy_gradient(target, &recipe, paths, kl, request);
    Ok(vec![
        ("policy gradient", gradient(0.0)?),
        ("policy gradient + KL", gradient(1.0)?),
        (
            "best samples",
            best_samples(target, &recipe, paths, [20_000, 1000], request)?,
        ),
    ])
}

/// The row of a trained model: what is exact, and what its paths say.
fn row(
    target: &Target<'_, Prior>,
    exact: &Exact,
    method: &str,
    tuned: &Tuned<Prior>,
    (found, request): (&[f64], &Request),
) -> Row {
    let mut noise = Noise::keyed(request.seed, "sampled", 0);
    let conditions = none(PATHS, request);
    let sampled = Sampled::of(
        &tuned.model,
        target.prior,
        target.log_reward,
        &conditions,
        &mut noise,
    );
    Row {
        log_z: tuned.log_z,
        seconds: Some(tuned.seconds),
        ..sampled.fill(exact.row(target.task, method, found))
    }
}
