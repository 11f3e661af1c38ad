//! A trained agent read back from the folder of one seed, and the policies that it offers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use tiltrl_envs::{spec_of, spec_with};
use tiltrl_policies::agent::Coordinates;
use tiltrl_policies::agent::Critic;
use tiltrl_policies::agent::baselines::{Method, Tilt};
use tiltrl_policies::agent::{Choice, DiffusionPolicy, Policy, SteeredPolicy, Steering};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;

use crate::config::Config;
use crate::console::Console;
use crate::data::ActionBounds;
use crate::device::Compute;
use crate::error::Error;
pub use crate::policy_name::PolicyName;
use crate::rollout::episode_noise;
use crate::run::{RunDir, seeds_in};
use crate::train::baseline::Baseline;
use crate::train::training_data::TrainingData;
use crate::train::{critic, finetune, prior, reward};

/// The networks of one seed.
pub struct Agent {
    /// Coordinates of all of them.
    pub coordinates: Coordinates,
    /// What −1 … 1 of its actions stood for in the data's files, where that is known.
    pub action_bounds: Option<ActionBounds>,
    /// The prior.
    pub prior: GaussianDiffusion,
    /// The critic, if it was trained.
    pub critic: Option<Arc<dyn Critic>>,
    /// The last posterior and its temperature α, if it was trained.
    pub posterior: Option<(GaussianDiffusion, f64)>,
    /// The posterior of highest return in training, if there is one.
    pub best: Option<GaussianDiffusion>,
    /// Prior and reward of the baselines, if there is a posterior.
    pub tilt: Option<Tilt>,
    /// Trained baselines that are finished.
    pub baselines: Vec<(Method, GaussianDiffusion)>,
    /// The prior in the posterior's shape.
    wide: Option<GaussianDiffusion>,
    folder: PathBuf,
    seed: u64,
    /// What [`Self::act`] draws from.
    noise: Noise,
}

impl Agent {
    /// Reads a run, or one of its seeds as `RUN/seed-2`; a run's first seed unless one is named. Networks are computed on the CPU.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), tiltrl::error::Error> {
    /// # let observation = [0.0; 11];
    /// let mut agent = tiltrl::Agent::load("runs/hopper-medium")?;
    /// let action = agent.act(&observation)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no run, its prior is missing, or a checkpoint cannot be read or does not fit the config.
    pub fn load(run: impl AsRef<Path>) -> Result<Self, Error> {
        let run = run.as_ref();
        let dir = if run.join("run.toml").exists() {
            RunDir {
                path: run.to_path_buf(),
            }
        } else {
            RunDir::of_seed(run, seeds_in(run)?[0])
        };
        let (config, seed) = (dir.config()?, dir.provenance()?.seed);
        Self::of_seed(&dir, &config, seed, &Compute::cpu()?.handle)
    }

    /// Returns an action `[action_dim]` in -1 … 1 of the posterior for one observation `[observation_dim]`, as the environment
    /// gives it; [`Self::to_data_units`] scales it. Its noise is that of the run's evaluation, see [`Self::start_episode`].
    ///
    /// # Errors
    /// As [`Self::act_as`].
    pub fn act(&mut self, observation: &[f32]) -> Result<Vec<f32>, Error> {
        self.act_as(PolicyName::Posterior, observation)
    }

    /// As [`Self::act`], by another policy.
    ///
    /// # Errors
    /// When the observation has another width or is not finite, or the policy is not trained.
    pub fn act_as(&mut self, name: PolicyName, observation: &[f32]) -> Result<Vec<f32>, Error> {
        let width = self.coordinates.observation.mean.len();
        let finite = observation.iter().all(|v| v.is_finite());
        if observation.len() != width || !finite {
            return Err(Error::Usage(format!(
                "{}: expected an observation of {width} finite numbers, found {observation:?}",
                self.folder.display()
            )));
        }
        let mut noise = self.noise.clone();
        let row = ArrayView2::from_shape((1, width), observation).expect("one row");
        let action = self.policy(name)?.act(row, &mut noise);
        self.noise = noise;
        Ok(action.into_iter().collect())
    }

    /// Draws from now on what episode `episode` of the run's final evaluation draws; a new agent starts with episode 0.
    pub fn start_episode(&mut self, episode: u64) {
        self.noise = episode_noise(self.seed, &[episode]);
    }

    /// Reads the checkpoints in the folder of one seed.
    ///
    /// # Errors
    /// When the prior is missing, or a checkpoint cannot be read or does not fit the config.
    pub fn of_seed(
        dir: &RunDir,
        config: &Config,
        seed: u64,
        compute: &tiltrl_policies::Compute,
    ) -> Result<Self, Error> {
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
        let fresh = prior::fresh(config, dims, seed, compute)?;
        let loaded = prior::restore(&Checkpoint::load(&path, "prior")?, &path, "average", &fresh)?;
        let path = dir.checkpoint("critic");
        let critic = match path.exists() {
            true => critic::restore(config, dims, seed, &path, compute)?,
            false => None,
        };
        let mut agent = Self {
            coordinates: loaded.coordinates,
            action_bounds: loaded.action_bounds,
            prior: loaded.model,
            critic,
            posterior: None,
            best: None,
            tilt: None,
            baselines: Vec::new(),
            wide: None,
            folder: dir.path.clone(),
            seed,
            noise: episode_noise(seed, &[0]),
        };
        agent.posterior = agent.posterior(&dir.checkpoint("posterior"), config)?;
        let best = agent.posterior(&dir.checkpoint("posterior-best"), config)?;
        agent.best = best.map(|(model, _)| model);
        if let (Some((model, alpha)), Some(critic)) = (&agent.posterior, &agent.critic) {
            let (own, coordinates) = (&agent.prior, &agent.coordinates);
            agent.tilt = Some(reward::tilt(own, coordinates, critic, *alpha));
            agent.wide = Some(agent.prior.reshaped(model.step().clone())?);
        }
        Ok(agent)
    }

    /// Scales row-major actions of a policy from −1 … 1, which environments here take, to the units of the data's files: for
    /// actions that leave this program. Where the units are not known they stay as they are.
    pub fn to_data_units(&self, actions: &mut [f32]) {
        if let Some(bounds) = &self.action_bounds {
            bounds.from_unit(actions);
        }
    }

    /// Returns a baseline of this seed, for training or reading.
    ///
    /// # Errors
    /// When there is no posterior, whose temperature it shares.
    pub fn baseline<'a>(
        &'a self,
        config: &'a Config,
        seed: u64,
        method: Method,
    ) -> Result<Baseline<'a>, Error> {
        let parts = (&self.tilt, &self.wide, &self.posterior);
        let (Some(tilt), Some(wide), Some((_, alpha))) = parts else {
            return Err(self.missing(&PolicyName::Trained(method), "posterior"));
        };
        Ok(Baseline {
            config,
            tilt,
            wide,
            alpha: *alpha,
            seed,
            folder: &self.folder,
            method,
        })
    }

    /// Reads the trained baselines among `names`; trains those that are not finished where there is `data`.
    ///
    /// # Errors
    /// When one is not finished and there is no data, or cannot be read or trained.
    pub fn bring_baselines(
        &mut self,
        (config, seed): (&Config, u64),
        names: &[PolicyName],
        data: Option<&TrainingData>,
        console: Console,
    ) -> Result<(), Error> {
        for name in names {
            let PolicyName::Trained(method) = *name else {
                continue;
            };
            let baseline = self.baseline(config, seed, method)?;
            let model = match (baseline.finished()?, data) {
                (Some(model), _) => model,
                (None, Some(data)) => baseline.train(data, console)?,
                (None, None) => return Err(self.missing(name, "training")),
            };
            self.baselines.push((method, model));
        }
        Ok(())
    }

    fn missing(&self, name: &PolicyName, stage: &str) -> Error {
        let hint = match name {
            PolicyName::Trained(_) if stage == "training" => {
                format!("`tiltrl evaluate RUN --policy {name} --data FILE` trains it")
            }
            _ => "finish the run first with the command that started it".into(),
        };
        Error::Run(format!(
            "{}: `{name}` needs the {stage}, which is not done yet\n  hint: {hint}",
            self.folder.display()
        ))
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
        let model = prior::restore(&checkpoint, path, "posterior", &wide)?.model;
        Ok(Some((model, alpha)))
    }

    /// Returns the model that a policy samples and how it chooses; none for policies that are steered while they sample.
    ///
    /// # Errors
    /// When a stage that it needs was not trained.
    pub fn model(&self, name: PolicyName) -> Result<Option<(&GaussianDiffusion, Choice)>, Error> {
        let missing = |stage: &str| self.missing(&name, stage);
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
            PolicyName::Smc(_) | PolicyName::Guidance(_) => return Ok(None),
            PolicyName::Trained(method) => {
                let found = self.baselines.iter().find(|(m, _)| *m == method);
                (&found.ok_or_else(|| missing("training"))?.1, Choice::Sample)
            }
        };
        if choice != Choice::Sample && self.critic.is_none() {
            return Err(missing("critic"));
        }
        Ok(Some((model, choice)))
    }

    /// Returns the policy of that name.
    ///
    /// # Errors
    /// When a stage that it needs was not trained.
    pub fn policy(&self, name: PolicyName) -> Result<Box<dyn Policy + '_>, Error> {
        if let Some((model, choice)) = self.model(name)? {
            return Ok(Box::new(DiffusionPolicy {
                model,
                coordinates: &self.coordinates,
                critic: self.critic.as_deref(),
                choice,
            }));
        }
        let steering = match name {
            PolicyName::Guidance(weight) => Steering::Guidance(weight),
            PolicyName::Smc(n) => Steering::Smc(n),
            _ => unreachable!("all others have a model"),
        };
        let tilt = self.tilt.as_ref();
        Ok(Box::new(SteeredPolicy {
            tilt: tilt.ok_or_else(|| self.missing(&name, "posterior"))?,
            coordinates: &self.coordinates,
            steering,
        }))
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
    pub fn read(text: &str, env: &str, compute: &tiltrl_policies::Compute) -> Result<Self, Error> {
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
        let seed = dir.provenance()?.seed;
        let mut agent = Agent::of_seed(&dir, &config, seed, compute)?;
        agent.bring_baselines((&config, seed), &[name], None, Console::Quiet)?;
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
