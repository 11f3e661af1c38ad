//! Episodes of a seed: those on the way of fine-tuning and the final ones. JSON is what is read; eval.csv and final.csv are for people.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tiltrl_envs::EnvSpec;

use super::folder::RunDir;
use super::log::rounded;
use super::state::{damaged, read_state, write_state};
use crate::config::Config;
use crate::error::Error;
use crate::files::write_atomically;
use crate::rollout::Episode;

/// Name of the state file.
const NAME: &str = "results";

/// Episodes of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Updates of fine-tuning behind it.
    pub update: u64,
    /// The policy, as tables name it.
    pub policy: String,
    /// Its episodes, in order.
    pub episodes: Vec<Episode>,
}

impl Evaluation {
    /// Returns the returns of the episodes.
    pub fn returns(&self) -> Vec<f64> {
        self.episodes.iter().map(|e| e.episode_return).collect()
    }
}

/// All evaluations of one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Those on the way, in the order of updates.
    pub training: Vec<Evaluation>,
    /// Those after the last update, one per policy.
    pub last: Vec<Evaluation>,
}

impl Results {
    /// Reads a seed's results.
    ///
    /// # Errors
    /// When there are none yet, or the file cannot be read: both name the file.
    pub fn read(dir: &RunDir) -> Result<Self, Error> {
        let path = dir.state(NAME);
        let mut all: Self = read_state(&path)?;
        let evaluations = all.training.iter_mut().chain(&mut all.last);
        for episode in evaluations.flat_map(|e| &mut e.episodes) {
            episode.episode_return = rounded(episode.episode_return);
        }
        if all
            .training
            .iter()
            .chain(&all.last)
            .any(|e| e.episodes.is_empty())
        {
            return Err(damaged(&path, "an evaluation without episodes"));
        }
        Ok(all)
    }

    /// Returns a seed's results for fine-tuning that goes on after `update`: what is later is forgotten and will be repeated.
    ///
    /// # Errors
    /// As for [`Self::read`], where there should be results.
    pub fn resume(dir: &RunDir, update: u64) -> Result<Self, Error> {
        if update == 0 {
            return Ok(Self::default());
        }
        let mut all = Self::read(dir)?;
        all.training.retain(|e| e.update <= update);
        all.last.clear();
        Ok(all)
    }

    /// Adds episodes, in the digits in which they are stored.
    ///
    /// # Errors
    /// [`Error::Run`] for a return that is not finite: a table of such numbers would say nothing.
    pub fn evaluation(
        update: u64,
        policy: &str,
        episodes: &[Episode],
    ) -> Result<Evaluation, Error> {
        if let Some(at) = episodes.iter().position(|e| !e.episode_return.is_finite()) {
            return Err(Error::Run(format!(
                "{policy}: the return of episode {at} is {}\n  hint: the environment gave a reward that is not finite; `tiltrl envs check ID` tests it",
                episodes[at].episode_return
            )));
        }
        let stored = |e: &Episode| Episode {
            episode_return: rounded(e.episode_return),
            ..*e
        };
        Ok(Evaluation {
            update,
            policy: policy.into(),
            episodes: episodes.iter().map(stored).collect(),
        })
    }

    /// Returns whether the final evaluation holds what a config asks for.
    pub fn is_complete(&self, config: &Config) -> bool {
        let mut names = config.final_policies().into_iter();
        names.all(|name| self.last(&name, config).is_some())
    }

    /// Returns the final evaluation of a policy, if it is of the training and has the number of episodes that a config asks for.
    pub fn last(&self, policy: &str, config: &Config) -> Option<&Evaluation> {
        self.last.iter().find(|e| {
            e.policy == policy
                && e.update == config.last_update()
                && e.episodes.len() == config.evaluation.episodes
        })
    }

    /// Returns the mean return at each update of fine-tuning that was evaluated.
    pub fn training_curve(&self) -> Vec<(u64, f64)> {
        let mean = |e: &Evaluation| (e.update, crate::stats::mean(&e.returns()));
        self.training.iter().map(mean).collect()
    }

    /// Writes JSON, eval.csv and final.csv.
    ///
    /// # Errors
    /// When one cannot be written; the older file is then left as it was.
    pub fn save(&self, dir: &RunDir, spec: &EnvSpec) -> Result<(), Error> {
        write_state(&dir.state(NAME), self)?;
        let header = "update,phase,policy,episode,return,length,terminated,score\n";
        let rows = |phase: &str, all: &[Evaluation]| {
            let mut text = String::new();
            for e in all {
                push(&mut text, phase, e, spec);
            }
            text
        };
        let last = rows("final", &self.last);
        let all = format!("{header}{}{last}", rows("training", &self.training));
        write_atomically(&dir.path.join("eval.csv"), all.as_bytes())?;
        if self.last.is_empty() {
            return Ok(());
        }
        let last = format!("{header}{last}");
        write_atomically(&dir.path.join("final.csv"), last.as_bytes())
    }
}

/// One row per episode; the score column is empty where the environment has no reference returns.
fn push(text: &mut String, phase: &str, evaluation: &Evaluation, spec: &EnvSpec) {
    let Evaluation { update, policy, .. } = evaluation;
    for (index, e) in evaluation.episodes.iter().enumerate() {
        let score = spec.normalized_score(e.episode_return);
        let score = score.map_or(String::new(), |s| format!("{s:.4}"));
        let _ = writeln!(
            text,
            "{update},{phase},{policy},{index},{:.6},{},{},{score}",
            e.episode_return, e.length, e.terminated
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_that_is_no_number_is_refused_and_kept_out_of_tables() {
        let episode = |episode_return: f64| Episode {
            episode_return,
            length: 1,
            terminated: false,
        };
        let bad = [episode(1.0), episode(f64::NAN)];
        let error = Results::evaluation(0, "prior", &bad).expect_err("NaN");
        assert!(error.to_string().contains("prior: the return of episode 1"));
        let good = Results::evaluation(7, "prior", &[episode(1.0 / 3.0)]).expect("finite");
        assert_eq!(good.returns(), [0.333_333_333_333]);
    }

    #[test]
    fn results_survive_a_file_and_later_ones_are_forgotten() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let dir = RunDir {
            path: folder.path().to_path_buf(),
        };
        let spec = tiltrl_envs::spec_of("hopper-v4").expect("known");
        let episode = |x: f64| Episode {
            episode_return: x.exp(),
            length: 3,
            terminated: true,
        };
        let at = |update: u64, x: f64| {
            Results::evaluation(update, "posterior", &[episode(x), episode(-x)]).expect("finite")
        };
        let all = Results {
            training: vec![at(0, 0.1), at(10, 7.7), at(20, -30.3)],
            last: vec![at(20, 1.0)],
        };
        all.save(&dir, &spec).expect("writable");
        assert_eq!(Results::read(&dir).expect("readable"), all);
        let resumed = Results::resume(&dir, 10).expect("readable");
        assert_eq!(resumed.training, all.training[..2]);
        assert!(resumed.last.is_empty());
        let csv = std::fs::read_to_string(folder.path().join("eval.csv")).expect("written");
        assert_eq!(csv.lines().count(), 9);
        assert!(
            csv.contains("10,training,posterior,0,2208.347992,3,true,"),
            "{csv}"
        );
    }
}
