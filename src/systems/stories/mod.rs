//! Stories: infilling with a pre-trained language model (arXiv:2310.04363 §4.2, 2405.20971 §3.3).
//!
//! The prior is a Llama of the tinyllamas, from the user's folder. A task is a text with a gap of two tokens; log r is
//! log p(the text after the gap | all before it). All 262,144 infills are enumerated, so that the posterior is exact.

mod enumerate;
mod file;
mod infill;
mod tokenizer;

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::llama::{HostLlama, Llama};
use tiltrl_tilt::finetune::{Exploration, Mixture, ReplayOptions};
use tiltrl_tilt::noise::Noise;

use super::baselines::{best_samples, policy_gradient};
use super::exact::{Exact, Sampled};
use super::figures::{Shown, distances, probabilities};
use super::outcome::{Check, Outcome, Row};
use super::request::{Request, Setting, System};
use super::train::{Behaviour, Recipe, Target, Tuned, balance, slug};
use crate::error::Error;
use crate::run::{read_state, write_state};
use enumerate::{Gap, Infills};
use file::{Stories, load};
use infill::{Infill, none};
use tokenizer::{START, Tokenizer};

/// Total variation that a row must stay below.
const TV: f64 = 0.03;
/// Infills that ELBO, importance and ESS are estimated from.
const PATHS: usize = 2048;
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
    tasks: &["dog", "Lily", "Tom"],
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
    Ok(outcome)
}

/// Reads the table of a task from the folder of the seed, or makes it.
fn table(name: &str, gap: &Gap<'_>, request: &Request) -> Result<[Vec<f64>; 2], Error> {
    let path = request.dir.state(&format!("infills-{}", slug(name)));
    if path.exists() {
        return read_state(&path);
    }
    if request.console != crate::console::Console::Quiet {
        crate::console::note(&format!("{name}: reading the suffix after all infills"));
    }
    let Infills {
        log_prior,
        log_suffix,
        given_up,
    } = gap.enumerate();
    if request.console != crate::console::Console::Quiet {
        let all = log_prior.len();
        crate::console::note(&format!(
            "{name}: {all} infills, {given_up} of them given up early; together they hold less than a thousandth of Z"
        ));
    }
    let table = [log_prior, log_suffix];
    write_state(&path, &table)?;
    Ok(table)
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
    let (found, curves) = work.solve(&whole, &mut rows)?;
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
    let curves: Vec<_> = curves.iter().map(|(name, curve)| (*name, curve)).collect();
    let title = format!("Distance to the exact posterior: {name}");
    outcome
        .pictures
        .push(distances(&stem("distance"), &title, "TV", &curves));
}

/// What the methods of a task share.
struct Work<'a> {
    name: &'a str,
    task: &'a str,
    exact: &'a Exact,
    log_reward: &'a dyn Fn(&Strings, &Tensor<2>) -> Vec<f64>,
    request: &'a Request,
}

type Curves = Vec<(&'static str, super::train::Curve)>;

impl Work<'_> {
    fn recipe(&self, updates: &str) -> Recipe {
        let settings = &self.request.settings;
        Recipe {
            checkpoints: 10,
            max_gradient_norm: 10.0,
            ..Recipe::new(settings.count(updates), settings.number("rate"))
        }
    }

    fn behaviour(&self) -> Behaviour {
        let settings = &self.request.settings;
        let replay = settings.count("replay");
        Behaviour {
            mixture: Mixture {
                prior: settings.count("prior_paths"),
                ..Mixture::on_policy(settings.count("on_policy"))
            },
            exploration: Exploration {
                paths: settings.count("explored"),
                scale: settings.number("temperature"),
                updates: settings.count("updates") as u64,
            },
            replay: ReplayOptions {
                groups: usize::from(replay > 1),
                paths: replay.max(2),
                ..ReplayOptions::default()
            },
            ..Behaviour::on_policy(2)
        }
    }

    fn with_target<R>(
        &self,
        prior: &Infill,
        name: &str,
        work: impl FnOnce(&Target<'_, Infill>) -> R,
    ) -> R {
        let net = tiltrl_tilt::sequential::SequentialModel::weights(prior);
        let distance = |model: &Infill| self.exact.total_variation(&model.enumerate());
        work(&Target {
            task: name,
            prior,
            conditions: &|_| none(1, net),
            log_reward: self.log_reward,
            distance: &distance,
        })
    }

    fn balance(&self, prior: &Infill, word: &str) -> Result<Tuned<Infill>, Error> {
        let name = format!("{} {word}", self.name);
        let recipe = self.recipe("updates");
        self.with_target(prior, &name, |target| {
            balance(target, &recipe, &self.behaviour(), self.request)
        })
    }

    fn row(&self, method: &str, prior: &Infill, tuned: &Tuned<Infill>) -> Row {
        let net = tiltrl_tilt::sequential::SequentialModel::weights(prior);
        let mut noise = Noise::keyed(self.request.seed, "sampled", 0);
        let conditions = none(PATHS, net);
        let sampled = Sampled::of(
            &tuned.model,
            prior,
            self.log_reward,
            &conditions,
            &mut noise,
        );
        let row = self.exact.row(self.task, method, &tuned.model.enumerate());
        Row {
            log_z: tuned.log_z,
            seconds: Some(tuned.seconds),
            ..sampled.fill(row)
        }
    }

    /// Tilts with all weights, and trains the baselines; returns the posterior's probabilities and the curves.
    fn solve(&self, prior: &Infill, rows: &mut Vec<Row>) -> Result<(Vec<f64>, Curves), Error> {
        let tuned = self.balance(prior, "all")?;
        let mut row = self.row("balance", prior, &tuned);
        let distance = row.distance.unwrap_or(f64::NAN);
        row.checks = vec![Check::below("TV", distance, TV)];
        rows.push(row);
        let found = tuned.model.enumerate();
        let mut curves: Curves = vec![("balance", tuned.curve)];
        if self.request.settings.count("baseline_updates") == 0 {
            return Ok((found, curves));
        }
        let recipe = self.recipe("baseline_updates");
        let paths = self.behaviour().paths();
        let request = self.request;
        let trained = self.with_target(prior, self.name, |target| -> Result<_, Error> {
            let gradient = |kl| policy_gradient(target, &recipe, paths, kl, request);
            Ok([
                ("policy gradient", gradient(0.0)?),
                ("policy gradient + KL", gradient(1.0)?),
                (
                    "best samples",
                    best_samples(target, &recipe, paths, [4000, 200], request)?,
                ),
            ])
        })?;
        for (name, tuned) in trained {
            rows.push(self.row(name, prior, &tuned));
            curves.push((name, tuned.curve));
        }
        Ok((found, curves))
    }
}
