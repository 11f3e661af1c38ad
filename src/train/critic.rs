//! Training of the IQL critic on the data.

use burn::tensor::Device;
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::iql::{Iql, IqlReport, Transitions};
use tiltrl_policies::nets::{Mlp, host, vector};
use tiltrl_policies::noise::Noise;

use super::material::{Material, gather};
use super::progress::{bar, cosine_decay};
use crate::config::Config;
use crate::error::Error;
use crate::run::{CsvLog, RunDir};

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
/// When a file cannot be written, a checkpoint does not fit, or a loss is not finite.
pub fn train(
    config: &Config,
    material: &Material,
    seed: u64,
    dir: &RunDir,
    device: &Device,
) -> Result<Iql, Error> {
    let path = dir.checkpoint("critic");
    let mut critic = Iql::new(
        config.critic.clone(),
        material.observation_dim,
        material.action_dim,
        seed,
        device,
    );
    let total = config.critic.updates;
    let mut update = if path.exists() {
        load(&mut critic, &path)?
    } else {
        0
    };
    if update >= total {
        return Ok(critic);
    }
    let mut log = CsvLog::resume(
        dir.path.join("critic.csv"),
        "update,q_loss,v_loss,value",
        update,
    );
    let segment = (total / 20).max(1);
    let logged = (segment / 5).max(1);
    let progress = bar("critic", total, update);
    let mut clock = std::time::Instant::now();
    while update < total {
        let rate = config.critic.learning_rate * cosine_decay(update, total);
        for optimizer in &mut critic.optimizers {
            optimizer.config.learning_rate = rate;
        }
        let report = step(&mut critic, material, seed, update)?;
        update += 1;
        progress.inc(1);
        let ends = update % segment == 0 || update == total;
        if ends || (update % segment).is_multiple_of(logged) {
            progress.set_message(format!("Bellman error {:.4}", report.q_loss));
            log.push(update, &columns(&report));
        }
        if ends {
            log.save()?;
            save(&mut critic, update, &path)?;
            dir.add_seconds("critic", clock.elapsed().as_secs_f64())?;
            clock = std::time::Instant::now();
        }
    }
    progress.finish();
    Ok(critic)
}

/// A row of critic.csv after its update.
fn columns(r: &IqlReport) -> String {
    format!("{:.6},{:.6},{:.6}", r.q_loss, r.v_loss, r.value)
}

fn step(critic: &mut Iql, material: &Material, seed: u64, update: u64) -> Result<IqlReport, Error> {
    let mut noise = Noise::keyed(seed, "critic-update", update);
    let rows = noise.indices(critic.config.batch_size, material.len());
    let (width, config) = (material.observation_dim, critic.config.clone());
    let (rewards, last, discounts) = material.multi_steps(&rows, config.num_steps, config.discount);
    Ok(critic.update(&Transitions {
        observations: &gather(&material.observations, width, &rows, 1),
        actions: &gather(&material.actions, material.action_dim, &rows, 1),
        rewards: &rewards,
        next_observations: &gather(&material.next_observations, width, &last, 1),
        discounts: &discounts,
    })?)
}
