//! A policy of a trained agent, by the words that name it on the command line.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use tiltrl_policies::Compute;
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::agent::Agent;
use crate::console::Console;
use crate::error::Error;
use crate::policy_name::PolicyName;
use crate::run::RunDir;

/// An agent that acts by one of its policies: what `--policy RUN/seed-1[:NAME]` names.
pub struct AgentPolicy {
    agent: Agent,
    name: PolicyName,
}

impl AgentPolicy {
    /// Reads `FOLDER` or `FOLDER:NAME`, the folder of one seed and a policy (what the run trains unless named).
    ///
    /// # Errors
    /// When the folder holds no run of `env`, or the policy is unknown or not trained.
    pub fn read(text: &str, env: &str, compute: &Compute) -> Result<Self, Error> {
        let (folder, name) = match text.rsplit_once(':') {
            Some((folder, name)) if !name.contains('/') => (folder, Some(name.parse()?)),
            _ => (text, None),
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
        let name = name.unwrap_or(PolicyName::of_config(&config));
        let seed = dir.provenance()?.seed;
        let mut agent = Agent::of_seed(&dir, &config, seed, compute)?;
        agent.bring_baselines(&config, seed, &[name], None, Console::Quiet)?;
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
