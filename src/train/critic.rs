//! Training of the IQL critic on the data.

use burn::tensor::Device;
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::iql::{Iql, IqlReport, Transitions};
use tiltrl_policies::nets::{Mlp, host, vector};
use tiltrl_policies::noise::Noise;

use super::training_data::{TrainingData, gather};
use super::work::Work;
use crate::config::Config;
use crate::error::Error;
use crate::stage::{Stage, cosine_decay};

fn networks(critic: &mut Iql) -> Vec<(String, &mut Mlp)> {
    let online = critic
        .q
        .iter_mut()
        .enumerate()
        .map(|(i, n)| (format!("q{i}"), n));
    let target = critic
        .target
        .iter_mut()
        .enumerate()
        .map(|(i, n)| (format!("target{i}"), n));
    online
        .chain(target)
        .chain([("v".to_string(), &mut critic.v)])
        .collect()
}

fn save(critic: &mut Iql, update: u64, path: &std::path::Path) -> Result<(), Error> {
    let mut checkpoint = Checkpoint::new("critic", update);
    for (i, optimizer) in critic.optimizers.iter().enumerate() {
        checkpoint.put_optimizer(&i.to_string(), optimizer);
    }
    for (name, net) in networks(critic) {
        checkpoint
            .tensors
            .insert(name, host(net.parameters.clone()));
    }
    Ok(checkpoint.save(path)?)
}

fn load(critic: &mut Iql, path: &std::path::Path) -> Result<u64, Error> {
    let checkpoint = Checkpoint::load(path, "critic")?;
    for (name, net) in networks(critic) {
        let device = net.parameters.device();
        net.parameters = vector(
            checkpoint.tensor(path, &name, net.spec.num_parameters())?,
            &device,
        );
    }
    for (i, optimizer) in critic.optimizers.iter_mut().enumerate() {
        checkpoint.get_optimizer(path, &i.to_string(), optimizer)?;
    }
    Ok(checkpoint.update)
}

/// Reads a critic from its checkpoint.
///
/// # Errors
/// When it cannot be read or does not fit.
pub fn restore(
    config: &Config,
    [observation_dim, action_dim]: [usize; 2],
    seed: u64,
    path: &std::path::Path,
    device: &Device,
) -> Result<Iql, Error> {
    let settings = config.critic.clone();
    let mut critic = Iql::new(settings, observation_dim, action_dim, seed, device);
    load(&mut critic, path)?;
    Ok(critic)
}

/// Trains the critic, or goes on from its checkpoint, and returns it.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>) -> Result<Iql, Error> {
    let (settings, data) = (work.config.critic.clone(), work.data);
    let path = work.dir.checkpoint("critic");
    let (rate, total) = (settings.learning_rate, settings.updates);
    let widths = [data.observation_dim, data.action_dim];
    let mut critic = Iql::new(settings, widths[0], widths[1], work.seed, work.device);
    let done = if path.exists() {
        load(&mut critic, &path)?
    } else {
        0
    };
    let stage = Stage {
        name: "critic",
        clock: "critic",
        total,
        done,
        checkpoints: 20,
        columns: ["q_loss", "v_loss", "value"],
        dir: work.dir,
        console: work.console,
    };
    stage.train(
        &mut critic,
        |critic, update| {
            for optimizer in &mut critic.optimizers {
                optimizer.config.learning_rate = rate * cosine_decay(update, total);
            }
            let r = step(critic, data, work.seed, update)?;
            Ok([r.q_loss, r.v_loss, r.value])
        },
        |_, _| Ok(()),
        |critic, done| save(critic, done, &path),
    )?;
    Ok(critic)
}

fn step(critic: &mut Iql, data: &TrainingData, seed: u64, update: u64) -> Result<IqlReport, Error> {
    let mut noise = Noise::keyed(seed, "critic-update", update);
    let rows = noise.indices(critic.config.batch_size, data.len());
    let (width, config) = (data.observation_dim, critic.config.clone());
    let (rewards, last, discounts) = data.multi_steps(&rows, config.num_steps, config.discount);
    Ok(critic.update(&Transitions {
        observations: &gather(&data.observations, width, &rows, 1),
        actions: &gather(&data.actions, data.action_dim, &rows, 1),
        rewards: &rewards,
        next_observations: &gather(&data.next_observations, width, &last, 1),
        discounts: &discounts,
    })?)
}
