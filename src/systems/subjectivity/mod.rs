//! Subjectivity: a word as the latent reason for a label, by expectation maximisation (arXiv:2310.04363 §4.3).
//!
//! A sentence x has a label y, subjective or not. The prior p(z|x) names words that would fit into the sentence; it learned so
//! without labels. p(y|z) is a logistic sum over the words of z. The E-step is the posterior p(z|x) p(y|z)/Z, amortised by the
//! fine-tuner and held to the exact one over all z; the M-step fits p(y|z). A mechanism check: the prior is no language model.
//! Both labels are taken to be equally common, as they are in SUBJ: by p(y|z) among the sentences without labels, and by naive Bayes.

mod data;
mod em;
mod models;

use tiltrl_plots::{IntervalRow, Intervals};

use super::outcome::{Check, Figure, Outcome, Picture, Row};
use super::request::{Request, Setting, System};
use crate::error::Error;
use data::{Lexicon, Sentence, naive_bayes, read};
use em::{Found, Near, Work, shares};
use models::{Teller, prior};

/// Largest mean KL to the exact posterior, nats per pair of a sentence and a label.
const KL: f64 = 0.05;
/// Largest shortfall of the accuracy from that with exact E-steps.
const ACCURACY: f64 = 0.03;
/// Pairs of a sentence and a label that the E-step is held to.
const PAIRS: usize = 200;
/// Files by the number of their labels.
const SETS: [(&str, &str); 4] = [
    ("10 labels", "train.10.jsonl"),
    ("20 labels", "train.20.jsonl"),
    ("50 labels", "train.50.jsonl"),
    ("8000 labels", "train.jsonl"),
];

/// What `tiltrl tilt subjectivity` runs.
pub const SYSTEM: System = System {
    name: "subjectivity",
    summary: "a word as the latent reason for a label, by expectation maximisation (--data FOLDER with the splits of SUBJ); every word is enumerated",
    distance: "TV",
    tasks: &["10 labels", "20 labels", "50 labels", "8000 labels"],
    settings: &[
        Setting::new(
            "words",
            [1.0, 1.0],
            [1.0, 2.0],
            "words of a reason, at most",
        ),
        Setting::new(
            "latent",
            [200.0, 40.0],
            [2.0, 5000.0],
            "words that a reason may hold",
        ),
        Setting::new(
            "skipped",
            [50.0, 10.0],
            [0.0, 5000.0],
            "most frequent words that no reason holds",
        ),
        Setting::new(
            "seen",
            [1000.0, 200.0],
            [1.0, 50_000.0],
            "most frequent words that models see",
        ),
        Setting::new(
            "hidden",
            [64.0, 16.0],
            [1.0, 4096.0],
            "width of the hidden layer",
        ),
        Setting::new(
            "prior_updates",
            [2000.0, 100.0],
            [1.0, 1e7],
            "updates of the prior",
        ),
        Setting::new(
            "prior_batch",
            [256.0, 64.0],
            [1.0, 1e6],
            "sentences per update of the prior",
        ),
        Setting::new(
            "rounds",
            [3.0, 2.0],
            [1.0, 100.0],
            "rounds of expectation and maximisation",
        ),
        Setting::new(
            "updates",
            [500.0, 30.0],
            [1.0, 1e7],
            "updates of the E-step of each round",
        ),
        Setting::new(
            "sentences",
            [32.0, 8.0],
            [2.0, 1e5],
            "sentences per update, half of them without a label of their own",
        ),
        Setting::new(
            "paths",
            [32.0, 16.0],
            [2.0, 1e5],
            "reasons per sentence and update",
        ),
        Setting::new("rate", [2e-3, 2e-3], [0.0, 1.0], "step size of the E-step"),
        Setting::new(
            "penalty",
            [0.05, 0.05],
            [1e-6, 1e6],
            "penalty of the weights of words in the M-step",
        ),
    ],
    run,
};

/// A method with the share of test sentences that it labels right.
type Accuracy = (&'static str, f64);

fn run(request: &Request) -> Result<Outcome, Error> {
    let folder = request.data.as_deref().ok_or_else(|| {
        Error::Usage(
            "subjectivity: --data FOLDER is needed, with train.10.jsonl, train.20.jsonl, train.50.jsonl, train.jsonl and test.jsonl\n  hint: they are SUBJ (Pang and Lee 2004) in the splits of Hu et al. 2024"
                .into(),
        )
    })?;
    let (unlabelled, test) = (read(folder, "train.jsonl")?, read(folder, "test.jsonl")?);
    let settings = &request.settings;
    let latent = ["skipped", "latent"].map(|key| settings.count(key));
    let lexicon = Lexicon::new(&unlabelled, settings.count("seen"), latent);
    let prior = prior(&lexicon, &unlabelled, request)?;
    let shares = shares(&lexicon, &prior, &unlabelled, request);
    let mut outcome = Outcome::default();
    let mut accuracies = Vec::new();
    for (name, file) in SETS.iter().filter(|(name, _)| request.wants(name)) {
        let labelled = read(folder, file)?;
        let work = Work {
            request,
            lexicon: &lexicon,
            prior: &prior,
            unlabelled: &unlabelled,
            labelled: &labelled,
            shares: &shares,
        };
        accuracies.push((*name, task(name, &work, &test, &mut outcome)?));
    }
    outcome.pictures.push(picture(&accuracies));
    outcome.notes.push(format!(
        "{} sentences without labels for the prior, {} to test with; naive Bayes sees the labelled ones alone",
        unlabelled.len(),
        test.len()
    ));
    Ok(outcome)
}

/// One number of labels: rows of all methods.
fn task(
    name: &str,
    work: &Work<'_>,
    test: &[Sentence],
    outcome: &mut Outcome,
) -> Result<Vec<Accuracy>, Error> {
    let labelled: Vec<&Sentence> = work.labelled.iter().take(PAIRS).collect();
    let held_out: Vec<&Sentence> = test.iter().take(PAIRS).collect();
    let start = work.told_by_prior();
    let exact = work.exact();
    let tilted = work.amortised()?;
    let mut accuracies = vec![("naive Bayes", naive_bayes(work.labelled, test))];
    let tellers = [
        ("prior", &start),
        ("EM, exact E-step", &exact.teller),
        ("EM, balance", &tilted.teller),
    ];
    accuracies.extend(tellers.map(|(method, teller)| (method, work.accuracy(teller, test))));
    let mut rows = Vec::new();
    for (method, accuracy) in &accuracies {
        let mut row = Row::new(name, method);
        row.more.insert("accuracy".into(), *accuracy);
        rows.push(row);
    }
    let near = work.near(work.prior, &labelled, &tilted.before);
    rows[1] = with(&rows[1], near);
    if let Some(tuned) = &tilted.tuned {
        let near = work.near(&tuned.model, &labelled, &tilted.before);
        let others = work.near(&tuned.model, &held_out, &tilted.before);
        rows[3] = with(&rows[3], near);
        rows[3].log_z = tuned.log_z;
        rows[3].seconds = Some(tilted.seconds);
        rows[3].more.insert("held-out KL".into(), others.kl);
        let [sought, found] = [accuracies[2].1, accuracies[3].1];
        rows[3].checks = vec![
            Check::below("KL", near.kl, KL),
            Check::below("held-out KL", others.kl, KL),
            Check::above("accuracy − exact EM's", found - sought, -ACCURACY),
        ];
    }
    outcome.rows.extend(rows);
    outcome
        .notes
        .push(told(name, &tilted, &work.lexicon.latent));
    Ok(accuracies)
}

fn with(row: &Row, near: Near) -> Row {
    Row {
        reference: Some(near.log_z),
        elbo: Some(near.log_z - near.kl),
        ess: Some(near.ess),
        log_reward: Some(near.log_reward),
        distance: Some(near.distance),
        kl: Some(near.kl),
        diversity: Some(near.diversity),
        ..row.clone()
    }
}

/// The words that say most.
fn told(name: &str, found: &Found, words: &[String]) -> String {
    let Teller { weights } = &found.teller;
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    let list = |some: &[usize]| -> String {
        let words: Vec<&str> = some.iter().map(|&i| words[i].as_str()).collect();
        words.join(" ")
    };
    let few = order.len().min(6);
    let last: Vec<usize> = order.iter().rev().take(few).copied().collect();
    format!(
        "{name}: subjective by {}; objective by {}",
        list(&order[..few]),
        list(&last)
    )
}

fn picture(accuracies: &[(&'static str, Vec<Accuracy>)]) -> Picture {
    let rows = accuracies.iter().flat_map(|(name, methods)| {
        methods.iter().map(|(method, value)| IntervalRow {
            group: (*name).into(),
            label: (*method).into(),
            point: *value,
            low: *value,
            high: *value,
        })
    });
    Picture::new(
        "accuracy",
        Figure::Intervals(Intervals {
            title: "Sentences labelled right".into(),
            subtitle: "Share of the test sentences, by how many labels were given".into(),
            x_label: "Accuracy".into(),
            rows: rows.collect(),
        }),
    )
}
