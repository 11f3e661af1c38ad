//! A policy of a run on a card: its actions there too where the kernel takes it, else from the processor, which is said.

use crate::agent::{Agent, PolicyName};
use crate::card::{Acting, Task, rollout};
use crate::console::note;
use crate::device::{Card, NETWORKS_ON_CARDS};
use crate::error::Error;
#[cfg(feature = "cuda")]
use crate::export::PolicyNumbers;
use crate::rollout::Episode;

/// Plays episodes of a policy.
///
/// # Errors
/// As [`rollout`], and when the policy is not trained.
pub fn play(
    card: Card,
    task: Task<'_>,
    agent: &Agent,
    name: PolicyName,
) -> Result<Vec<Episode>, Error> {
    #[cfg(feature = "cuda")]
    let why = {
        let numbers = PolicyNumbers::of(agent, name).map_err(|error| {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().to_string()
        });
        match numbers.and_then(|numbers| numbers.tables()) {
            Ok(tables) => return rollout(card, task, Acting::Card(&tables), None),
            Err(why) => why,
        }
    };
    #[cfg(not(feature = "cuda"))]
    let why = "this build has no kernels";
    let place = match NETWORKS_ON_CARDS {
        true => "step by step, with its network and its environments",
        false => "on the processor, only its environments are",
    };
    note(&format!(
        "note: {name} acts {place} on cuda:{}: {why}",
        card.ordinal
    ));
    let policy = agent.policy(name)?;
    rollout(card, task, Acting::Processor(&*policy), None)
}
