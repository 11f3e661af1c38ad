//! What the methods of a task of two tokens share: how they are trained, and the rows that come of it.

use burn::tensor::Tensor;
use tiltrl_policies::models::Strings;
use tiltrl_tilt::finetune::{Exploration, Mixture, ReplayOptions};
use tiltrl_tilt::noise::Noise;

use super::infill::{Infill, none};
use crate::error::Error;
use crate::systems::baselines::{best_samples, policy_gradient};
use crate::systems::exact::{Exact, Sampled};
use crate::systems::outcome::{Check, Row};
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, Recipe, Target, Tuned, balance};

/// Total variation that a row must stay below.
pub const TV: f64 = 0.03;
/// Infills that ELBO, importance and ESS are estimated from.
const PATHS: usize = 2048;

/// What the methods of a task share.
pub struct Work<'a> {
    /// Names logs and checkpoints.
    pub name: &'a str,
    /// The task as the table has it.
    pub task: &'a str,
    /// What is exact.
    pub exact: &'a Exact,
    /// log r of infills.
    pub log_reward: &'a dyn Fn(&Strings, &Tensor<2>) -> Vec<f64>,
    /// Settings, seed and folder.
    pub request: &'a Request,
}

/// Distances of the methods of a task over their updates.
pub type Curves = Vec<(&'static str, crate::systems::train::Curve)>;

/// What tilting and the baselines of a task came to.
pub struct Solved {
    /// The posterior's probability of every infill.
    pub found: Vec<f64>,
    /// Distances of the methods over their updates.
    pub curves: Curves,
}

impl Work<'_> {
    /// Returns how the methods are trained; `updates` names the setting of their number.
    pub fn recipe(&self, updates: &str) -> Recipe {
        let settings = &self.request.settings;
        Recipe {
            checkpoints: 10,
            max_gradient_norm: 10.0,
            ..Recipe::new(settings.count(updates), settings.number("rate"))
        }
    }

    /// Returns where the paths of an update come from.
    pub fn behaviour(&self) -> Behaviour {
        let settings = &self.request.settings;
        let replay = settings.count("replay");
        Behaviour {
            mixture: Mixture {
                prior: settings.count("prior_paths"),
                ..Mixture::on_policy(settings.count("on_policy"))
            },
            exploration: Exploration {
                paths: settings.count("explored"),
                scale: settings.number("temperature"),
                updates: settings.count("updates") as u64,
            },
            replay: ReplayOptions {
                groups: usize::from(replay > 1),
                paths: replay.max(2),
                ..ReplayOptions::default()
            },
            ..Behaviour::on_policy(2)
        }
    }

    /// Works on a prior with its reward and its distance to the exact posterior.
    pub fn with_target<R>(
        &self,
        prior: &Infill,
        name: &str,
        work: impl FnOnce(&Target<'_, Infill>) -> R,
    ) -> R {
        let net = tiltrl_tilt::sequential::SequentialModel::weights(prior);
        let distance = |model: &Infill| self.exact.total_variation(&model.enumerate());
        work(&Target {
            task: name,
            prior,
            conditions: &|_| none(1, net),
            log_reward: self.log_reward,
            distance: &distance,
        })
    }

    /// Tilts the prior with the settings of the infills; `word` tells its checkpoints from others of the task.
    ///
    /// # Errors
    /// Those of [`balance`].
    pub fn balance(&self, prior: &Infill, word: &str) -> Result<Tuned<Infill>, Error> {
        let name = format!("{} {word}", self.name);
        let recipe = self.recipe("updates");
        self.with_target(prior, &name, |target| {
            balance(target, &recipe, &self.behaviour(), self.request)
        })
    }

    /// Returns the row of a trained model.
    pub fn row(&self, method: &str, prior: &Infill, tuned: &Tuned<Infill>) -> Row {
        let net = tiltrl_tilt::sequential::SequentialModel::weights(prior);
        let mut noise = Noise::keyed(self.request.seed, "sampled", 0);
        let conditions = none(PATHS, net);
        let sampled = Sampled::of(
            &tuned.model,
            prior,
            self.log_reward,
            &conditions,
            &mut noise,
        );
        let row = self.exact.row(self.task, method, &tuned.model.enumerate());
        Row {
            log_z: tuned.log_z,
            seconds: Some(tuned.seconds),
            ..sampled.fill(row)
        }
    }

    /// Tilts with all weights, and trains the baselines; returns the posterior's probabilities and the curves.
    ///
    /// # Errors
    /// Those of training.
    pub fn solve(&self, prior: &Infill, rows: &mut Vec<Row>) -> Result<Solved, Error> {
        let tuned = self.balance(prior, "all")?;
        let mut row = self.row("balance", prior, &tuned);
        let distance = row.distance.unwrap_or(f64::NAN);
        row.checks = vec![Check::below("TV", distance, TV)];
        rows.push(row);
        let found = tuned.model.enumerate();
        let mut curves: Curves = vec![("balance", tuned.curve)];
        if self.request.settings.count("baseline_updates") == 0 {
            return Ok(Solved { found, curves });
        }
        let recipe = self.recipe("baseline_updates");
        let paths = self.behaviour().paths();
        let request = self.request;
        let trained = self.with_target(prior, self.name, |target| -> Result<_, Error> {
            let gradient = |kl| policy_gradient(target, &recipe, paths, kl, request);
            Ok([
                ("policy gradient", gradient(0.0)?),
                ("policy gradient + KL", gradient(1.0)?),
                (
                    "best samples",
                    best_samples(target, &recipe, paths, [4000, 200], request)?,
                ),
            ])
        })?;
        for (name, tuned) in trained {
            rows.push(self.row(name, prior, &tuned));
            curves.push((name, tuned.curve));
        }
        Ok(Solved { found, curves })
    }
}
