//! Evaluation of policies and the rows of eval.csv.

use std::fmt::Write as _;

use tiltrl_envs::EnvSpec;

use crate::rollout::Episode;
use crate::run::CsvLog;

/// Header of eval.csv.
pub const EVAL_HEADER: &str = "update,phase,policy,episode,return,length,terminated,score";

/// Appends one row per episode; the score column is empty where the environment has no reference returns.
pub fn push_episodes(
    log: &mut CsvLog,
    update: u64,
    phase: &str,
    policy: &str,
    spec: &EnvSpec,
    episodes: &[Episode],
) {
    for (index, e) in episodes.iter().enumerate() {
        let mut row = format!(
            "{phase},{policy},{index},{:.6},{},{}",
            e.episode_return, e.length, e.terminated
        );
        match spec.normalized_score(e.episode_return) {
            Some(score) => {
                let _ = write!(row, ",{score:.4}");
            }
            None => row.push(','),
        }
        log.push(update, &row);
    }
}
