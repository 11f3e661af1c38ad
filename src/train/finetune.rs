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

use super::material::{Material, gather};
use super::prior::{Prior, describe};
use super::progress::{bar, cosine_decay};
use super::reward::values;
use crate::config::Config;
use crate::error::Error;
use crate::evaluate::{EVAL_HEADER, push_episodes};
use crate::pictures::training_curve;
use crate::rollout::rollout_in;
use crate::run::{CsvLog, RunDir};

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
    material: &Material,
    prior: &Prior,
    critic: &Iql,
    seed: u64,
) -> f64 {
    let (states, samples) = (256, 32);
    let mut noise = Noise::keyed(seed, "temperature", 0);
    let rows = noise.indices(states, material.len());
    let observations = gather(
        &material.observations,
        material.observation_dim,
        &rows,
        samples,
    );
    let device = prior.model.net.parameters.device();
    let condition = matrix(observations.clone(), material.observation_dim, &device);
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
/// When a file cannot be written, a checkpoint does not fit, or a loss is not finite.
pub fn train(
    config: &Config,
    material: &Material,
    prior: &Prior,
    critic: &Iql,
    seed: u64,
    dir: &RunDir,
) -> Result<Posterior, Error> {
    let path = dir.checkpoint("posterior");
    let settings = &config.finetune;
    let start = resolve_alpha(config, material, prior, critic, seed);
    let (mut tuner, mut update) = resume(config, prior, critic, (seed, start), &path)?;
    if update >= settings.updates {
        return Ok(Posterior {
            alpha: tuner.temperature,
            model: tuner.posterior,
        });
    }
    let header = "update,loss,log_z,path_kl,ess,log_reward,gradient_norm,alpha,q";
    let mut log = CsvLog::resume(dir.path.join("finetune.csv"), header, update);
    let mut watch = Watch::resume(config, &prior.coordinates, (seed, start), dir, update)?;
    let segment = (settings.updates / config.evaluation.evaluations_in_training.max(1)).max(1);
    let logged = (segment / 5).max(1);
    let progress = bar("finetune", settings.updates, update);
    if update == 0 {
        watch.evaluate(&tuner, 0)?;
    }
    let mut clock = std::time::Instant::now();
    let mut mean = Mean::default();
    while update < settings.updates {
        let share = cosine_decay(update, settings.updates);
        tuner.optimizer.config.learning_rate = settings.learning_rate * share;
        let key = (seed, update);
        let coordinates = &prior.coordinates;
        mean.add(step(
            &mut tuner,
            material,
            coordinates,
            critic,
            settings.states,
            key,
        )?);
        update += 1;
        progress.inc(1);
        let ends = update % segment == 0 || update == settings.updates;
        if ends || (update % segment).is_multiple_of(logged) {
            let report = mean.take();
            progress.set_message(format!("log Z {:.2} ESS/N {:.2}", report.log_z, report.ess));
            log.push(update, &columns(&report, tuner.temperature));
        }
        if ends {
            dir.add_seconds("finetune", clock.elapsed().as_secs_f64())?;
            watch.evaluate(&tuner, update)?;
            log.save()?;
            save(&tuner, &prior.coordinates, start, &path)?;
            clock = std::time::Instant::now();
        }
    }
    progress.finish();
    Ok(Posterior {
        alpha: tuner.temperature,
        model: tuner.posterior,
    })
}

/// Evaluates the posterior during training and keeps the best one beside the last.
struct Watch<'a> {
    config: &'a Config,
    coordinates: &'a Coordinates,
    seed: u64,
    dir: &'a RunDir,
    start: f64,
    log: CsvLog,
    best: f64,
}

impl<'a> Watch<'a> {
    fn resume(
        config: &'a Config,
        coordinates: &'a Coordinates,
        (seed, start): (u64, f64),
        dir: &'a RunDir,
        update: u64,
    ) -> Result<Self, Error> {
        let mut log = CsvLog::resume(dir.path.join("eval.csv"), EVAL_HEADER, update);
        if update == 0 {
            log.clear();
        }
        let best = if update > 0 {
            let earlier = training_curve(&dir.path)?.into_iter();
            earlier
                .filter(|(u, _)| *u <= update)
                .fold(f64::NEG_INFINITY, |best, (_, mean)| best.max(mean))
        } else {
            f64::NEG_INFINITY
        };
        Ok(Self {
            config,
            coordinates,
            seed,
            dir,
            start,
            log,
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
        let (env, settings) = (&self.config.env, &self.config.evaluation);
        let count = settings.episodes_in_training;
        let mut batch = EnvBatch::new(env, &settings.options()?, count)?;
        let episodes = rollout_in(&mut batch, &policy, self.seed ^ 0x7261_696e, None);
        push_episodes(
            &mut self.log,
            update,
            "training",
            "posterior",
            batch.spec(),
            &episodes,
        );
        self.log.save()?;
        let mean = episodes.iter().map(|e| e.episode_return).sum::<f64>() / count as f64;
        if mean > self.best {
            self.best = mean;
            let path = self.dir.checkpoint("posterior-best");
            save(tuner, self.coordinates, self.start, &path)?;
        }
        self.dir
            .add_seconds("evaluation", clock.elapsed().as_secs_f64())?;
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
        eprintln!(
            "warning: {}: the replay is not part of a checkpoint; it is filled anew, so the bytes differ from an undisturbed run",
            path.display()
        );
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

/// A row of finetune.csv after its update; `q` is the mean Q of on-policy samples in the critic's units.
fn columns(r: &Report, alpha: f64) -> String {
    format!(
        "{:.6},{:.6},{:.6},{:.6},{:.6},{:.6},{alpha:.6},{:.6}",
        r.loss,
        r.log_z,
        r.path_kl,
        r.ess,
        r.log_reward,
        r.gradient_norm,
        r.log_reward * alpha
    )
}

/// Average of reports since the last row of the log.
#[derive(Default)]
struct Mean {
    sum: Report,
    count: f64,
}

impl Mean {
    fn add(&mut self, r: Report) {
        self.sum.loss += r.loss;
        self.sum.log_z += r.log_z;
        self.sum.path_kl += r.path_kl;
        self.sum.ess += r.ess;
        self.sum.log_reward += r.log_reward;
        self.sum.gradient_norm += r.gradient_norm;
        self.count += 1.0;
    }

    fn take(&mut self) -> Report {
        let (s, n) = (self.sum, self.count.max(1.0));
        *self = Self::default();
        Report {
            loss: s.loss / n,
            log_z: s.log_z / n,
            path_kl: s.path_kl / n,
            ess: s.ess / n,
            log_reward: s.log_reward / n,
            gradient_norm: s.gradient_norm / n,
        }
    }
}

fn step(
    tuner: &mut Finetuner<GaussianDiffusion>,
    material: &Material,
    coordinates: &Coordinates,
    critic: &Iql,
    states: usize,
    (seed, update): (u64, u64),
) -> Result<Report, Error> {
    let device = tuner.posterior.net.parameters.device();
    let mut noise = Noise::keyed(seed, "finetune-update", update);
    let rows = noise.indices(states, material.len());
    let observations =
        |c: usize| gather(&material.observations, material.observation_dim, &rows, c);
    let condition = |c: usize| matrix(observations(c), material.observation_dim, &device);
    let data = |c: usize| {
        matrix(
            gather(&material.latents, material.action_dim, &rows, c),
            material.action_dim,
            &device,
        )
    };
    let value = |sample: &Tensor<2>, c: usize| -> Vec<f64> {
        values(critic, coordinates, &observations(c), host(sample.clone()))
    };
    Ok(tuner.update(&condition, &data, &value, &mut noise)?)
}
