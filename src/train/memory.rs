//! How many steps of fine-tuning's paths fit a memory limit.

use tiltrl_policies::fast::bytes_per_row;
use tiltrl_policies::nets::{NetworkShape, Perceptron};

use crate::config::Config;
use crate::error::Error;

const MEBIBYTE: usize = 1 << 20;

/// Returns `finetune.options.chunk` with which the activations that an update keeps for its gradient need at most `mebibytes`:
/// 0, so that sampling keeps them, where the whole paths fit, else the most steps that do.
///
/// `widths` are those of observations and actions. Weights, optimizer and data are not counted; they do not depend on T.
///
/// # Errors
/// [`Error::Usage`] when not even one step fits, or the prior is no perceptron: what another network keeps is not known.
pub fn chunk(
    config: &Config,
    [observation_dim, action_dim]: [usize; 2],
    mebibytes: usize,
) -> Result<usize, Error> {
    let (settings, prior) = (&config.finetune, &config.prior);
    if prior.network != "perceptron" {
        return Err(Error::Usage(format!(
            "--memory: known for perceptrons only, found prior.network = \"{}\"\n  hint: leave --memory out, or set finetune.options.chunk",
            prior.network
        )));
    }
    let variances = action_dim * usize::from(settings.learned_variance);
    let shape = NetworkShape {
        dim: action_dim,
        condition_dim: observation_dim + usize::from(!settings.dial.is_empty()),
        outputs: action_dim + variances + usize::from(settings.guidance),
        hidden: prior.hidden.clone(),
        activation: prior.activation,
        waves: 0,
    };
    let options = &settings.options;
    let per_state = settings.paths.total() + options.exploration.paths;
    let replayed = options.replay.groups * options.replay.paths;
    let paths = settings.states * per_state + replayed;
    let per_step = paths * bytes_per_row(&Perceptron::sizes(&shape));
    let limit = mebibytes.saturating_mul(MEBIBYTE);
    if per_step * prior.num_steps <= limit {
        return Ok(0);
    }
    let steps = limit / per_step;
    if steps == 0 {
        return Err(Error::Usage(format!(
            "--memory {mebibytes}: one denoising step of {paths} paths needs {} MiB\n  hint: give at least that, or lower finetune.states",
            per_step.div_ceil(MEBIBYTE)
        )));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    #[test]
    fn the_chunk_fits_the_limit_and_does_not_depend_on_the_number_of_steps() {
        let mut config = preset("quickstart").expect("known");
        let widths = [3, 1];
        assert_eq!(chunk(&config, widths, 1 << 20).expect("fits"), 0);
        config.prior.num_steps = 1000;
        let steps = chunk(&config, widths, 8).expect("a step fits");
        assert!(steps > 0 && steps < 1000);
        config.prior.num_steps = 2000;
        assert_eq!(chunk(&config, widths, 8).expect("a step fits"), steps);
        assert!(chunk(&config, widths, 16).expect("fits") >= 2 * steps);
        let error = chunk(&config, widths, 0).expect_err("nothing fits");
        assert!(error.to_string().contains("--memory 0"));
    }
}
