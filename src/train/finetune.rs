//! RTB fine-tuning of the prior to the posterior, with evaluations on the way and the certificate at the end.

use std::path::Path;

use burn::tensor::Tensor;
use tiltrl_envs::EnvBatch;
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::finetune::{Finetuner, Report};
use tiltrl_policies::gaussian::{GaussianDiffusion, Kernel};
use tiltrl_policies::guidance::critic_gradient;
use tiltrl_policies::iql::Iql;
use tiltrl_policies::kernels::adam::AdamConfig;
use tiltrl_policies::nets::{host, matrix};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::policy::{Choice, Coordinates, DiffusionPolicy};

use super::prior::{Prior, describe};
use super::reward::values;
use super::training_data::{TrainingData, gather};
use super::work::Work;
use crate::config::Config;
use crate::console::note;
use crate::error::Error;
use crate::rollout::rollout_in;
use crate::run::Results;
use crate::stage::{Stage, cosine_decay};

/// A fine-tuned posterior with its temperature.
pub struct Posterior {
    /// The model.
    pub model: GaussianDiffusion,
    /// The temperature α, in the units of Q.
    pub alpha: f64,
}

/// Returns α: the configured temperature times the prior's mean within-state standard deviation of Q.
pub fn resolve_alpha(
    config: &Config,
    data: &TrainingData,
    prior: &Prior,
    critic: &Iql,
    seed: u64,
) -> f64 {
    let (states, samples) = (256, 32);
    let mut noise = Noise::keyed(seed, "temperature", 0);
    let rows = noise.indices(states, data.len());
    let observations = gather(&data.observations, data.observation_dim, &rows, samples);
    let device = prior.model.net.parameters.device();
    let condition = matrix(observations.clone(), data.observation_dim, &device);
    let latent = host(prior.model.sample(&condition, &mut noise));
    let values = values(critic, &prior.coordinates, &observations, latent);
    let spread: f64 = values
        .chunks_exact(samples)
        .map(|q| {
            let mean = q.iter().sum::<f64>() / samples as f64;
            (q.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / samples as f64).sqrt()
        })
        .sum::<f64>()
        / states as f64;
    config.finetune.temperature * spread.max(1e-6)
}

/// Fine-tunes the prior, or goes on from the checkpoint, and returns the posterior.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>, prior: &Prior, critic: &Iql) -> Result<Posterior, Error> {
    let (config, settings) = (work.config, &work.config.finetune);
    let path = work.dir.checkpoint("posterior");
    let start = resolve_alpha(config, work.data, prior, critic, work.seed);
    let (mut tuner, done) = resume(config, prior, critic, (work.seed, start), &path)?;
    if done < settings.updates {
        let mut watch = Watch::resume(work, &prior.coordinates, start, done)?;
        if done == 0 {
            watch.evaluate(&tuner, 0)?;
        }
        let stage = Stage {
            name: "finetune",
            clock: "finetune",
            total: settings.updates,
            done,
            checkpoints: config.evaluation.evaluations_in_training,
            columns: COLUMNS,
            dir: work.dir,
            console: work.console,
        };
        stage.train(
            &mut tuner,
            |tuner, update| {
                let share = cosine_decay(update, settings.updates);
                tuner.optimizer.config.learning_rate = settings.learning_rate * share;
                let report = step(tuner, work, &prior.coordinates, critic, update)?;
                Ok(numbers(&report, tuner.temperature))
            },
            |tuner, done| watch.evaluate(tuner, done),
            |tuner, _| save(tuner, &prior.coordinates, start, &path),
        )?;
    }
    Ok(Posterior {
        alpha: tuner.temperature,
        model: tuner.posterior,
    })
}

/// Evaluates the posterior during training and keeps the best one beside the last.
struct Watch<'a> {
    work: Work<'a>,
    coordinates: &'a Coordinates,
    /// Temperature at the start.
    start: f64,
    results: Results,
    best: f64,
}

impl<'a> Watch<'a> {
    fn resume(
        work: Work<'a>,
        coordinates: &'a Coordinates,
        start: f64,
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

    fn evaluate(&mut self, tuner: &Finetuner<GaussianDiffusion>, update: u64) -> Result<(), Error> {
        let clock = std::time::Instant::now();
        let policy = DiffusionPolicy {
            model: &tuner.posterior,
            coordinates: self.coordinates,
            critic: None,
            choice: Choice::Sample,
        };
        let (config, dir) = (self.work.config, self.work.dir);
        let settings = &config.evaluation;
        let options = settings.options()?;
        let mut batch = EnvBatch::new(&config.env, &options, settings.episodes_in_training)?;
        let episodes = rollout_in(&mut batch, &policy, self.work.seed ^ 0x7261_696e, None);
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
/// `alpha` is the temperature at the start, which scales the guidance term.
pub fn widened(
    prior: &GaussianDiffusion,
    config: &Config,
    critic: &Iql,
    coordinates: &Coordinates,
    alpha: f64,
) -> GaussianDiffusion {
    let settings = &config.finetune;
    if !settings.learned_variance && !settings.guidance {
        return prior.clone();
    }
    let guidance = settings
        .guidance
        .then(|| critic_gradient(critic, coordinates, alpha));
    prior.widened(Kernel {
        learned_variance: settings.learned_variance,
        guidance,
        ..prior.kernel.clone()
    })
}

/// Returns the fine-tuner, restored if there is a checkpoint, with its update; α is its temperature.
fn resume(
    config: &Config,
    prior: &Prior,
    critic: &Iql,
    (seed, alpha): (u64, f64),
    path: &Path,
) -> Result<(Finetuner<GaussianDiffusion>, u64), Error> {
    let settings = &config.finetune;
    let adam = AdamConfig {
        learning_rate: settings.learning_rate,
        weight_decay: 0.0,
        max_gradient_norm: settings.max_gradient_norm,
    };
    let model = widened(&prior.model, config, critic, &prior.coordinates, alpha);
    let mut tuner = Finetuner::new(model, adam, settings.paths, settings.shaping)
        .with_options(settings.options.clone(), seed);
    // The same distribution without the outputs that only the posterior uses.
    tuner.prior = prior.model.clone();
    tuner.temperature = alpha;
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

fn save(
    tuner: &Finetuner<GaussianDiffusion>,
    coordinates: &Coordinates,
    start: f64,
    path: &Path,
) -> Result<(), Error> {
    let mut checkpoint = Checkpoint::new("posterior", tuner.optimizer.count);
    describe(&mut checkpoint, &tuner.posterior, coordinates);
    let alpha = tuner.temperature;
    checkpoint.settings.insert("alpha".into(), alpha.into());
    let key = "alpha_at_start".to_string();
    checkpoint.settings.insert(key, start.into());
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
fn numbers(r: &Report, alpha: f64) -> [f64; 8] {
    [
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
    tuner: &mut Finetuner<GaussianDiffusion>,
    work: Work<'_>,
    coordinates: &Coordinates,
    critic: &Iql,
    update: u64,
) -> Result<Report, Error> {
    let data = work.data;
    let device = tuner.posterior.net.parameters.device();
    let mut noise = Noise::keyed(work.seed, "finetune-update", update);
    let rows = noise.indices(work.config.finetune.states, data.len());
    let observations = |c: usize| gather(&data.observations, data.observation_dim, &rows, c);
    let condition = |c: usize| matrix(observations(c), data.observation_dim, &device);
    let samples = |c: usize| {
        matrix(
            gather(&data.latents, data.action_dim, &rows, c),
            data.action_dim,
            &device,
        )
    };
    let value = |sample: &Tensor<2>, c: usize| -> Vec<f64> {
        values(critic, coordinates, &observations(c), host(sample.clone()))
    };
    Ok(tuner.update(&condition, &samples, &value, &mut noise)?)
}
