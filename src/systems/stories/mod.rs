//! Stories: infilling with a pre-trained language model (arXiv:2310.04363 §4.2, 2405.20971 §3.3).
//!
//! The prior is a Llama of the tinyllamas, from the user's folder. A task is a text with a gap of two tokens; log r is
//! log p(the text after the gap | all before it). All 262,144 infills are enumerated, so that the posterior is exact. Two more tasks:
//! continuations at a temperature of the whole text, and one policy for many gaps.

mod amortised;
mod enumerate;
mod file;
mod infill;
mod pairs;
mod reader;
mod tempered;
mod tokenizer;
mod work;

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{HostLlama, Llama};
use tiltrl_tilt::noise::Noise;

use super::exact::Exact;
use super::figures::{Line, Shown, distances, probabilities};
use super::outcome::Outcome;
use super::request::{Request, Setting, System};
use super::train::slug;
use crate::error::Error;
use enumerate::{Gap, table};
use file::{Stories, load};
use infill::Infill;
use tokenizer::{START, Tokenizer};
use work::{Curves, Solved, Work};

/// Texts before and after a gap.
const TASKS: [(&str, [&str; 2]); 3] = [
    (
        "dog",
        ["One day, the dog went to the", "and swam in the water."],
    ),
    (
        "Lily",
        [
            "Once upon a time, there was a",
            "named Lily. She loved to play.",
        ],
    ),
    ("Tom", ["Tom had a big", "He was very sad."]),
];

/// What `tiltrl tilt stories` runs.
pub const SYSTEM: System = System {
    name: "stories",
    summary: "a pre-trained Llama of 260,032 parameters (--data FOLDER with stories260K.bin, tok512.bin) fills gaps of two tokens",
    distance: "TV",
    tasks: &["dog", "Lily", "Tom", "tempered", "amortised"],
    settings: &[
        Setting::new(
            "updates",
            [2000.0, 50.0],
            [1.0, 1e7],
            "updates of the posterior",
        ),
        Setting::new(
            "on_policy",
            [512.0, 16.0],
            [0.0, 1e5],
            "infills of the posterior per update; they share the tree that is read, so that many cost little more than few",
        ),
        Setting::new(
            "explored",
            [256.0, 8.0],
            [0.0, 1e5],
            "infills of the posterior at a temperature that falls to 1",
        ),
        Setting::new(
            "temperature",
            [3.0, 1.5],
            [1.0, 100.0],
            "that temperature at the start; infills that prior and posterior hardly draw are found by it alone",
        ),
        Setting::new(
            "prior_paths",
            [128.0, 8.0],
            [0.0, 1e5],
            "infills of the prior per update",
        ),
        Setting::new(
            "replay",
            [0.0, 8.0],
            [0.0, 1e5],
            "good infills seen before, per update",
        ),
        Setting::new("rate", [1e-3, 1e-3], [0.0, 1.0], "step size"),
        Setting::new(
            "rank",
            [8.0, 0.0],
            [0.0, 64.0],
            "rank of the low-rank adapters of a second row; 0: no such row",
        ),
        Setting::new(
            "tempered_updates",
            [400.0, 20.0],
            [1.0, 1e7],
            "updates at each temperature of the task `tempered`",
        ),
        Setting::new(
            "pairs",
            [200.0, 6.0],
            [2.0, 1e5],
            "pairs of texts that one policy learns to fill, in the task `amortised`",
        ),
        Setting::new(
            "amortised_updates",
            [500.0, 10.0],
            [1.0, 1e7],
            "updates of that policy",
        ),
        Setting::new(
            "amortised_rank",
            [8.0, 0.0],
            [0.0, 64.0],
            "rank of the adapters that it learns; 0: all weights, which remember the pairs",
        ),
        Setting::new(
            "held_out",
            [10.0, 1.0],
            [1.0, 1000.0],
            "pairs that it never sees, and as many of the others, whose KL is computed exactly",
        ),
        Setting::new(
            "baseline_updates",
            [400.0, 20.0],
            [0.0, 1e7],
            "updates of each trained baseline; 0: none is trained",
        ),
    ],
    run,
};

fn run(request: &Request) -> Result<Outcome, Error> {
    let folder = request.data.as_deref().ok_or_else(|| {
        Error::Usage(
            "stories: --data FOLDER is needed, with stories260K.bin and tok512.bin of karpathy/tinyllamas (MIT)\n  hint: no package registry carries them; bring them once and name their folder"
                .into(),
        )
    })?;
    let stories = load(folder, ["stories260K.bin", "tok512.bin"])?;
    let mut outcome = Outcome::default();
    outcome.notes.push(stories.note.clone());
    let host = HostLlama::new(&stories.weights);
    let written = host.greedy(&[START], 24, &[START]);
    outcome.notes.push(format!(
        "greedy from the start token: {}",
        stories.tokenizer.decode(&written)
    ));
    for (name, texts) in TASKS.iter().filter(|(name, _)| request.wants(name)) {
        task(name, texts, (&stories, &host), request, &mut outcome)?;
    }
    if request.wants("tempered") {
        tempered::run(&stories, request, &mut outcome)?;
    }
    if request.wants("amortised") {
        amortised::run(&stories, &host, request, &mut outcome)?;
    }
    Ok(outcome)
}

fn task(
    name: &str,
    [before, after]: &[&str; 2],
    (stories, host): (&Stories, &HostLlama),
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let tokenizer = &stories.tokenizer;
    let prefix = [vec![START], tokenizer.encode(before)].concat();
    let suffix = tokenizer.encode(after);
    let gap = Gap {
        llama: host,
        prefix: &prefix,
        suffix: &suffix,
    };
    let [log_prior, rewards] = table(name, &gap, request)?;
    let prior = log_prior.iter().map(|l| l.exp()).collect();
    let exact = Exact::new(prior, rewards.clone());
    let count = host.shape().vocabulary;
    let llama = Llama::new(&stories.weights, &request.compute.device);
    let log_reward = |z: &Strings, _: &Tensor<2>| -> Vec<f64> {
        z.index(count).iter().map(|&i| rewards[i]).collect()
    };
    let task = format!("{before} | {after}");
    let work = Work {
        name,
        task: &task,
        exact: &exact,
        log_reward: &log_reward,
        request,
    };
    let whole = Infill::new(llama.clone(), &prefix, 2);
    let mut rows = vec![
        exact.row(&task, "prior", &exact.prior),
        exact.row(&task, "exact", &exact.posterior),
    ];
    let mut noise = Noise::keyed(request.seed, "resampling", 0);
    let settings = &request.settings;
    let same = 4 * settings.count("updates") * work.behaviour().paths();
    rows.push(exact.importance_resampling(&task, same, &mut noise));
    let Solved { found, curves } = work.solve(&whole, &mut rows)?;
    if settings.count("rank") > 0 {
        let mut noise = Noise::keyed(request.seed, "adapters", 0);
        let net = llama.with_adapters(settings.count("rank"), &mut noise);
        let adapted = Infill::new(net, &prefix, 2);
        let tuned = work.balance(&adapted, "adapters")?;
        let row = work.row("balance, adapters", &adapted, &tuned);
        rows.push(row);
    }
    let title = format!("Infills: {before} … {after}");
    draw(
        (name, &title),
        &exact,
        (&found, &curves),
        tokenizer,
        outcome,
    );
    outcome.rows.extend(rows);
    Ok(())
}

/// Infills beside their exact probabilities, and distances over the updates.
fn draw(
    (name, title): (&str, &str),
    exact: &Exact,
    (found, curves): (&[f64], &Curves),
    tokenizer: &Tokenizer,
    outcome: &mut Outcome,
) {
    let count = (found.len() as f64).sqrt().round() as usize;
    let piece = |i: usize| tokenizer.decode(&[(i / count) as u32, (i % count) as u32]);
    let label = |i: usize| format!("“{}”", piece(i));
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
    let stem = |what: &str| format!("{what}-{}", slug(name));
    outcome.pictures.push(probabilities(
        &stem("strings"),
        title,
        exact,
        &shown,
        &label,
        12,
    ));
    let lines = curves.iter().map(|(label, curve)| Line { label, curve });
    let curves: Vec<_> = lines.collect();
    let title = format!("Distance to the exact posterior: {name}");
    outcome
        .pictures
        .push(distances(&stem("distance"), &title, "TV", &curves));
}
