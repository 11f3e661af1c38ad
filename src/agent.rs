//! A trained agent read back from the folder of one seed, and the policies that it offers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayView2;
use tiltrl_envs::{spec_of, spec_with};
use tiltrl_policies::agent::baselines::{Method, Tilt};
use tiltrl_policies::agent::{Coordinates, Critic, Normalizer};
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
use crate::train::dial::{Dial, Dialled};
use crate::train::finetune::Posterior;
use crate::train::policy::Trained;
use crate::train::training_data::TrainingData;
use crate::train::{critic, finetune, likelihood, policy, prior, reward};

/// A baseline that is trained.
pub struct TrainedBaseline {
    /// How it was.
    pub method: Method,
    /// What came of it.
    pub model: GaussianDiffusion,
}

/// The networks of one seed.
pub struct Agent {
    /// Coordinates of all of them.
    pub coordinates: Coordinates,
    /// What −1 … 1 of its actions stood for in the data's files, where that is known.
    pub action_bounds: Option<ActionBounds>,
    /// The prior; none in a run of a baseline without one.
    pub prior: Option<GaussianDiffusion>,
    /// The critic, if it was trained.
    pub critic: Option<Arc<dyn Critic>>,
    /// The last posterior and its α, if it was trained.
    pub posterior: Option<Posterior>,
    /// The posterior of highest return in training, if there is one.
    pub best: Option<GaussianDiffusion>,
    /// The last posterior whose last step has no noise. It has no density: its paths cannot be scored.
    pub(crate) mean: Option<GaussianDiffusion>,
    /// Prior and reward of the baselines, if there is a posterior.
    pub tilt: Option<Tilt>,
    /// Trained baselines that are finished.
    pub baselines: Vec<TrainedBaseline>,
    /// The best posterior as it was trained, where it has a dial.
    pub(crate) dialled_best: Option<Dialled>,
    /// The prior in the posterior's shape.
    widened: Option<GaussianDiffusion>,
    /// What the run acts by, unless another policy is named.
    pub(crate) own: PolicyName,
    /// The one policy of a baseline, if the run trains one.
    pub(crate) learned: Option<Trained>,
    /// Samples per action of an algorithm that chooses among several.
    pub(crate) samples: usize,
    pub(crate) folder: PathBuf,
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

    /// Returns an action `[action_dim]` in -1 … 1 of the posterior, or of a baseline's policy, for one observation `[observation_dim]`, as the environment
    /// gives it; [`Self::to_data_units`] scales it. Its noise is that of the run's evaluation, see [`Self::start_episode`].
    ///
    /// # Errors
    /// As [`Self::act_as`].
    pub fn act(&mut self, observation: &[f32]) -> Result<Vec<f32>, Error> {
        self.act_as(self.own, observation)
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
        if config.is_one_policy() {
            return Self::of_policy(dir, config, dims, (seed, compute));
        }
        let loaded = likelihood::of_folder(dir, config, dims, seed, compute)?;
        let path = dir.checkpoint("critic");
        let critic = match path.exists() {
            true => critic::restore(config, dims, seed, &path, compute)?,
            false => None,
        };
        let mut agent = Self {
            coordinates: loaded.coordinates,
            action_bounds: loaded.action_bounds,
            prior: Some(loaded.model),
            critic,
            posterior: None,
            best: None,
            mean: None,
            tilt: None,
            baselines: Vec::new(),
            dialled_best: None,
            widened: None,
            own: PolicyName::of_config(config),
            learned: None,
            samples: config.samples(),
            folder: dir.path.clone(),
            seed,
            noise: episode_noise(seed, &[0]),
        };
        agent.posterior = agent.posterior(&dir.checkpoint("posterior"), config)?;
        let best = agent.posterior(&dir.checkpoint("posterior-best"), config)?;
        if let Some(best) = best {
            agent.best = Some(best.model);
            agent.dialled_best = best.dialled;
        }
        agent.follow_posterior()?;
        Ok(agent)
    }

    /// Makes what depends on the posterior's model and α.
    ///
    /// # Errors
    /// When the prior cannot have the posterior's shape.
    pub(crate) fn follow_posterior(&mut self) -> Result<(), Error> {
        let last = self.posterior.as_ref();
        self.mean = last.map(|last| without_last_noise(&last.model));
        let parts = (&self.posterior, &self.critic, &self.prior);
        if let (Some(posterior), Some(critic), Some(own)) = parts {
            let tilt = reward::tilt(own, &self.coordinates, critic, posterior.alpha);
            self.widened = Some(own.reshaped(posterior.model.step().clone())?);
            self.tilt = Some(tilt);
        }
        Ok(())
    }

    /// Reads the one policy of a baseline.
    fn of_policy(
        dir: &RunDir,
        config: &Config,
        widths: [usize; 2],
        (seed, compute): (u64, &tiltrl_policies::Compute),
    ) -> Result<Self, Error> {
        let path = dir.checkpoint("policy");
        let learned = policy::restore(config, widths, seed, compute, &path)?;
        let unit = Normalizer {
            mean: vec![0.0; widths[1]],
            std: vec![1.0; widths[1]],
        };
        Ok(Self {
            coordinates: Coordinates {
                observation: learned.observation.clone(),
                action: unit,
            },
            action_bounds: learned.action_bounds.clone(),
            prior: None,
            critic: None,
            posterior: None,
            best: None,
            mean: None,
            tilt: None,
            baselines: Vec::new(),
            dialled_best: None,
            widened: None,
            own: PolicyName::of_config(config),
            learned: Some(learned),
            samples: 0,
            folder: dir.path.clone(),
            seed,
            noise: episode_noise(seed, &[0]),
        })
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
    /// When there is no posterior, whose α it shares.
    pub fn baseline<'a>(
        &'a self,
        config: &'a Config,
        seed: u64,
        method: Method,
    ) -> Result<Baseline<'a>, Error> {
        let parts = (&self.tilt, &self.widened, &self.posterior);
        let (Some(tilt), Some(widened), Some(posterior)) = parts else {
            return Err(self.missing(&PolicyName::Trained(method), "posterior"));
        };
        Ok(Baseline {
            config,
            tilt,
            widened,
            alpha: posterior.alpha,
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
        config: &Config,
        seed: u64,
        names: &[PolicyName],
        data: Option<&TrainingData>,
        console: Console,
    ) -> Result<(), Error> {
        for name in names {
            let PolicyName::Trained(method) = *name else {
                continue;
            };
            if method == Method::AdjointMatching && config.prior.likelihood_updates > 0 {
                return Err(Error::Usage(format!(
                    "{}: `{name}` keeps one variance per step, and this prior's are functions (prior.likelihood_updates)\n  hint: name the other policies",
                    self.folder.display()
                )));
            }
            let baseline = self.baseline(config, seed, method)?;
            let model = match (baseline.finished()?, data) {
                (Some(model), _) => model,
                (None, Some(data)) => baseline.train(data, console)?,
                (None, None) => return Err(self.missing(name, "training")),
            };
            self.baselines.push(TrainedBaseline { method, model });
        }
        Ok(())
    }

    pub(crate) fn missing(&self, name: &PolicyName, stage: &str) -> Error {
        let algorithm = matches!(self.own, PolicyName::Algorithm(_));
        if algorithm || matches!(name, PolicyName::Algorithm(_)) {
            let own = match (algorithm, self.learned.is_some()) {
                (false, _) => "makes a posterior and trains no such baseline".to_string(),
                (true, true) => format!("has the one policy `{}`", self.own),
                (true, false) => format!("has `prior`, `best-of-N` and `{}`", self.own),
            };
            return Error::Usage(format!(
                "{}: no policy `{name}`: the run {own}\n  hint: `tiltrl run --algorithm {}` trains it in a folder of its own",
                self.folder.display(),
                match name {
                    PolicyName::Algorithm(name) => name,
                    _ => "rtb",
                }
            ));
        }
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

    fn posterior(&self, path: &Path, config: &Config) -> Result<Option<Posterior>, Error> {
        let parts = (path.exists(), &self.critic, &self.prior);
        let (true, Some(critic), Some(prior)) = parts else {
            return Ok(None);
        };
        let checkpoint = Checkpoint::load(path, "posterior")?;
        let number = |key: &str| checkpoint.settings.get(key)?.as_f64();
        let [alpha, start] = ["alpha", "alpha_at_start"].map(|key| number(key).unwrap_or(f64::NAN));
        let coordinates = &self.coordinates;
        let widened = finetune::widened(prior, config, critic, coordinates, start);
        let model = prior::restore(&checkpoint, path, "posterior", &widened)?.model;
        let dial = checkpoint.settings.get(finetune::DIAL).cloned();
        let dial: Option<Dial> = dial
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| Error::Run(format!("{}: its dial: {e}", path.display())))?;
        Ok(Some(Posterior::new(model, alpha, dial)))
    }
}

/// The model whose last step is its mean.
fn without_last_noise(model: &GaussianDiffusion) -> GaussianDiffusion {
    let mut schedule = model.schedule().clone();
    schedule.sigma.last_mut().into_iter().for_each(|s| *s = 0.0);
    model.clone().with_schedule(schedule)
}
