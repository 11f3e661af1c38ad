//! The algorithm's part of a config: the name of one, its own settings, and the budget that scales every stage's updates.
//!
//! Presets may hold settings of several algorithms; a resolved config holds those of its own algorithm alone.

use serde_json::Map;
use tiltrl_policies::agent::{AlgorithmKind, Trains};
use toml::{Table, Value};

use super::settings::{Config, DEFAULT};
use super::tables::overlay;
use crate::error::{Error, nearest};

/// Names of the budgets.
pub const BUDGETS: &[&str] = &["quick", "default", "full"];

/// Factors of the updates of a stage: section, quick, full. With `full` the presets' 60,000 updates of the prior become 2 million, the 25,000 of the
/// critic 1 million and the 3,000 of fine-tuning 150,000; a baseline's 100,000 become 1 million.
const FACTORS: &[(&str, f64, f64)] = &[
    ("prior", 0.1, 100.0 / 3.0),
    ("critic", 0.2, 40.0),
    ("finetune", 0.2, 50.0),
];
/// ... of a baseline's updates.
const BASELINE_FACTORS: [f64; 2] = [0.1, 10.0];

impl Config {
    /// Returns the algorithm.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, with the nearest.
    pub fn algorithm_kind(&self) -> Result<AlgorithmKind, Error> {
        named(&self.algorithm).map_err(Error::Usage)
    }

    /// Returns whether the run makes a posterior, which a certificate judges.
    pub fn has_posterior(&self) -> bool {
        self.algorithm == DEFAULT
    }

    /// Returns whether the run trains a policy of its own, without prior and critic.
    pub fn is_one_policy(&self) -> bool {
        known(&self.algorithm).is_some_and(|k| matches!(k.trains, Trains::Policy(_)))
    }

    /// Returns the algorithm's own settings as it reads them.
    pub fn own_settings(&self) -> Map<String, serde_json::Value> {
        let own = self.baseline.get(&self.algorithm);
        match own.and_then(|own| serde_json::to_value(own).ok()) {
            Some(serde_json::Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    fn own_count(&self, key: &str) -> u64 {
        let found = self.own_settings();
        found.get(key).and_then(|v| v.as_u64()).unwrap_or(0)
    }

    /// Returns the discount of what is learned.
    pub fn discount(&self) -> f64 {
        let own = self.own_settings();
        let found = own.get("discount").and_then(|v| v.as_f64());
        found.unwrap_or_else(|| self.critic.discount())
    }

    /// Returns the updates behind the final evaluation.
    pub fn last_update(&self) -> u64 {
        match known(&self.algorithm).map(|k| k.trains) {
            Some(Trains::Policy(_)) => self.own_count("updates"),
            Some(Trains::PriorAndCritic) => self.critic.number("updates") as u64,
            _ => self.finetune.updates,
        }
    }

    /// Returns the samples per action of an algorithm that chooses among several.
    pub fn samples(&self) -> usize {
        self.own_count("samples") as usize
    }

    /// Returns the policies of the final evaluation, in the order of tables.
    pub fn final_policies(&self) -> Vec<String> {
        let mut names = Vec::new();
        if !self.is_one_policy() {
            names.push("prior".to_string());
        }
        if self.has_posterior() {
            let best_of = self.evaluation.best_of.iter();
            names.extend(best_of.map(|n| format!("best-of-{n}")));
            names.push("posterior".into());
            if self.evaluation.tail > 0 {
                names.push(format!("tail-{}", self.evaluation.tail));
            }
        } else {
            names.push(self.algorithm.clone());
        }
        names
    }
}

/// Returns the algorithm of that name.
pub fn known(name: &str) -> Option<AlgorithmKind> {
    AlgorithmKind::all()
        .iter()
        .find(|k| k.name == name)
        .copied()
}

fn named(name: &str) -> Result<AlgorithmKind, String> {
    known(name).ok_or_else(|| {
        let all: Vec<&str> = AlgorithmKind::all().iter().map(|k| k.name).collect();
        let hint = nearest(name, all.iter().copied())
            .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        format!(
            "algorithm: unknown algorithm `{name}`{hint}\n  algorithms: {}",
            all.join(", ")
        )
    })
}

/// Returns the algorithm that a table names; the default where it names none.
pub(super) fn algorithm_of(table: &Table) -> Result<AlgorithmKind, String> {
    match table.get("algorithm") {
        None => named(DEFAULT),
        Some(Value::String(name)) => named(name),
        Some(other) => Err(format!("algorithm: expected text, found {other}")),
    }
}

/// What is asked for above the presets, by `--set` or by a user's file.
fn asked(key: &str, overrides: &[String], own: &Table) -> Option<String> {
    let set = overrides.iter().rev().find_map(|entry| {
        let (name, value) = entry.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_string())
    });
    set.or_else(|| Some(own.get(key)?.as_str()?.to_string()))
}

/// Lays over a lower table what the algorithm and the budget that are asked for above it change: settings of the stages, and the
/// numbers of updates. A complete file holds all of its numbers itself and is left alone.
pub(super) fn adapt(lower: &mut Table, own: &Table, overrides: &[String]) -> Result<(), String> {
    let name = asked("algorithm", overrides, own);
    if let Some(name) = &name {
        let changes: Table = toml::from_str(changes(name)).map_err(|e| e.to_string())?;
        super::critic::make_way(lower, &changes)?;
        overlay(lower, changes);
        lower.insert("algorithm".into(), Value::String(name.clone()));
        complete(lower)?;
    }
    let at = match asked("budget", overrides, own).as_deref() {
        Some("quick") => 0,
        Some("full") => 1,
        _ => return Ok(()),
    };
    for (section, quick, full) in FACTORS {
        if let Some(Value::Table(table)) = lower.get_mut(*section) {
            scale(table, [*quick, *full][at]);
        }
    }
    if let Some(Value::Table(baselines)) = lower.get_mut("baseline") {
        for (_, table) in baselines.iter_mut() {
            if let Value::Table(table) = table {
                scale(table, BASELINE_FACTORS[at]);
            }
        }
    }
    Ok(())
}

/// Multiplies a stage's numbers of updates: `updates`, and those of its parts, whose keys end in `_updates`.
fn scale(table: &mut Table, factor: f64) {
    for (key, value) in table.iter_mut() {
        if let Value::Integer(updates) = value
            && (key == "updates" || key.ends_with("_updates"))
        {
            *updates = ((*updates as f64 * factor).round() as i64).max(1);
        }
    }
}

/// The settings of the stages that an algorithm changes, as a file; empty for most.
fn changes(algorithm: &str) -> &'static str {
    known(algorithm).map_or("", |kind| kind.changes)
}

/// Refuses a budget over a complete file, whose numbers it would not change, and an algorithm that would change its settings.
pub(super) fn complete_file(overrides: &[String]) -> Result<(), String> {
    let none = Table::new();
    let budget = asked("budget", overrides, &none);
    let changing = asked("algorithm", overrides, &none).filter(|name| !changes(name).is_empty());
    match budget.map(|b| format!("budget={b}")).or(changing) {
        None => Ok(()),
        Some(what) => Err(format!(
            "{what}: the file is complete, so its own numbers stand\n  hint: name a preset, or write a file with `extends`"
        )),
    }
}

/// Gives a table the settings of its algorithm, defaults where they are missing.
fn complete(table: &mut Table) -> Result<(), String> {
    let kind = algorithm_of(table)?;
    let defaults = (kind.defaults)();
    if defaults.is_empty() {
        return Ok(());
    }
    let all = table
        .entry("baseline")
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(all) = all else {
        return Err(format!("baseline: expected a table, found {all}"));
    };
    let own = all
        .entry(kind.name)
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(own) = own else {
        return Err(format!(
            "baseline.{}: expected a table, found {own}",
            kind.name
        ));
    };
    for (key, value) in defaults {
        if !own.contains_key(&key)
            && let Ok(value) = Value::try_from(value)
        {
            own.insert(key, value);
        }
    }
    Ok(())
}

/// Leaves a table with the settings of its own algorithm alone, complete; `overrides` may name another algorithm.
pub(super) fn settle(table: &mut Table, overrides: &[String]) -> Result<(), String> {
    if let Some(name) = asked("algorithm", overrides, &Table::new()) {
        table.insert("algorithm".into(), Value::String(name));
    }
    for (key, value) in [("algorithm", DEFAULT), ("budget", "default")] {
        table
            .entry(key)
            .or_insert_with(|| Value::String(value.into()));
    }
    complete(table)?;
    let kind = algorithm_of(table)?;
    if let Some(Value::Table(all)) = table.get_mut("baseline") {
        if let Some(stranger) = all.keys().find(|name| named(name).is_err()) {
            return Err(named(stranger).err().unwrap_or_default());
        }
        all.retain(|name, _| name == kind.name);
        if all.is_empty() {
            table.remove("baseline");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Source, preset};
    use crate::error::Error;

    fn with(name: &str, set: &[&str]) -> Result<Config, Error> {
        let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
        Source::Preset(name.into()).config(&set)
    }

    #[test]
    fn the_authors_coefficients_are_in_the_presets() {
        let number = |name: &str, algorithm: &str, key: &str| {
            let config = with(name, &[&format!("algorithm={algorithm}")]).expect("known");
            config.own_settings()[key].as_f64().expect("a number")
        };
        for (name, actor, critic) in [
            ("halfcheetah-medium", 0.001, 0.01),
            ("halfcheetah-medium-replay", 0.01, 0.001),
            ("halfcheetah-medium-expert-v2", 0.01, 0.1),
            ("hopper-medium", 0.01, 0.01),
            ("hopper-medium-replay", 0.05, 0.5),
            ("hopper-medium-expert", 0.1, 0.01),
            ("walker2d-medium", 0.05, 0.1),
            ("walker2d-medium-replay", 0.05, 0.01),
            ("walker2d-medium-expert", 0.01, 0.01),
        ] {
            assert_eq!(number(name, "rebrac", "actor_bc"), actor, "{name}");
            assert_eq!(number(name, "rebrac", "critic_bc"), critic, "{name}");
            assert_eq!(number(name, "td3bc", "alpha"), 2.5, "{name}");
        }
        let limit = number("hopper-medium-replay", "diffusion-ql", "max_gradient_norm");
        assert_eq!(limit, 4.0);
    }

    #[test]
    fn a_config_without_an_algorithm_is_rtb_and_holds_no_other_settings() {
        let config = preset("hopper-medium").expect("known");
        assert!(config.has_posterior() && config.baseline.is_empty());
        assert_eq!(config.last_update(), config.finetune.updates);
        assert_eq!(
            config.final_policies(),
            ["prior", "best-of-16", "best-of-64", "posterior", "tail-8"]
        );
        let own = with(
            "hopper-medium",
            &["algorithm=td3bc", "baseline.td3bc.updates=7"],
        );
        let own = own.expect("valid");
        assert_eq!(
            (own.last_update(), own.final_policies()),
            (7, vec!["td3bc".to_string()])
        );
        assert_eq!(own.baseline.len(), 1);
    }

    #[test]
    fn wrong_names_and_values_are_refused_with_what_was_expected() {
        for (set, words) in [
            (vec!["algorithm=td3b"], "did you mean `td3bc`"),
            (vec!["budget=huge"], "quick, default, full"),
            (vec!["baseline.td3bc.alpha=1"], "algorithm `rtb`"),
            (
                vec!["algorithm=bc", "baseline.td3bc.alpha=1"],
                "algorithm `bc`",
            ),
            (vec!["algorithm=td3bc", "baseline.td3bc.alpha=0"], "above 0"),
            (vec!["algorithm=td3bc", "baseline.td3bc.alpa=1"], "`alpha`"),
            (
                vec!["algorithm=rebrac", "baseline.rebrac.actor_bc=-1"],
                "0 to",
            ),
            (vec!["algorithm=iql", "baseline.iql.expectile=1"], "below 1"),
            (vec!["algorithm=idql", "baseline.idql.samples=0"], "1 to"),
            (
                vec![
                    "algorithm=diffusion-ql",
                    "baseline.diffusion-ql.num_steps=1",
                ],
                "2 to",
            ),
            (vec!["prior.held_out=0.6"], "prior.held_out"),
        ] {
            let error = with("hopper-medium", &set).expect_err(words).to_string();
            assert!(error.contains(words), "{set:?}: {error}");
        }
    }

    #[test]
    fn a_budget_scales_what_lies_below_and_is_not_applied_twice() {
        let quick = with("hopper-medium-expert", &["budget=quick"]).expect("valid");
        assert_eq!((quick.prior.updates, quick.finetune.updates), (6000, 800));
        assert_eq!(quick.critic.number("advantage_updates"), 3000.0);
        let full = with("hopper-medium", &["budget=full", "finetune.updates=5"]).expect("valid");
        assert_eq!((full.prior.updates, full.finetune.updates), (2_000_000, 5));
        assert_eq!(full.critic.number("updates"), 1_000_000.0);
        let baseline = with("hopper-medium", &["budget=full", "algorithm=rebrac"]);
        let baseline = baseline.expect("valid");
        assert_eq!(baseline.last_update(), 1_000_000);
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("whole.toml");
        std::fs::write(&path, baseline.commented()).expect("writable");
        let again = Source::File(path.clone()).config(&[]).expect("valid");
        assert_eq!(again, baseline, "a complete file is what it says");
        let refused = Source::File(path.clone()).config(&["budget=quick".into()]);
        let refused = refused.expect_err("complete").to_string();
        assert!(refused.contains("the file is complete"), "{refused}");
        let text = "extends = \"hopper-medium\"\nbudget = \"quick\"\n[prior]\nupdates = 11\n";
        std::fs::write(&path, text).expect("writable");
        let own = Source::File(path).config(&[]).expect("valid");
        assert_eq!((own.prior.updates, own.finetune.updates), (11, 600));
    }

    #[test]
    fn idql_takes_its_authors_critic_also_where_a_preset_names_another() {
        let config = with("hopper-medium-expert", &["algorithm=idql"]).expect("valid");
        assert_eq!(config.critic.kind, "iql");
        assert_eq!(config.critic.number("n_step"), 1.0);
        assert_eq!((config.samples(), config.prior.batch_size), (64, 512));
        assert_eq!(config.final_policies(), ["prior", "idql"]);
    }
}
