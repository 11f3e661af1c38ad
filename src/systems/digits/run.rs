//! One seed of `tiltrl tilt digits`: data, classifier, prior, and each target beside rejection sampling and the baselines.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_policies::agent::baselines::{Tilt, guided, resample};
use tiltrl_policies::models::{GaussianDiffusion, StepShape};
use tiltrl_policies::nets::Denoiser;
use tiltrl_tilt::host::host;
use tiltrl_tilt::noise::Noise;

use super::classifier::Classifier;
use super::common::{classifier, load_set, prior_settings, recipe};
use super::images::Set;
use super::pictures;
use super::prior::{self, PriorSettings, unconditional};
use super::truth::{Truth, Yardstick, diversity, reject, shares};
use crate::error::Error;
use crate::systems::baselines::{best_samples, policy_gradient};
use crate::systems::exact::Sampled;
use crate::systems::outcome::{Check, Outcome, Picture, Row};
use crate::systems::request::Request;
use crate::systems::train::{Recipe, Target, Tuned, balance};

/// What all targets of a seed share.
struct Setup<'a> {
    request: &'a Request,
    set: Set,
    classifier: Arc<Classifier>,
    prior: PriorSettings,
}

/// A target: the classes that are asked for.
struct Task {
    name: String,
    wanted: Vec<u8>,
}

fn tasks(request: &Request) -> Vec<Task> {
    let digit = request.settings.count("digit") as u8;
    let all = [
        (format!("digit {digit}"), vec![digit]),
        ("even".into(), vec![0, 2, 4, 6, 8]),
        ("odd".into(), vec![1, 3, 5, 7, 9]),
    ];
    let all = all.into_iter().map(|(name, wanted)| Task { name, wanted });
    all.filter(|task| request.wants(&task.name)).collect()
}

/// Runs one seed.
///
/// # Errors
/// When data are missing or damaged, and those of training.
pub fn run(request: &Request) -> Result<Outcome, Error> {
    let set = load_set(request, request.settings.on("unet"))?;
    let setup = Setup {
        classifier: Arc::new(classifier(&set, request)),
        prior: prior_settings(request),
        request,
        set,
    };
    let (seed, compute) = (request.seed, &request.compute);
    if request.settings.on("unet") {
        let channels = request.settings.count("channels");
        let size = setup.set.coordinates.size;
        let start = prior::unet(&setup.prior, size, channels, seed, compute)?;
        return over(&setup, start, &|_, _| None);
    }
    let widths = [setup.set.coordinates.dim, 0];
    let start = prior::perceptron(&setup.prior, widths, seed, compute)?;
    let guide = |prior: &GaussianDiffusion, wanted: &[u8]| Some(guidance(&setup, prior, wanted));
    over(&setup, start, &guide)
}

/// Samples by guidance of the classifier; none where the network has no such path.
type Guide<'a, N> = dyn Fn(&GaussianDiffusion<N>, &[u8]) -> Option<Vec<f32>> + 'a;

fn guidance(setup: &Setup<'_>, prior: &GaussianDiffusion, wanted: &[u8]) -> Vec<f32> {
    let [values, slopes] = [(); 2].map(|()| (setup.classifier.clone(), wanted.to_vec()));
    let tilt = Tilt {
        prior: prior.clone(),
        log_reward: Arc::new(move |rows, _| values.0.log_reward(rows, &values.1)),
        gradient: Arc::new(move |rows, _| slopes.0.gradient(rows, &slopes.1)),
    };
    let count = setup.request.settings.count("samples").min(2048);
    let condition = unconditional(count, &setup.request.compute);
    let mut noise = Noise::keyed(setup.request.seed, "digits-guidance", 0);
    guided(&tilt, &condition, 1.0, &mut noise)
}

/// Trains the prior and tilts it to every target.
fn over<N: Denoiser>(
    setup: &Setup<'_>,
    start: GaussianDiffusion<N>,
    guide: &Guide<'_, N>,
) -> Result<Outcome, Error> {
    let Setup { request, set, .. } = setup;
    let (dim, compute) = (set.coordinates.dim, &request.compute);
    let draw = |noise: &mut Noise, count: usize| {
        let rows = prior::draw_rows(&set.train.rows, dim, noise, count);
        (rows, unconditional(count, compute))
    };
    let trained = prior::train(start, &setup.prior, &draw, request)?;
    let count = request.settings.count("reference");
    let conditions = |_, rows| unconditional(rows, compute);
    let samples = prior::sample(
        &trained,
        count,
        &conditions,
        request.seed,
        "digits-reference",
    );
    let mut outcome = Outcome::default();
    let [train, test] = [&set.train, &set.test].map(|part| part.labels.len());
    outcome.notes.push(format!(
        "data: {}, {train} images to learn from and {test} to test with, as {}; the classifier names {:.1} % of the test right",
        set.name,
        set.coordinates.describe(),
        100.0 * setup.classifier.accuracy(&set.test)
    ));
    outcome.notes.extend(set.notes.iter().cloned());
    for task in tasks(request) {
        one(setup, &trained, (&samples, &task), guide, &mut outcome)?;
    }
    Ok(outcome)
}

/// A target with its exact answer.
struct Known<'a> {
    task: &'a Task,
    truth: Truth,
    yardstick: Yardstick,
    /// Distance of the prior.
    of_prior: f64,
}

impl Setup<'_> {
    /// Fills in what samples [samples · dim] alone tell.
    fn row(&self, method: &str, samples: &[f32], known: &Known<'_>) -> Row {
        let classifier = &self.classifier;
        let features = classifier.features(samples);
        let log_reward = classifier.log_reward(samples, &known.task.wanted);
        let shares = shares(&classifier.classes(samples));
        let wanted = known.task.wanted.iter().map(|&c| shares[usize::from(c)]);
        Row {
            reference: Some(known.truth.log_z),
            log_reward: Some(crate::stats::mean(&log_reward)),
            distance: Some(known.yardstick.distance(&features)),
            floor: Some(known.yardstick.floor),
            diversity: Some(diversity(&features, classifier.width())),
            more: BTreeMap::from([("asked-for classes".to_string(), wanted.sum())]),
            ..Row::new(&known.task.name, method)
        }
    }

    /// The row of a trained model, and its samples.
    fn trained<N: Denoiser>(
        &self,
        method: &str,
        tuned: &Tuned<GaussianDiffusion<N>>,
        target: &Target<'_, GaussianDiffusion<N>>,
        known: &Known<'_>,
    ) -> (Row, Vec<f32>) {
        let (request, seed) = (self.request, self.request.seed);
        let count = request.settings.count("samples");
        let condition = |_, rows| unconditional(rows, &request.compute);
        let samples = prior::sample(&tuned.model, count, &condition, seed, "digits-samples");
        let mut noise = Noise::keyed(seed, "digits-paths", 0);
        let rows = unconditional(count, &request.compute);
        let found = Sampled::of(
            &tuned.model,
            target.prior,
            target.log_reward,
            &rows,
            &mut noise,
        );
        let row = Row {
            log_z: tuned.log_z,
            seconds: Some(tuned.seconds),
            ..self.row(method, &samples, known)
        };
        (found.fill(row), samples)
    }
}

/// What a row of the fine-tuner must meet.
fn checks(row: &Row, known: &Known<'_>) -> Vec<Check> {
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let gap = (number(row.importance) - known.truth.log_z).abs();
    vec![
        Check::below("|Δ log Z|", gap, 0.05),
        Check::above("ESS/N", number(row.ess), 0.5),
        Check::below(
            "Fréchet / prior's",
            number(row.distance) / known.of_prior,
            0.1,
        ),
    ]
}

/// Samples per draw of importance resampling.
const RESAMPLED: usize = 16;

/// Samples that are drawn once and serve every method of a target.
struct Drawn<'a> {
    /// Of the prior, as many as every method is judged by.
    prior: &'a [f32],
    /// By rejection from the prior: exact samples of the posterior.
    exact: Vec<f32>,
    /// By importance resampling.
    resampled: Vec<f32>,
}

/// Rejects the prior's samples and says how that went.
fn known<'a>(
    setup: &Setup<'_>,
    (samples, task): (&'a [f32], &'a Task),
    notes: &mut Vec<String>,
) -> (Known<'a>, Drawn<'a>) {
    let (dim, classifier) = (setup.set.coordinates.dim, &setup.classifier);
    let log_reward = classifier.log_reward(samples, &task.wanted);
    let mut noise = Noise::keyed(setup.request.seed, "digits-rejection", 0);
    let truth = reject(&log_reward, &mut noise);
    let pick = |rows: &[usize]| -> Vec<f32> {
        let picked = rows.iter().flat_map(|&i| &samples[i * dim..(i + 1) * dim]);
        picked.copied().collect()
    };
    let exact = pick(&truth.accepted);
    let yardstick = Yardstick::new(&classifier.features(&exact), classifier.width());
    let count = setup.request.settings.count("samples");
    let prior = &samples[..samples.len().min(count * dim)];
    notes.push(format!(
        "{}: reference log Z {:.4} ± {:.4}, {} of {} samples of the prior accepted",
        task.name,
        truth.log_z,
        truth.error,
        truth.accepted.len(),
        log_reward.len()
    ));
    let whole = log_reward.len() / RESAMPLED * RESAMPLED;
    let drawn = Drawn {
        prior,
        resampled: pick(&resample(&log_reward[..whole], [RESAMPLED, 1], &mut noise)),
        exact,
    };
    let known = Known {
        of_prior: yardstick.distance(&classifier.features(prior)),
        task,
        truth,
        yardstick,
    };
    (known, drawn)
}

/// Tilts to one target.
fn one<N: Denoiser>(
    setup: &Setup<'_>,
    prior: &GaussianDiffusion<N>,
    (samples, task): (&[f32], &Task),
    guide: &Guide<'_, N>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Setup {
        request,
        classifier,
        ..
    } = setup;
    let (known, drawn) = known(setup, (samples, task), &mut outcome.notes);
    let mut rows = vec![
        setup.row("exact", &drawn.exact, &known),
        setup.row("prior", drawn.prior, &known),
        setup.row("importance resampling", &drawn.resampled, &known),
    ];
    let guided = guide(prior, &task.wanted);
    rows.extend(guided.map(|samples| setup.row("guidance", &samples, &known)));
    let widened = prior.reshaped(StepShape {
        learned_variance: true,
        ..StepShape::default()
    })?;
    let reward =
        |x: &Tensor<2>, _: &Tensor<2>| classifier.log_reward(&host(x.clone()), &task.wanted);
    let conditions = |_: &mut Noise| unconditional(1, &request.compute);
    let distance = |model: &GaussianDiffusion<N>| {
        let condition = |_, rows| unconditional(rows, &request.compute);
        let drawn = prior::sample(model, 2048, &condition, request.seed, "digits-look");
        known.yardstick.distance(&classifier.features(&drawn))
    };
    let target = Target {
        task: &task.name,
        prior: &widened,
        conditions: &conditions,
        log_reward: &reward,
        distance: &distance,
    };
    let (recipe, behaviour) = recipe(request);
    let tuned = balance(&target, &recipe, &behaviour, request)?;
    let (mut row, found) = setup.trained("balance", &tuned, &target, &known);
    row.checks = checks(&row, &known);
    rows.push(row);
    if request.settings.on("baselines") {
        rows.extend(baselines(
            setup,
            &target,
            (&recipe, behaviour.paths()),
            &known,
        )?);
    }
    outcome.rows.extend(rows);
    let shown = [drawn.prior, &found, &drawn.exact];
    outcome.pictures.extend(draw(setup, &known, shown, &tuned)?);
    Ok(())
}

/// The rows of the trained baselines, with as many updates and paths.
fn baselines<N: Denoiser>(
    setup: &Setup<'_>,
    target: &Target<'_, GaussianDiffusion<N>>,
    (recipe, paths): (&Recipe, usize),
    known: &Known<'_>,
) -> Result<Vec<Row>, Error> {
    let request = setup.request;
    let mut rows = Vec::new();
    for (name, kl) in [("policy gradient", 0.0), ("policy gradient + KL", 1.0)] {
        let tuned = policy_gradient(target, recipe, paths, kl, request)?;
        rows.push(setup.trained(name, &tuned, target, known).0);
    }
    let pool = request.settings.count("samples");
    let tuned = best_samples(target, recipe, paths, [pool, pool / 10], request)?;
    rows.push(setup.trained("best samples", &tuned, target, known).0);
    Ok(rows)
}

/// Pictures of one target: digits, shares of the classes, and log Z and the distance over the updates.
fn draw<N: Denoiser>(
    setup: &Setup<'_>,
    known: &Known<'_>,
    [before, after, exact]: [&[f32]; 3],
    tuned: &Tuned<GaussianDiffusion<N>>,
) -> Result<Vec<Picture>, Error> {
    let coordinates = &setup.set.coordinates;
    let blocks = [("prior", before), ("balance", after), ("exact", exact)]
        .map(|(label, rows)| pictures::Samples { label, rows });
    let name = &known.task.name;
    let of = |rows: &[f32]| shares(&setup.classifier.classes(rows));
    let shown = blocks.map(|block| pictures::Shares {
        label: block.label,
        shares: of(block.rows),
    });
    Ok(vec![
        pictures::digits(name, coordinates, &blocks),
        pictures::classes(name, &shown),
        pictures::progress(
            name,
            &setup.request.dir,
            &known.truth,
            &tuned.curve,
            known.yardstick.floor,
            known.of_prior,
        )?,
    ])
}
