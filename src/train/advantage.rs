//! Training of the advantage networks, after prior and critic: what the posterior is tilted by.

use std::path::Path;

use burn::tensor::Device;
use tiltrl_policies::advantage::{Advantage, Labelled};
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::iql::{Iql, Transitions};
use tiltrl_policies::nets::{host, matrix, vector};
use tiltrl_policies::noise::Noise;

use super::prior::Prior;
use super::training_data::{TrainingData, gather};
use super::work::Work;
use crate::config::Config;
use crate::error::Error;
use crate::stage::{Stage, cosine_decay};

/// Rows whose prior samples stand against the data.
const POOL: usize = 50_000;
/// Rows evaluated at once.
const CHUNK: usize = 4096;

fn save(advantage: &Advantage, update: u64, path: &Path) -> Result<(), Error> {
    let mut checkpoint = Checkpoint::new("advantage", update);
    for (i, (net, optimizer)) in advantage.nets.iter().zip(&advantage.optimizers).enumerate() {
        let parameters = host(net.parameters.clone());
        checkpoint.tensors.insert(format!("a{i}"), parameters);
        checkpoint.put_optimizer(&i.to_string(), optimizer);
    }
    let unit = format!("{:016x}", advantage.unit.to_bits());
    checkpoint.settings.insert("unit_bits".into(), unit.into());
    Ok(checkpoint.save(path)?)
}

fn load(advantage: &mut Advantage, path: &Path) -> Result<u64, Error> {
    let checkpoint = Checkpoint::load(path, "advantage")?;
    let optimizers = advantage.optimizers.iter_mut();
    for (i, (net, optimizer)) in advantage.nets.iter_mut().zip(optimizers).enumerate() {
        let device = net.parameters.device();
        let count = net.spec.num_parameters();
        net.parameters = vector(checkpoint.tensor(path, &format!("a{i}"), count)?, &device);
        checkpoint.get_optimizer(path, &i.to_string(), optimizer)?;
    }
    let bits = checkpoint.settings.get("unit_bits");
    let bits = bits.and_then(serde_json::Value::as_str);
    if let Some(bits) = bits.and_then(|b| u64::from_str_radix(b, 16).ok()) {
        advantage.unit = f64::from_bits(bits);
    }
    Ok(checkpoint.update)
}

/// Gives the critic its advantage networks from their checkpoint; tells whether it has all that the config wants.
///
/// # Errors
/// When the checkpoint cannot be read or does not fit.
pub fn restore(
    config: &Config,
    critic: &mut Iql,
    path: &Path,
    device: &Device,
) -> Result<bool, Error> {
    let wanted = config.critic.advantage_updates;
    if wanted == 0 || !path.exists() {
        return Ok(wanted == 0);
    }
    let dims = [critic.observation_dim, critic.action_dim];
    let mut advantage = Advantage::new(&config.critic, dims, 0, device);
    let done = load(&mut advantage, path)?;
    critic.advantage = Some(advantage);
    Ok(done >= wanted)
}

/// r + γ V(s') − V(s) of every row, over the configured number of steps.
fn targets(data: &TrainingData, critic: &Iql) -> Vec<f32> {
    let (width, config) = (data.observation_dim, &critic.config);
    let mut all = Vec::with_capacity(data.len());
    let rows: Vec<usize> = (0..data.len()).collect();
    for rows in rows.chunks(CHUNK) {
        let (rewards, last, discounts) = data.multi_steps(rows, config.num_steps, config.discount);
        all.extend(critic.advantage_targets(&Transitions {
            observations: &gather(&data.observations, width, rows, 1),
            actions: &gather(&data.actions, data.action_dim, rows, 1),
            rewards: &rewards,
            next_observations: &gather(&data.next_observations, width, &last, 1),
            discounts: &discounts,
        }));
    }
    all
}

/// Inputs [rows, observation_dim + action_dim] of the given rows with the given actions.
fn inputs(data: &TrainingData, rows: &[usize], actions: &[f32]) -> Vec<f32> {
    let (width, dim) = (data.observation_dim, data.action_dim);
    let mut all = Vec::with_capacity(rows.len() * (width + dim));
    for (&row, action) in rows.iter().zip(actions.chunks_exact(dim)) {
        all.extend_from_slice(&data.observations[row * width..(row + 1) * width]);
        all.extend_from_slice(action);
    }
    all
}

/// Inputs of the prior's own samples at states of the data.
fn pool(data: &TrainingData, prior: &Prior, seed: u64) -> Vec<f32> {
    let mut noise = Noise::keyed(seed, "advantage-pool", 0);
    let rows = noise.indices(POOL, data.len());
    let device = prior.model.net.parameters.device();
    let mut all = Vec::new();
    for rows in rows.chunks(CHUNK) {
        let observations = gather(&data.observations, data.observation_dim, rows, 1);
        let condition = matrix(observations, data.observation_dim, &device);
        let latent = host(prior.model.sample(&condition, &mut noise));
        all.extend(inputs(data, rows, &prior.coordinates.actions(latent)));
    }
    all
}

/// Trains the advantage networks, or goes on from their checkpoint, and gives them to the critic.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>, prior: &Prior, critic: &mut Iql) -> Result<(), Error> {
    let (config, data) = (work.config, work.data);
    let (path, total) = (
        work.dir.checkpoint("advantage"),
        config.critic.advantage_updates,
    );
    if total == 0 {
        return Ok(());
    }
    let dims = [data.observation_dim, data.action_dim];
    let mut advantage = Advantage::new(&config.critic, dims, work.seed, work.device);
    let done = if path.exists() {
        load(&mut advantage, &path)?
    } else {
        0
    };
    if done < total {
        let clock = std::time::Instant::now();
        let rows = Rows::new(work, prior, critic, &mut advantage);
        work.dir
            .add_seconds("critic", clock.elapsed().as_secs_f64())?;
        let stage = Stage {
            name: "advantage",
            clock: "critic",
            total,
            done,
            checkpoints: 10,
            columns: ["loss"],
            dir: work.dir,
            console: work.console,
        };
        stage.train(
            &mut advantage,
            |advantage, update| {
                let rate = config.critic.learning_rate * cosine_decay(update, total);
                for optimizer in &mut advantage.optimizers {
                    optimizer.config.learning_rate = rate;
                }
                Ok([step(advantage, work, &rows, update)?])
            },
            |_, _| Ok(()),
            |advantage, done| save(advantage, done, &path),
        )?;
    }
    critic.advantage = Some(advantage);
    Ok(())
}

/// What batches are drawn from.
struct Rows {
    /// Targets of the rows of the data, in units of their spread.
    labels: Vec<f32>,
    /// Inputs of the prior's own samples.
    pool: Vec<f32>,
}

impl Rows {
    /// Computes both; the networks get the unit of the targets.
    fn new(work: Work<'_>, prior: &Prior, critic: &Iql, advantage: &mut Advantage) -> Self {
        let mut labels = targets(work.data, critic);
        let square = |sum: f64, v: &f32| sum + f64::from(*v).powi(2);
        let spread = labels.iter().fold(0.0, square) / labels.len() as f64;
        advantage.unit = spread.sqrt().max(1e-9);
        let unit = advantage.unit as f32;
        labels.iter_mut().for_each(|v| *v /= unit);
        let pool = pool(work.data, prior, work.seed);
        Self { labels, pool }
    }
}

/// One batch: rows of the data with their targets, and half as many samples of the prior with the low label.
fn step(
    advantage: &mut Advantage,
    work: Work<'_>,
    rows_of: &Rows,
    update: u64,
) -> Result<f64, Error> {
    let (config, data) = (work.config, work.data);
    let mut noise = Noise::keyed(work.seed, "advantage-update", update);
    let (labels, pool) = (&rows_of.labels, &rows_of.pool);
    let rows = noise.indices(config.critic.batch_size, data.len());
    let actions = gather(&data.actions, data.action_dim, &rows, 1);
    let mut batch = inputs(data, &rows, &actions);
    let mut wanted: Vec<f32> = rows.iter().map(|&row| labels[row]).collect();
    if config.critic.caution > 0.0 {
        let width = data.observation_dim + data.action_dim;
        let others = noise.indices(config.critic.batch_size / 2, pool.len() / width);
        batch.extend(gather(pool, width, &others, 1));
        wanted.resize(rows.len() + others.len(), advantage.floor);
    }
    Ok(advantage.update(&Labelled {
        inputs: batch,
        labels: &wanted,
    })?)
}
