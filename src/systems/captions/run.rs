//! One seed of `tiltrl tilt captions`.

use burn::tensor::Tensor;
use tiltrl_plots::{Curve, Series};
use tiltrl_policies::models::{GaussianDiffusion, StepShape};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::Batched;

use super::attributes::{Attributes, Scale, Scales};
use super::caption::{Caption, WIDTH};
use crate::error::Error;
use crate::systems::baselines::policy_gradient;
use crate::systems::digits::classifier::{CLASSES, Classifier};
use crate::systems::digits::common::{classifier, load_set, prior_settings, recipe};
use crate::systems::digits::images::{Coordinates, Set};
use crate::systems::digits::pictures::{Samples, digits};
use crate::systems::digits::prior;
use crate::systems::digits::truth::{Truth, Yardstick, diversity, reject};
use crate::systems::exact::Sampled;
use crate::systems::outcome::{Check, Figure, Outcome, Picture, Row};
use crate::systems::request::Request;
use crate::systems::train::{Target, Tuned, balance};

/// What is asked for.
const CAPTIONS: [&str; 4] = [
    "a thick slanted seven",
    "a thin upright two",
    "a thick three",
    "a slanted four",
];
const BETAS: [f64; 3] = [1.0, 5.0, 10.0];
/// Share of the words of a caption that the prior does not hear while it learns.
const UNHEARD: f64 = 0.2;

/// What all of a seed shares.
struct Setup<'a> {
    request: &'a Request,
    coordinates: Coordinates,
    classifier: Classifier,
    scales: Scales,
    captions: Vec<Caption>,
    prior: GaussianDiffusion,
    /// Samples of the prior per caption, [samples · dim], and their scores R.
    pools: Vec<(Vec<f32>, Vec<f64>)>,
}

impl Setup<'_> {
    /// R of rows [rows · dim], each with its own caption.
    fn scores(&self, rows: &[f32], captions: &[Caption]) -> Vec<f64> {
        score(
            rows,
            captions,
            (&self.coordinates, &self.classifier, &self.scales),
        )
    }

    /// Conditions of so many rows of one caption.
    fn condition(&self, caption: usize, rows: usize) -> Tensor<2> {
        let code = self.captions[caption].code();
        matrix(code.repeat(rows), WIDTH, &self.request.compute.device)
    }

    /// The captions of conditions: which of ours each row is.
    fn captions_of(&self, condition: &Tensor<2>) -> Vec<Caption> {
        let codes = host(condition.clone());
        let of = |code: &[f32]| {
            let found = self.captions.iter().find(|c| c.code() == code);
            *found.expect("only our captions are asked for")
        };
        codes.chunks_exact(WIDTH).map(of).collect()
    }
}

fn score(
    rows: &[f32],
    captions: &[Caption],
    (coordinates, classifier, scales): (&Coordinates, &Classifier, &Scales),
) -> Vec<f64> {
    let [height, width] = coordinates.size;
    let images = coordinates.decode(rows);
    let p = classifier.probabilities(rows);
    let each = images
        .chunks_exact(height * width)
        .zip(p.chunks_exact(CLASSES));
    each.zip(captions)
        .map(|((image, p), caption)| scales.score(caption, Attributes::of(image, width), p))
        .collect()
}

/// Measures the training images: the thirds of each attribute, and every image's caption.
fn described(set: &Set) -> (Scales, Vec<Caption>) {
    let [height, width] = set.coordinates.size;
    let images = set.coordinates.decode(&set.train.rows);
    let all: Vec<Attributes> = images
        .chunks_exact(height * width)
        .map(|image| Attributes::of(image, width))
        .collect();
    let scale = |of: fn(&Attributes) -> f64| Scale::of(&all.iter().map(of).collect::<Vec<_>>());
    let scales = Scales {
        mass: scale(|a| a.mass),
        slant: scale(|a| a.slant),
    };
    let pairs = all.iter().zip(&set.train.labels);
    let captions = pairs
        .map(|(of, &label)| scales.caption(*of, label))
        .collect();
    (scales, captions)
}

/// Trains the prior on images with their captions, of which it does not hear every word.
fn trained_prior(
    set: &Set,
    captions: &[Caption],
    request: &Request,
) -> Result<GaussianDiffusion, Error> {
    let (dim, device) = (set.coordinates.dim, &request.compute.device);
    let draw = |noise: &mut Noise, count: usize| {
        let chosen = noise.indices(count, captions.len());
        let heard = noise.uniform_rows(1, 3 * count);
        let mut rows = Vec::with_capacity(count * dim);
        let mut codes = Vec::with_capacity(count * WIDTH);
        for (&i, heard) in chosen.iter().zip(heard.chunks_exact(3)) {
            rows.extend_from_slice(&set.train.rows[i * dim..(i + 1) * dim]);
            let whole = captions[i];
            let caption = Caption {
                thick: whole.thick.filter(|_| heard[0] > UNHEARD),
                slanted: whole.slanted.filter(|_| heard[1] > UNHEARD),
                digit: whole.digit.filter(|_| heard[2] > UNHEARD),
            };
            codes.extend_from_slice(&caption.code());
        }
        (rows, matrix(codes, WIDTH, device))
    };
    let settings = prior_settings(request);
    let start = prior::perceptron(&settings, [dim, WIDTH], request.seed, &request.compute)?;
    prior::train(start, &settings, &draw, request)
}

/// Runs one seed.
///
/// # Errors
/// When data are missing or damaged, and those of training.
pub fn run(request: &Request) -> Result<Outcome, Error> {
    let set = load_set(request, false)?;
    let (scales, all) = described(&set);
    let captions = CAPTIONS.iter().map(|text| Caption::parse(text));
    let mut setup = Setup {
        request,
        classifier: classifier(&set, request),
        captions: captions.collect::<Result<_, _>>()?,
        prior: trained_prior(&set, &all, request)?,
        coordinates: set.coordinates.clone(),
        scales,
        pools: Vec::new(),
    };
    let count = request.settings.count("reference");
    for (i, caption) in setup.captions.iter().enumerate() {
        let conditions = |_, rows| setup.condition(i, rows);
        let purpose = format!("captions-reference-{i}");
        let rows = prior::sample(&setup.prior, count, &conditions, request.seed, &purpose);
        let scores = setup.scores(&rows, &vec![*caption; count]);
        setup.pools.push((rows, scores));
    }
    let mut outcome = Outcome::default();
    outcome.notes.push(format!(
        "data: {}, {} images, as {}; a stand-in for text-to-image: captions are made from measured stroke mass and slant, the score from both and the classifier",
        set.name,
        set.train.labels.len(),
        set.coordinates.describe()
    ));
    let mut trade = Vec::new();
    for beta in BETAS {
        if request.wants(&format!("β = {beta}")) {
            one(&setup, beta, &mut outcome, &mut trade)?;
        }
    }
    outcome.pictures.push(tradeoff(&trade));
    Ok(outcome)
}

/// A method's name, its diversity and its mean score at one β.
type Point = (String, f64, f64);

/// A caption at one β, with its exact answer.
struct Known {
    truth: Truth,
    yardstick: Yardstick,
}

fn known(setup: &Setup<'_>, caption: usize, beta: f64) -> (Known, Vec<f32>) {
    let (rows, scores) = &setup.pools[caption];
    let dim = setup.coordinates.dim;
    // R ≤ 1, so exp(β (R − 1)) can be rejected by.
    let below: Vec<f64> = scores.iter().map(|r| beta * (r - 1.0)).collect();
    let mut noise = Noise::keyed(setup.request.seed, "captions-rejection", caption as u64);
    let mut truth = reject(&below, &mut noise);
    truth.log_z += beta;
    truth.log_reward += beta;
    let picked = truth
        .accepted
        .iter()
        .flat_map(|&i| &rows[i * dim..(i + 1) * dim]);
    let exact: Vec<f32> = picked.copied().collect();
    let features = setup.classifier.features(&exact);
    let yardstick = Yardstick::new(&features, setup.classifier.width());
    (Known { truth, yardstick }, exact)
}

/// Fills in what samples of one caption tell.
fn row(
    setup: &Setup<'_>,
    names: [&str; 2],
    samples: &[f32],
    (caption, beta): (usize, f64),
    known: &Known,
) -> Row {
    let count = samples.len() / setup.coordinates.dim;
    let scores = setup.scores(samples, &vec![setup.captions[caption]; count]);
    let features = setup.classifier.features(samples);
    let mut row = Row {
        reference: Some(known.truth.log_z),
        log_reward: Some(beta * crate::stats::mean(&scores)),
        distance: Some(known.yardstick.distance(&features)),
        floor: Some(known.yardstick.floor),
        diversity: Some(diversity(&features, setup.classifier.width())),
        ..Row::new(names[0], names[1])
    };
    row.more.insert("score".into(), crate::stats::mean(&scores));
    row
}

/// All methods at one β.
fn one(
    setup: &Setup<'_>,
    beta: f64,
    outcome: &mut Outcome,
    trade: &mut Vec<Point>,
) -> Result<(), Error> {
    let request = setup.request;
    let widened = setup.prior.reshaped(StepShape {
        learned_variance: true,
        ..StepShape::default()
    })?;
    let all: Vec<Tensor<2>> = (0..CAPTIONS.len()).map(|i| setup.condition(i, 1)).collect();
    let all = Batched::join(&all);
    let conditions = |_: &mut Noise| all.clone();
    let reward = |x: &Tensor<2>, c: &Tensor<2>| -> Vec<f64> {
        let scores = setup.scores(&host(x.clone()), &setup.captions_of(c));
        scores.into_iter().map(|r| beta * r).collect()
    };
    let unmeasured = |_: &GaussianDiffusion| f64::NAN;
    let task = format!("beta {beta}");
    let target = Target {
        task: &task,
        prior: &widened,
        conditions: &conditions,
        log_reward: &reward,
        distance: &unmeasured,
    };
    let (recipe, behaviour) = recipe(request);
    let mut methods: Vec<Method> =
        vec![("balance", balance(&target, &recipe, &behaviour, request)?)];
    if request.settings.on("baselines") {
        for (name, kl) in [("policy gradient", 0.0), ("policy gradient + KL", 1.0)] {
            let tuned = policy_gradient(&target, &recipe, behaviour.paths(), kl, request)?;
            methods.push((name, tuned));
        }
    }
    for caption in 0..CAPTIONS.len() {
        let rows = of_caption(setup, &target, &methods, (caption, beta), outcome);
        for row in &rows {
            let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
            let score = row.more.get("score").copied();
            trade.push((row.method.clone(), number(row.diversity), number(score)));
        }
        outcome.rows.extend(rows);
    }
    Ok(())
}

/// A method's name and what it trained.
type Method = (&'static str, Tuned<GaussianDiffusion>);

/// The rows of one caption at one β.
fn of_caption(
    setup: &Setup<'_>,
    target: &Target<'_, GaussianDiffusion>,
    methods: &[Method],
    (caption, beta): (usize, f64),
    outcome: &mut Outcome,
) -> Vec<Row> {
    let count = setup.request.settings.count("samples");
    let name = format!("β = {beta}: {}", CAPTIONS[caption]);
    let (known, exact) = known(setup, caption, beta);
    let pool = &setup.pools[caption].0;
    let before = &pool[..pool.len().min(count * setup.coordinates.dim)];
    let mut rows = vec![
        row(setup, [&name, "exact"], &exact, (caption, beta), &known),
        row(setup, [&name, "prior"], before, (caption, beta), &known),
    ];
    for (method, tuned) in methods {
        let at = (caption, beta, count);
        let (found, samples) = of_method(setup, target, tuned, at, [&name, method], &known);
        if caption == 0 && *method == "balance" && beta == BETAS[2] {
            let blocks = [
                ("prior", before),
                ("balance", &samples[..]),
                ("exact", &exact[..]),
            ]
            .map(|(label, rows)| Samples { label, rows });
            let picture = digits(&name, &setup.coordinates, &blocks);
            outcome.pictures.push(picture);
        }
        rows.push(found);
    }
    rows
}

/// The row of a trained model under one caption, and its samples.
fn of_method(
    setup: &Setup<'_>,
    target: &Target<'_, GaussianDiffusion>,
    tuned: &Tuned<GaussianDiffusion>,
    (caption, beta, count): (usize, f64, usize),
    names: [&str; 2],
    known: &Known,
) -> (Row, Vec<f32>) {
    let seed = setup.request.seed;
    let conditions = |_, rows| setup.condition(caption, rows);
    let samples = prior::sample(&tuned.model, count, &conditions, seed, "captions-samples");
    let mut noise = Noise::keyed(seed, "captions-paths", caption as u64);
    let rows = setup.condition(caption, count);
    let found = Sampled::of(
        &tuned.model,
        target.prior,
        target.log_reward,
        &rows,
        &mut noise,
    );
    let mut out = found.fill(row(setup, names, &samples, (caption, beta), known));
    out.seconds = Some(tuned.seconds);
    if names[1] == "balance" {
        let gap = (found.importance - known.truth.log_z).abs();
        out.checks = vec![
            Check::below("|Δ log Z|", gap, 0.05),
            Check::above("ESS/N", found.ess, 0.5),
        ];
    }
    (out, samples)
}

/// Draws the mean score against diversity: a line per method through the β, averaged over the captions.
fn tradeoff(trade: &[Point]) -> Picture {
    let mut names: Vec<&String> = Vec::new();
    for (name, _, _) in trade {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let line = |name: &&String| {
        let own: Vec<&Point> = trade.iter().filter(|p| p.0 == **name).collect();
        let means = |of: fn(&Point) -> f64| -> Vec<f64> {
            let per_beta = own.chunks(CAPTIONS.len());
            per_beta
                .map(|points| crate::stats::mean(&points.iter().map(|p| of(p)).collect::<Vec<_>>()))
                .collect()
        };
        Series {
            label: (*name).clone(),
            x: means(|p| p.1),
            y: means(|p| p.2),
            band: None,
        }
    };
    let figure = Curve {
        title: "Score against diversity, β = 1, 5, 10".into(),
        subtitle: "Means over the captions; diversity: mean distance of two samples' features"
            .into(),
        x_label: "Diversity".into(),
        y_label: "Mean score R".into(),
        series: names.iter().map(line).collect(),
        references: Vec::new(),
        log_y: false,
    };
    Picture::new("score-diversity", Figure::Curve(figure))
}
