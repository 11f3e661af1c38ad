//! What may change between two calls of a run: more updates, more final episodes. Everything else is refused by key.
//!
//! A stage that grows goes on from its checkpoint. Its step size follows the cosine of the new, longer training from where it
//! stands, so the result is not that of a run which was long from the start. Stages that were trained from it are trained anew;
//! what they had is moved to `earlier-N`, not deleted.

use std::path::Path;

use toml::{Table, Value};

use crate::config::{Config, CriticConfig, keys};
use crate::error::Error;

/// Files of a seed that belong to the posterior.
const POSTERIOR: &[&str] = &[
    "checkpoints/posterior.safetensors",
    "checkpoints/posterior-best.safetensors",
    "log/finetune.json",
    "log/results.json",
    "finetune.csv",
    "eval.csv",
    "final.csv",
];
/// ... to the prior's training by likelihood.
const LIKELIHOOD: &[&str] = &[
    "checkpoints/likelihood.safetensors",
    "log/likelihood.json",
    "likelihood.csv",
];
/// ... to the critic, which may have looked at the prior's samples
const CRITIC: &[&str] = &[
    "checkpoints/critic.safetensors",
    "log/critic.json",
    "critic.csv",
];
/// ... to what is said of a finished posterior, or trained beside it.
const JUDGEMENT: &[&str] = &["certificate.json", "baselines"];

/// Keys that may grow, and what is made anew then.
const GROWING: &[(&str, &[&[&str]])] = &[
    ("prior.updates", &[LIKELIHOOD, CRITIC, POSTERIOR, JUDGEMENT]),
    ("prior.likelihood_updates", &[CRITIC, POSTERIOR, JUDGEMENT]),
    ("finetune.updates", &[JUDGEMENT]),
    ("evaluation.episodes", &[]),
    ("evaluation.best_of", &[]),
    ("evaluation.tail", &[]),
    // It only names the numbers of updates, which are compared themselves.
    ("budget", &[]),
];

/// What is made anew when a key grows; none for a key that cannot.
fn made_anew(key: &str, critic: &CriticConfig) -> Option<&'static [&'static [&'static str]]> {
    let listed = GROWING.iter().find(|(name, _)| *name == key);
    let of_critic = key.strip_prefix("critic.").is_some_and(|own| {
        let kind = critic.kind();
        kind.is_ok_and(|kind| kind.growing.contains(&own))
    });
    match listed {
        Some((_, files)) => Some(files),
        None if of_critic => Some(&[POSTERIOR, JUDGEMENT]),
        None if key.starts_with("baseline.") && key.ends_with(".updates") => Some(&[]),
        None => None,
    }
}

/// Says why the updates of a critic cannot grow, where only those of its last part can.
fn closed(key: &str, critic: &CriticConfig) -> String {
    let Ok(kind) = critic.kind() else {
        return String::new();
    };
    let own = key.strip_prefix("critic.").unwrap_or_default();
    if !own.ends_with("updates") || kind.growing.is_empty() || kind.growing.contains(&own) {
        return String::new();
    }
    format!(
        " (of the critic `{}` only {} can grow: what it learned before was used up when they began)",
        kind.name,
        kind.growing.join(", ")
    )
}

/// A key whose value is another one than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The key's dotted name.
    pub key: String,
    /// What the folder's config says.
    pub old: Value,
    /// What is asked for now.
    pub new: Value,
    /// Why a larger value is refused all the same; empty where that needs no words.
    closed: String,
    /// What is made anew when it grows; none for a key that cannot.
    made_anew: Option<&'static [&'static [&'static str]]>,
}

impl Change {
    fn grows(&self) -> bool {
        self.made_anew.is_some()
            && match (&self.old, &self.new) {
                (Value::Integer(old), Value::Integer(new)) => new > old,
                (Value::Array(old), Value::Array(new)) => old.iter().all(|n| new.contains(n)),
                (Value::String(_), Value::String(_)) => true,
                _ => false,
            }
    }

    fn line(&self) -> String {
        let why = match self.made_anew {
            Some(_) => " (it can only grow)",
            None => self.closed.as_str(),
        };
        format!(
            "{}: {} in the folder, {} asked for{why}",
            self.key, self.old, self.new
        )
    }
}

/// Returns the keys in which two configs differ.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let table = |config: &Config| Table::try_from(config).unwrap_or_default();
    let critic = &new.critic;
    let names = |config: &Config| -> Vec<String> {
        match (config.critic.kind(), config.algorithm_kind()) {
            (Ok(kind), Ok(algorithm)) => {
                let all = keys(&kind, &algorithm).into_iter();
                all.map(|k| k.name).collect()
            }
            _ => Vec::new(),
        }
    };
    let mut all = names(new);
    all.extend(names(old));
    let (old, new) = (table(old), table(new));
    let none = Value::String("none".into());
    let at = |table: &Table, key: &str| {
        let found = crate::config::value_at(table, key).cloned();
        found.unwrap_or_else(|| none.clone())
    };
    let mut found: Vec<Change> = Vec::new();
    for key in all {
        let (old, new) = (at(&old, &key), at(&new, &key));
        if old != new && found.iter().all(|c| c.key != key) {
            found.push(Change {
                closed: closed(&key, critic),
                made_anew: made_anew(&key, critic),
                key,
                old,
                new,
            });
        }
    }
    found
}

/// Returns the changes if the run can go on with them.
///
/// # Errors
/// [`Error::Run`] that names every key which cannot change, with both values.
pub fn allowed(folder: &Path, old: &Config, new: &Config) -> Result<Vec<Change>, Error> {
    let all = changes(old, new);
    let refused: Vec<String> = all
        .iter()
        .filter(|c| !c.grows())
        .map(Change::line)
        .collect();
    if refused.is_empty() {
        return Ok(all);
    }
    Err(Error::Run(format!(
        "{}: the folder holds a run with another config\n  {}\n  hint: use another --out, or delete {} to start over",
        folder.join("run.toml").display(),
        refused.join("\n  "),
        folder.display()
    )))
}

/// Moves aside what the changes make anew, and returns what was done in words; nothing for no change.
///
/// # Errors
/// When a file cannot be moved; the same call goes on from there.
pub fn apply(folder: &Path, changes: &[Change]) -> Result<Option<String>, Error> {
    if changes.is_empty() {
        return Ok(None);
    }
    let anew = changes.iter().filter_map(|change| change.made_anew);
    let mut files: Vec<&str> = anew.flat_map(|files| files.concat()).collect();
    files.sort_unstable();
    files.dedup();
    files.retain(|name| folder.join(name).exists());
    let what: Vec<String> = changes
        .iter()
        .map(|c| format!("{} {} → {}", c.key, c.old, c.new))
        .collect();
    let mut said = format!(
        "note: {}: going on with {}",
        folder.display(),
        what.join(", ")
    );
    if !files.is_empty() {
        let free = (1..).find(|n| !folder.join(format!("earlier-{n}")).exists());
        let aside = folder.join(format!("earlier-{}", free.unwrap_or(1)));
        for name in &files {
            let (from, to) = (folder.join(name), aside.join(name));
            let parent = to.parent().unwrap_or(&aside);
            std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
            std::fs::rename(&from, &to).map_err(Error::io(&from))?;
        }
        said += &format!(
            "; made anew: {} (what was there is in {})",
            files.join(", "),
            aside.display()
        );
    }
    Ok(Some(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn config(set: &[&str]) -> Config {
        let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
        Source::default().config(&set).expect("valid")
    }

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        let old = config(&[]);
        let new = config(&[
            "critic.discount=0.9",
            "prior.updates=10",
            "finetune.updates=9000",
        ]);
        let error = allowed(Path::new("seed-1"), &old, &new).expect_err("others");
        let text = error.to_string();
        for words in [
            "critic.discount: 0.97 in the folder, 0.9 asked for",
            "prior.updates: 4000 in the folder, 10 asked for (it can only grow)",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert!(!text.contains("finetune.updates"), "it may grow: {text}");
    }

    #[test]
    fn what_grows_goes_on_and_what_depends_on_it_is_moved_aside() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path();
        std::fs::create_dir_all(path.join("checkpoints")).expect("writable");
        let all = ["prior", "critic", "posterior"].map(|n| format!("checkpoints/{n}.safetensors"));
        for name in all.iter().map(String::as_str).chain(["certificate.json"]) {
            std::fs::write(path.join(name), name).expect("writable");
        }
        let new = config(&["evaluation.episodes=300", "evaluation.best_of=[16, 4]"]);
        let changes = allowed(path, &config(&[]), &new).expect("grows");
        let said = apply(path, &changes).expect("done").expect("changes");
        assert!(
            said.contains("128 → 300") && !said.contains("anew"),
            "{said}"
        );
        let longer = config(&["finetune.updates=3000"]);
        let changes = allowed(path, &config(&[]), &longer).expect("grows");
        apply(path, &changes).expect("done");
        assert!(!path.join("certificate.json").exists());
        assert!(path.join("checkpoints/posterior.safetensors").exists());
        let longer = config(&["critic.updates=20000"]);
        let changes = allowed(path, &config(&[]), &longer).expect("grows");
        let said = apply(path, &changes).expect("done").expect("changes");
        assert!(said.contains("posterior.safetensors"), "{said}");
        assert!(
            path.join("earlier-2/checkpoints/posterior.safetensors")
                .exists()
        );
        assert!(path.join("earlier-1/certificate.json").exists());
        assert!(path.join("checkpoints/critic.safetensors").exists());
    }
}
