//! Training of the critic that the config names, after the prior, whose samples some critics look at.

use std::path::Path;
use std::sync::Arc;

use tiltrl_policies::Compute;
use tiltrl_policies::agent::{Critic, LearnerShape, Lesson};
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;

use super::prior::Prior;
use super::work::Work;
use crate::config::Config;
use crate::error::Error;
use crate::stage::Stage;

/// Returns an untrained critic of the configured kind.
fn fresh(
    config: &Config,
    [observation_dim, action_dim]: [usize; 2],
    seed: u64,
    compute: &Compute,
) -> Result<Box<dyn Critic>, Error> {
    let shape = LearnerShape {
        observation_dim,
        action_dim,
        seed,
        compute: compute.clone(),
    };
    Ok((config.critic.kind()?.make)(
        &config.critic.values(),
        &shape,
    )?)
}

/// Reads a critic from its checkpoint; none while its training is not finished.
///
/// # Errors
/// When it cannot be read or does not fit.
pub fn restore(
    config: &Config,
    widths: [usize; 2],
    seed: u64,
    path: &Path,
    compute: &Compute,
) -> Result<Option<Arc<dyn Critic>>, Error> {
    let mut critic = fresh(config, widths, seed, compute)?;
    let checkpoint = Checkpoint::load(path, "critic")?;
    critic.load(&checkpoint, path)?;
    let finished = checkpoint.update >= critic.updates();
    Ok(finished.then(|| Arc::from(critic)))
}

/// Trains the critic, or goes on from its checkpoint, and returns it.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>, prior: &Prior) -> Result<Arc<dyn Critic>, Error> {
    let path = work.dir.checkpoint("critic");
    let widths = work.data.widths();
    let mut critic = fresh(work.config, widths, work.seed, work.compute)?;
    let mut done = 0;
    if path.exists() {
        let checkpoint = Checkpoint::load(&path, "critic")?;
        critic.load(&checkpoint, &path)?;
        done = checkpoint.update;
    }
    let draw = |observations: &[f32], noise: &mut Noise| -> Vec<f32> {
        let condition = matrix(observations.to_vec(), widths[0], &prior.model.device());
        let latent = host(prior.model.sample(&condition, noise));
        prior.coordinates.actions(latent)
    };
    let lesson = Lesson {
        transitions: &work.data.transitions,
        prior: &draw,
        seed: work.seed,
    };
    let stage = Stage {
        name: "critic",
        clock: "critic",
        total: critic.updates(),
        done,
        checkpoints: 20,
        columns: critic.figures(),
        dir: work.dir,
        console: work.console,
        tensorboard: work.tensorboard,
    };
    stage.train(
        &mut critic,
        |critic, update| Ok(critic.update(&lesson, update)?),
        |_, _| Ok(()),
        |critic, done| {
            let mut checkpoint = Checkpoint::new("critic", done);
            critic.save(&mut checkpoint);
            Ok(checkpoint.save(&path)?)
        },
    )?;
    Ok(Arc::from(critic))
}
