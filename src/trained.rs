//! A finished run's policies, read from its checkpoints without the data.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tiltrl_envs::spec_of;
use tiltrl_policies::checkpoint::Checkpoint;

use crate::config::Config;
use crate::error::Error;
use crate::run::RunDir;
use crate::train::prior::{Prior, fresh, restore};

/// A policy of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The diffusion prior.
    Prior,
    /// The fine-tuned posterior.
    #[default]
    Posterior,
}

/// Returns the directory of a run's first seed: `folder/seed-N` with the smallest N, or `folder` itself if it is one.
///
/// # Errors
/// When there is none.
pub fn first_seed(folder: &Path) -> Result<RunDir, Error> {
    let path = if folder.join("run.toml").exists() {
        folder.to_path_buf()
    } else {
        let number = |path: &PathBuf| -> Option<u64> {
            path.file_name()?
                .to_str()?
                .strip_prefix("seed-")?
                .parse()
                .ok()
        };
        std::fs::read_dir(folder)
            .map_err(Error::io(folder))?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter_map(|path| number(&path).map(|n| (n, path)))
            .min()
            .map(|(_, path)| path)
            .ok_or_else(|| {
                Error::Run(format!(
                    "{}: holds no folder seed-N with a run.toml\n  hint: name the folder of a finished run",
                    folder.display()
                ))
            })?
    };
    Ok(RunDir { path })
}

/// Returns a run's config and one of its models with the coordinates that it works in.
///
/// # Errors
/// When the checkpoint is missing or does not fit the config.
pub fn load(dir: &RunDir, which: Which) -> Result<(Config, Prior), Error> {
    let config = dir.config()?;
    let spec = spec_of(&config.env)?;
    let (name, tensor) = match which {
        Which::Prior => ("prior", "average"),
        Which::Posterior => ("posterior", "parameters"),
    };
    let path = dir.checkpoint(name);
    let checkpoint = Checkpoint::load(&path, name)?;
    let dims = [spec.observation_dim, spec.action_dim];
    let model = fresh(&config, dims, 0, &Device::flex())?;
    let model = restore(&checkpoint, &path, tensor, model)?;
    Ok((config, model))
}
