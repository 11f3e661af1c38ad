//! A trained agent read back from the folder of one seed, and the policies that it offers.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ndarray::{Array2, ArrayView2};
use tiltrl_envs::{spec_of, spec_with};
use tiltrl_policies::checkpoint::Checkpoint;
use tiltrl_policies::gaussian::GaussianDiffusion;
use tiltrl_policies::iql::Iql;
use tiltrl_policies::noise::Noise;
use tiltrl_policies::policy::{Choice, Coordinates, DiffusionPolicy, Policy};

use crate::config::Config;
use crate::error::{Error, nearest};
use crate::run::RunDir;
use crate::train::{advantage, critic, finetune, prior};

/// A policy of a run, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyName {
    /// `prior`: one sample of the prior.
    Prior,
    /// `posterior`: one sample of the last posterior.
    Posterior,
    /// `posterior-best`: one sample of the posterior with the highest return in training.
    Best,
    /// `best-of-N`: the prior's sample of highest Q out of N.
    BestOf(usize),
    /// `resample-N`: one of N samples of the prior, drawn with probability ∝ exp(Q/α).
    Resample(usize),
}

impl std::str::FromStr for PolicyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let count = |rest: &str| rest.parse::<usize>().ok().filter(|&n| n > 0);
        let fixed = [
            ("prior", Self::Prior),
            ("posterior", Self::Posterior),
            ("posterior-best", Self::Best),
        ];
        if let Some((_, name)) = fixed.iter().find(|(n, _)| *n == text) {
            return Ok(*name);
        }
        let counted = text
            .strip_prefix("best-of-")
            .and_then(count)
            .map(Self::BestOf);
        let resampled = text.strip_prefix("resample-").and_then(count);
        counted
            .or(resampled.map(Self::Resample))
            .ok_or_else(|| {
                let known = ["prior", "posterior", "posterior-best", "best-of-16", "resample-16"];
                let hint = nearest(text, known.into_iter())
                    .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                Error::Usage(format!(
                    "unknown policy `{text}`{hint}\n  policies: prior, posterior, posterior-best, best-of-N, resample-N"
                ))
            })
    }
}

impl std::fmt::Display for PolicyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prior => f.write_str("prior"),
            Self::Posterior => f.write_str("posterior"),
            Self::Best => f.write_str("posterior-best"),
            Self::BestOf(n) => write!(f, "best-of-{n}"),
            Self::Resample(n) => write!(f, "resample-{n}"),
        }
    }
}

/// The networks of one seed.
pub struct Agent {
    /// Coordinates of all of them.
    pub coordinates: Coordinates,
    /// The prior.
    pub prior: GaussianDiffusion,
    /// The critic, if it was trained.
    pub critic: Option<Iql>,
    /// The last posterior and its temperature α, if it was trained.
    pub posterior: Option<(GaussianDiffusion, f64)>,
    /// The posterior of highest return in training, if there is one.
    pub best: Option<GaussianDiffusion>,
    folder: PathBuf,
}

impl Agent {
    /// Reads the checkpoints in the folder of one seed.
    ///
    /// # Errors
    /// When the prior is missing, or a checkpoint cannot be read or does not fit the config.
    pub fn load(dir: &RunDir, config: &Config, seed: u64, device: &Device) -> Result<Self, Error> {
        // What is built in has the same widths on every engine, also where the run's engine is not installed.
        let spec = match spec_of(&config.env) {
            Ok(spec) => spec,
            Err(_) => spec_with(&config.env, &config.evaluation.options()?)?,
        };
        let dims = [spec.observation_dim, spec.action_dim];
        let path = dir.checkpoint("prior");
        if !path.exists() {
            return Err(Error::Run(format!(
                "{}: no such file\n  hint: finish the run first with the command that started it",
                path.display()
            )));
        }
        let fresh = prior::fresh(config, dims, seed, device)?;
        let loaded = prior::restore(&Checkpoint::load(&path, "prior")?, &path, "average", fresh)?;
        let path = dir.checkpoint("critic");
        let mut critic = path
            .exists()
            .then(|| critic::restore(config, dims, seed, &path, device))
            .transpose()?;
        if let Some(trained) = &mut critic
            && !advantage::restore(config, trained, &dir.checkpoint("advantage"), device)?
        {
            critic = None;
        }
        let mut agent = Self {
            coordinates: loaded.coordinates,
            prior: loaded.model,
            critic,
            posterior: None,
            best: None,
            folder: dir.path.clone(),
        };
        agent.posterior = agent.posterior(&dir.checkpoint("posterior"), config)?;
        let best = agent.posterior(&dir.checkpoint("posterior-best"), config)?;
        agent.best = best.map(|(model, _)| model);
        Ok(agent)
    }

    fn posterior(
        &self,
        path: &Path,
        config: &Config,
    ) -> Result<Option<(GaussianDiffusion, f64)>, Error> {
        let (true, Some(critic)) = (path.exists(), &self.critic) else {
            return Ok(None);
        };
        let checkpoint = Checkpoint::load(path, "posterior")?;
        let number = |key: &str| checkpoint.settings.get(key)?.as_f64();
        let [alpha, start] = ["alpha", "alpha_at_start"].map(|key| number(key).unwrap_or(f64::NAN));
        let coordinates = &self.coordinates;
        let wide = finetune::widened(&self.prior, config, critic, coordinates, start);
        let model = prior::restore(&checkpoint, path, "parameters", wide)?.model;
        Ok(Some((model, alpha)))
    }

    /// Returns the policy of that name.
    ///
    /// # Errors
    /// When a stage that it needs was not trained.
    pub fn policy(&self, name: PolicyName) -> Result<DiffusionPolicy<'_>, Error> {
        let missing = |stage: &str| {
            Error::Run(format!(
                "{}: `{name}` needs the {stage}, which is not trained yet\n  hint: finish the run first with the command that started it",
                self.folder.display()
            ))
        };
        let posterior = || self.posterior.as_ref().ok_or_else(|| missing("posterior"));
        let (model, choice) = match name {
            PolicyName::Prior => (&self.prior, Choice::Sample),
            PolicyName::Posterior => (&posterior()?.0, Choice::Sample),
            PolicyName::Best => (
                self.best.as_ref().ok_or_else(|| missing("posterior"))?,
                Choice::Sample,
            ),
            PolicyName::BestOf(n) => (&self.prior, Choice::BestOf(n)),
            PolicyName::Resample(n) => (&self.prior, Choice::Resample(n, posterior()?.1)),
        };
        if choice != Choice::Sample && self.critic.is_none() {
            return Err(missing("critic"));
        }
        Ok(DiffusionPolicy {
            model,
            coordinates: &self.coordinates,
            critic: self.critic.as_ref(),
            choice,
        })
    }
}

/// An agent that acts by one of its policies: what `--policy RUN/seed-1[:NAME]` names.
pub struct AgentPolicy {
    agent: Agent,
    name: PolicyName,
}

impl AgentPolicy {
    /// Reads `FOLDER` or `FOLDER:NAME`, the folder of one seed and a policy (posterior unless named).
    ///
    /// # Errors
    /// When the folder holds no run of `env`, or the policy is unknown or not trained.
    pub fn read(text: &str, env: &str) -> Result<Self, Error> {
        let (folder, name) = match text.rsplit_once(':') {
            Some((folder, name)) if !name.contains('/') => (folder, name.parse()?),
            _ => (text, PolicyName::Posterior),
        };
        let dir = RunDir {
            path: PathBuf::from(folder),
        };
        let config = dir.config()?;
        if config.env != env {
            return Err(Error::Usage(format!(
                "{folder}: expected a run on {env}, found one on {}",
                config.env
            )));
        }
        let agent = Agent::load(&dir, &config, 0, &Device::flex())?;
        agent.policy(name)?;
        Ok(Self { agent, name })
    }
}

impl Policy for AgentPolicy {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let policy = self.agent.policy(self.name);
        policy.expect("checked when read").act(observations, noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_printing_and_typos_get_the_nearest() {
        for text in [
            "prior",
            "posterior",
            "posterior-best",
            "best-of-4",
            "resample-8",
        ] {
            let name: PolicyName = text.parse().expect("known");
            assert_eq!(name.to_string(), text);
        }
        let error = "posteriour".parse::<PolicyName>().expect_err("typo");
        assert!(error.to_string().contains("`posterior`"), "{error}");
        assert!("best-of-0".parse::<PolicyName>().is_err());
    }
}
