//! The prior after denoising, by maximum likelihood: the variance of every step becomes a function of its state and observation.
//!
//! One variance per step, pooled over the data, is too wide where the data are narrow and too narrow where they are wide. Here the
//! network gets one more output per value, log σ − log σ_k, and all weights follow the gradient of the path's log-likelihood:
//! the data's actions are noised backwards and the reverse steps are scored, as fine-tuning scores them (arXiv:2201.06503 has the
//! optimal variances, arXiv:2102.09672 learns them from the same bound).

use tiltrl_policies::Compute;
use tiltrl_policies::models::{GaussianDiffusion, StepShape};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::matrix;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::Optimizer;
use tiltrl_tilt::sequential::SequentialModel;

use super::held_out::Split;
use super::prior::{Prior, State, fresh, restore, rows_of};
use super::training_data::TrainingData;
use super::work::Work;
use crate::config::{Config, PriorConfig};
use crate::error::Error;
use crate::run::RunDir;
use crate::stage::{Stage, cosine_decay};

/// Name of the stage, and of its checkpoint.
pub const NAME: &str = "likelihood";

/// Checkpoints of its training.
const CHECKPOINTS: u64 = 10;

/// Returns a prior with variances of its own, which at the start are those that it had.
pub fn widened(model: &GaussianDiffusion) -> Result<GaussianDiffusion, TiltError> {
    model.reshaped(StepShape {
        learned_variance: true,
        ..model.step().clone()
    })
}

/// Reads the finished prior of a run's seed: after its training by likelihood, where the config has one. `widths` are those of an
/// observation and of an action.
///
/// # Errors
/// When there is none, or it cannot be read or does not fit the config.
pub fn of_folder(
    dir: &RunDir,
    config: &Config,
    widths: [usize; 2],
    seed: u64,
    compute: &Compute,
) -> Result<Prior, Error> {
    let own = config.prior.likelihood_updates > 0;
    let stage = if own { NAME } else { "prior" };
    let path = dir.checkpoint(stage);
    if !path.exists() {
        return Err(Error::Run(format!(
            "{}: no such file\n  hint: finish the run first with the command that started it",
            path.display()
        )));
    }
    let mut model = fresh(config, widths, seed, compute)?;
    if own {
        model = widened(&model)?;
    }
    restore(&Checkpoint::load(&path, stage)?, &path, "average", &model)
}

/// Trains the prior on by maximum likelihood, or goes on from the checkpoint, and returns it; as it is where the config asks for none.
///
/// # Errors
/// When a file cannot be read or written, a checkpoint does not fit, or a loss is not finite.
pub fn train(work: Work<'_>, prior: Prior) -> Result<Prior, Error> {
    let (config, data) = (&work.config.prior, work.data);
    if config.likelihood_updates == 0 {
        return Ok(prior);
    }
    let path = work.dir.checkpoint(NAME);
    let mut state = State::resume(widened(&prior.model)?, config, &path, NAME)?;
    let continues = &data.transitions.continues;
    let split = (config.held_out > 0.0).then(|| Split::new(continues, config.held_out, work.seed));
    let stage = Stage {
        name: NAME,
        clock: "prior",
        total: config.likelihood_updates,
        done: state.update,
        checkpoints: CHECKPOINTS,
        columns: vec!["nats_per_value"],
        dir: work.dir,
        console: work.console,
        tensorboard: work.tensorboard,
    };
    stage.train(
        &mut state,
        |state, _| {
            let loss = step(state, data, split.as_ref(), (config, work.seed))?;
            state.update += 1;
            Ok(vec![loss])
        },
        |_, _| Ok(()),
        |state, _| {
            Ok(state
                .checkpoint(NAME, &state.averaged(), data)
                .save(&path)?)
        },
    )?;
    let checkpoint = Checkpoint::load(&path, NAME)?;
    restore(&checkpoint, &path, "average", &state.model)
}

/// One update; returns −log p of the path per value of the action, without the constants of the steps.
fn step(
    state: &mut State,
    data: &TrainingData,
    split: Option<&Split>,
    (config, seed): (&PriorConfig, u64),
) -> Result<f64, Error> {
    let update = state.update;
    let device = state.model.device();
    let mut noise = Noise::keyed(seed, "likelihood-update", update);
    // A path has T steps: the rows of an update are about those of an update of denoising times three.
    let count = (config.batch_size * 3 / config.num_steps).max(1);
    let rows = rows_of(data, split, count, &mut noise);
    let [width, dim] = data.widths();
    let condition = matrix(data.observations(&rows), width, &device);
    let sample = matrix(data.latents(&rows), dim, &device);
    let tracked = state.model.tracked();
    let loss = tracked.path_loss(&sample, &condition, &mut noise);
    let share = cosine_decay(update, config.likelihood_updates);
    let rate = config.learning_rate * share;
    state.optimizer.set_learning_rate(rate);
    Ok(state.descend(&tracked, loss, config.ema_decay, NAME)?)
}
