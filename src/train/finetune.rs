//! RTB fine-tuning of the prior to the posterior, with evaluations on the way and the certificate at the end.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_envs::EnvBatch;
use tiltrl_policies::agent::Coordinates;
use tiltrl_policies::agent::Critic;
use tiltrl_policies::agent::critic_gradient;
use tiltrl_policies::agent::{Choice, DiffusionPolicy};
use tiltrl_policies::fast::HostAdam;
use tiltrl_policies::models::{GaussianDiffusion, StepShape};
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::finetune::{Batch, Finetuner, Report};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;
use tiltrl_tilt::sequential::Batched;

use super::dial::{Dial, Dialled, split_column, with_column};
use super::prior::{Prior, describe};
use super::reward::values;
use super::training_data::TrainingData;
use super::work::Work;
use crate::config::Config;
use crate::console::note;
use crate::error::Error;
use crate::run::Results;
use crate::stage::{Stage, cosine_decay};

/// Where a posterior's checkpoint holds its dial.
pub const DIAL: &str = "dial";

/// The fine-tuner of a run.
type Tuner = Finetuner<GaussianDiffusion, HostAdam>;

/// A fine-tuned posterior with its α.
pub struct Posterior {
    /// The tilted diffusion model.
    pub model: GaussianDiffusion,
    /// The temperature α, in the units of Q.
    pub alpha: f64,
    /// The same for a range of temperatures, where it was trained for one: `model` is this at `alpha`.
    pub dialled: Option<Dialled>,
}

impl Posterior {
    /// Returns a posterior as it was trained; one with a dial acts at the middle's α.
    pub fn new(model: GaussianDiffusion, alpha: f64, dial: Option<Dial>) -> Self {
        let dialled = dial.map(|dial| Dialled {
            model: model.clone(),
            dial,
        });
        Self {
            model: dialled.as_ref().map_or(model, |d| d.at(alpha)),
            alpha,
            dialled,
        }
    }
}

/// What fine-tuning starts with.
#[derive(Clone, Copy)]
struct Start {
    /// α, in the units of Q.
    alpha: f64,
    /// The range around it, where the config asks for one.
    dial: Option<Dial>,
}

/// Returns α in the units of Q: the configured price, else the critic's own, else `finetune.alpha_in_std` times the prior's mean standard deviation of
/// Q within a state.
pub fn resolve_alpha(
    config: &Config,
    data: &TrainingData,
    prior: &Prior,
    critic: &Arc<dyn Critic>,
    seed: u64,
) -> f64 {
    if config.finetune.alpha > 0.0 {
        return config.finetune.alpha / data.values.std;
    }
    if let Some(own) = critic.alpha() {
        return own;
    }
    let (states, samples) = (256, 32);
    let mut noise = Noise::keyed(seed, "temperature", 0);
    let rows = noise.indices(states, data.len());
    let device = prior.model.device();
    let states_of = matrix(data.observations(&rows), data.widths()[0], &device);
    let condition = states_of.repeated(samples);
    let latent = host(prior.model.sample(&condition, &mut noise));
    let observations = host(condition);
    let values = values(&**critic, &prior.coordinates, &observations, latent);
    let spread: f64 = values
        .chunks_exact(samples)
        .map(|q| {
            let mean = q.iter().sum::<f64>() / samples as f64;
            (q.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / samples as f64).sqrt()
        })
        .sum::<f64>()
        / states as f64;
    config.finetune.alpha_in_std * spread.max(1e-6)
}

/// Fine-tunes the prior, or goes on from the checkpoint, and returns the posterior.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>, prior: &Prior, critic: &Arc<dyn Critic>) -> Result<Posterior, Error> {
    let (config, settings) = (work.config, &work.config.finetune);
    let path = work.dir.checkpoint("posterior");
    let alpha = resolve_alpha(config, work.data, prior, critic, work.seed);
    let dial = Dial::of(config, alpha, work.data.values.std);
    let start = Start { alpha, dial };
    let (mut tuner, done) = resume(
        (config, work.data),
        prior,
        critic,
        (work.seed, start),
        &path,
    )?;
    if done < settings.updates {
        let mut watch = Watch::resume(work, &prior.coordinates, start, done)?;
        if done == 0 {
            watch.evaluate(&tuner, 0)?;
        }
        // The last, Q, would be weighted by β/β₀.
        let columns = &COLUMNS[..COLUMNS.len() - usize::from(dial.is_some())];
        let stage = Stage {
            name: "finetune",
            clock: "finetune",
            total: settings.updates,
            done,
            checkpoints: config.evaluation.evaluations_in_training,
            columns: columns.to_vec(),
            dir: work.dir,
            console: work.console,
            tensorboard: work.tensorboard,
        };
        stage.train(
            &mut tuner,
            |tuner, update| {
                let share = cosine_decay(update, settings.updates);
                tuner.set_learning_rate(settings.learning_rate * share);
                let report = step(tuner, work, (&prior.coordinates, dial), critic, update)?;
                let all = numbers(&report, tuner.alpha());
                Ok(all[..columns.len()].to_vec())
            },
            |tuner, done| watch.evaluate(tuner, done),
            |tuner, _| save(tuner, &prior.coordinates, start, &path),
        )?;
    }
    let alpha = tuner.alpha();
    Ok(Posterior::new(tuner.into_posterior(), alpha, dial))
}

/// Evaluates the posterior during training and keeps the best one beside the last.
struct Watch<'a> {
    work: Work<'a>,
    coordinates: &'a Coordinates,
    start: Start,
    results: Results,
    best: f64,
}

impl<'a> Watch<'a> {
    fn resume(
        work: Work<'a>,
        coordinates: &'a Coordinates,
        start: Start,
        done: u64,
    ) -> Result<Self, Error> {
        let results = Results::resume(work.dir, done)?;
        let earlier = results.training_curve().into_iter();
        let best = earlier.fold(f64::NEG_INFINITY, |best, (_, mean)| best.max(mean));
        Ok(Self {
            work,
            coordinates,
            start,
            results,
            best,
        })
    }

    fn evaluate(&mut self, tuner: &Tuner, update: u64) -> Result<(), Error> {
        let clock = std::time::Instant::now();
        let posterior =
            Posterior::new(tuner.posterior().clone(), self.start.alpha, self.start.dial);
        let policy = DiffusionPolicy {
            model: &posterior.model,
            coordinates: self.coordinates,
            critic: None,
            choice: Choice::Sample,
        };
        let (config, dir) = (self.work.config, self.work.dir);
        let settings = &config.evaluation;
        let options = settings.options()?;
        let mut batch = EnvBatch::new(&config.env, &options, settings.episodes_in_training)?;
        let episodes = self
            .work
            .episodes(&mut batch, &policy, self.work.seed ^ 0x7261_696e)?;
        let evaluation = Results::evaluation(update, "posterior", &episodes)?;
        let mean = crate::stats::mean(&evaluation.returns());
        self.results.training.push(evaluation);
        self.results.save(dir, batch.spec())?;
        if mean > self.best {
            self.best = mean;
            let path = dir.checkpoint("posterior-best");
            save(tuner, self.coordinates, self.start, &path)?;
        }
        dir.add_seconds("evaluation", clock.elapsed().as_secs_f64())?;
        Ok(())
    }
}

/// Returns the prior in the posterior's shape: the same distribution, with outputs that fine-tuning may use.
///
/// `alpha` is that of the start, which scales the guidance term.
pub fn widened(
    prior: &GaussianDiffusion,
    config: &Config,
    critic: &Arc<dyn Critic>,
    coordinates: &Coordinates,
    alpha: f64,
) -> GaussianDiffusion {
    let settings = &config.finetune;
    let prior = &with_dial(prior, config);
    if !settings.learned_variance && !settings.guidance {
        return prior.clone();
    }
    let guidance = settings
        .guidance
        .then(|| critic_gradient(critic, coordinates, alpha));
    let step = StepShape {
        learned_variance: settings.learned_variance,
        guidance,
        ..prior.step().clone()
    };
    prior.reshaped(step).expect("a perceptron gains outputs")
}

/// Returns the prior over the conditions that the posterior sees: with the dial's column, where the config asks for a dial.
fn with_dial(prior: &GaussianDiffusion, config: &Config) -> GaussianDiffusion {
    if config.finetune.dial.is_empty() {
        return prior.clone();
    }
    let wide = prior.with_condition_column();
    wide.expect("networks that gain no column were refused")
}

/// Returns the fine-tuner, restored if there is a checkpoint, with its update.
fn resume(
    (config, data): (&Config, &TrainingData),
    prior: &Prior,
    critic: &Arc<dyn Critic>,
    (seed, start): (u64, Start),
    path: &Path,
) -> Result<(Tuner, u64), Error> {
    let settings = &config.finetune;
    let adam = HostAdam::new(AdamConfig {
        max_gradient_norm: settings.max_gradient_norm,
        ..AdamConfig::plain(settings.learning_rate)
    });
    let alpha = start.alpha;
    let model = widened(&prior.model, config, critic, &prior.coordinates, alpha);
    let device = prior.model.device();
    let probe = conditions(data, &[0], start.dial.map(|_| vec![0.0]), &device);
    // The prior has none of the outputs that only the posterior uses.
    let own = with_dial(&prior.model, config);
    let mut tuner = Finetuner::new(own, model, adam, settings.paths, &probe)?
        .shaped(settings.shaping)
        .with_options(settings.options.clone(), seed)
        .with_alpha(alpha);
    if !path.exists() {
        return Ok((tuner, 0));
    }
    let checkpoint = Checkpoint::load(path, "posterior")?;
    tuner.get(path, &checkpoint)?;
    if settings.options.replay.groups > 0 && checkpoint.update < settings.updates {
        note(&format!(
            "warning: {}: the replay is not part of a checkpoint; it is filled anew, so the bytes differ from an undisturbed run",
            path.display()
        ));
    }
    Ok((tuner, checkpoint.update))
}

/// The conditions of some states of the data: observations, and the dial's settings where there is one.
fn conditions(
    data: &TrainingData,
    rows: &[usize],
    settings: Option<Vec<f32>>,
    device: &Device,
) -> Tensor<2> {
    let (observations, width) = (data.observations(rows), data.widths()[0]);
    let Some(column) = settings else {
        return matrix(observations, width, device);
    };
    let wide = with_column(&observations, width, &column);
    matrix(wide, width + 1, device)
}

fn save(tuner: &Tuner, coordinates: &Coordinates, start: Start, path: &Path) -> Result<(), Error> {
    let mut checkpoint = Checkpoint::new("posterior", tuner.count());
    describe(&mut checkpoint, tuner.posterior(), coordinates);
    let alpha = tuner.alpha();
    checkpoint.settings.insert("alpha".into(), alpha.into());
    let key = "alpha_at_start".to_string();
    checkpoint.settings.insert(key, start.alpha.into());
    if let Some(dial) = start.dial {
        let dial = serde_json::to_value(dial).expect("plain data");
        checkpoint.settings.insert(DIAL.into(), dial);
    }
    tuner.put(&mut checkpoint);
    Ok(checkpoint.save(path)?)
}

/// Numbers of an update; `q` is the mean Q of on-policy samples in the critic's units.
const COLUMNS: [&str; 8] = [
    "loss",
    "log_z",
    "path_kl",
    "ess",
    "log_reward",
    "gradient_norm",
    "alpha",
    "q",
];

/// The numbers of [`COLUMNS`].
fn numbers(r: &Report, alpha: f64) -> Vec<f64> {
    vec![
        r.loss,
        r.log_z,
        r.path_kl,
        r.ess,
        r.log_reward,
        r.gradient_norm,
        alpha,
        r.log_reward * alpha,
    ]
}

fn step(
    tuner: &mut Tuner,
    work: Work<'_>,
    (coordinates, dial): (&Coordinates, Option<Dial>),
    critic: &Arc<dyn Critic>,
    update: u64,
) -> Result<Report, Error> {
    let data = work.data;
    let device = tuner.posterior().device();
    let mut noise = Noise::keyed(work.seed, "finetune-update", update);
    let rows = noise.indices(work.config.finetune.states, data.len());
    let [width, dim] = data.widths();
    let paths = work.config.finetune.paths;
    let samples = (paths.data > 0).then(|| matrix(data.latents(&rows), dim, &device));
    let settings = dial.map(|dial| dial.draw(rows.len(), &mut noise));
    let batch = Batch {
        conditions: conditions(data, &rows, settings, &device),
        data: samples,
    };
    let value = |sample: &Tensor<2>, conditions: &Tensor<2>| -> Vec<f64> {
        let (latent, conditions) = (host(sample.clone()), host(conditions.clone()));
        let Some(dial) = dial else {
            return values(&**critic, coordinates, &conditions, latent);
        };
        let (observations, settings) = split_column(&conditions, width);
        let found = values(&**critic, coordinates, &observations, latent);
        let rows = found.iter().zip(settings);
        rows.map(|(q, setting)| q * dial.ratio(setting)).collect()
    };
    Ok(tuner.update(&batch, &value, &mut noise)?)
}
