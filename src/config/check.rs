//! The check of a config against the table of keys: every fault at once, before anything is read or trained.

use toml::{Table, Value};

use tiltrl_policies::agent::{AlgorithmKind, CriticKind};
use tiltrl_policies::nets::NetworkKind;

use super::algorithm::algorithm_of;
use super::critic::kind_of;
use super::keys::{Key, Range, all_names, keys};
use super::renamed::present_name;
use super::settings::Config;
use super::tables::{leaves, slot};
use crate::error::{Error, nearest};

/// Returns the config that a table spells, where every key is known, present and in its range.
///
/// # Errors
/// [`Error::Usage`] with one line per fault; `origin` says where the table came from.
pub fn checked(table: Table, origin: &str) -> Result<Config, Error> {
    let faults = match with_faults(table) {
        Ok(found) => return found.map_err(|e| Error::Usage(format!("{origin}: {e}"))),
        Err(faults) => faults,
    };
    let count = match faults.len() {
        1 => "1 fault".to_string(),
        n => format!("{n} faults"),
    };
    Err(Error::Usage(format!(
        "{origin}: {count} in the config\n  {}\n  hint: `tiltrl config quickstart` prints every key with its meaning and range",
        faults.join("\n  ")
    )))
}

/// Returns the config that a table spells, or what no key can say; all faults of keys otherwise.
pub(super) fn with_faults(mut table: Table) -> Result<Result<Config, String>, Vec<String>> {
    let (kind, algorithm) = match (kind_of(&table), algorithm_of(&table)) {
        (Ok(kind), Ok(algorithm)) => (kind, algorithm),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let keys = keys(&kind, &algorithm);
    for key in &keys {
        take_integers_for_floats(&mut table, key);
    }
    let mut faults: Vec<String> = unknown(&table, &keys, (&kind, &algorithm));
    for key in &keys {
        match slot(&table, &key.name) {
            None => faults.push(format!("{}: missing; {}", key.name, expected(key))),
            Some(value) => faults.extend(fault(key, value)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let config: Config = match Value::Table(table).try_into() {
        Ok(config) => config,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match together(&config) {
        faults if faults.is_empty() => Ok(Ok(config)),
        faults => Err(faults),
    }
}

fn unknown(
    table: &Table,
    keys: &[Key],
    (kind, algorithm): (&CriticKind, &AlgorithmKind),
) -> Vec<String> {
    let names = leaves(table).into_iter().map(|(name, _)| name);
    let strangers = names.filter(|name| keys.iter().all(|k| k.name != *name));
    let others = all_names();
    strangers
        .map(|name| {
            if others.contains(&name) && name.starts_with("baseline.") {
                return format!("{name}: the algorithm `{}` has no such key", algorithm.name);
            }
            if others.contains(&name) {
                return format!("{name}: the critic `{}` has no such key", kind.name);
            }
            if let Some(now) = present_name(&name) {
                return format!("{name}: no such key; it is `{now}` now");
            }
            let hint = nearest(&name, keys.iter().map(|k| k.name.as_str()))
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            format!("{name}: no such key{hint}")
        })
        .collect()
}

fn expected(key: &Key) -> String {
    format!("expected {}", key.range)
}

fn take_integers_for_floats(table: &mut Table, key: &Key) {
    let float = matches!(
        key.range,
        Range::Number(..) | Range::Between(..) | Range::Above(..)
    );
    let mut parts = key.name.split('.').peekable();
    let mut at = table;
    while let Some(part) = parts.next() {
        let Some(value) = at.get_mut(part) else {
            return;
        };
        match (value, parts.peek()) {
            (Value::Table(inner), Some(_)) => at = inner,
            (value, None) if float => {
                if let Value::Integer(i) = *value {
                    *value = Value::Float(i as f64);
                }
                return;
            }
            _ => return,
        }
    }
}

/// Says what is wrong with one value, if anything is.
fn fault(key: &Key, value: &Value) -> Option<String> {
    let within =
        |i: i64, low: u64, high: u64| u64::try_from(i).is_ok_and(|i| low <= i && i <= high);
    // Larger ones overflow where networks compute.
    let single = |x: f64| x.abs() <= f64::from(f32::MAX);
    let fits = match (key.range, value) {
        (Range::Count(low, high), Value::Integer(i)) => within(*i, low, high),
        (Range::Number(low, high), Value::Float(x)) => (low..=high).contains(x) && single(*x),
        (Range::Between(low, high), Value::Float(x)) => low < *x && *x < high,
        (Range::Above(low, high), Value::Float(x)) => low < *x && *x <= high && single(*x),
        (Range::Counts(least, low, high), Value::Array(list)) => {
            let one = |v: &Value| v.as_integer().is_some_and(|i| within(i, low, high));
            list.len() >= least && list.len() <= 64 && list.iter().all(one)
        }
        (Range::Interval(low, high), Value::Array(list)) => {
            let ends: Option<Vec<f64>> = list.iter().map(number).collect();
            ends.is_some_and(|ends| match ends[..] {
                [] => true,
                [first, last] => low <= first && first < last && last <= high,
                _ => false,
            })
        }
        (Range::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
        (Range::Flag, Value::Boolean(_)) | (Range::Text, Value::String(_)) => true,
        (Range::Texts, Value::Array(list)) => list.iter().all(Value::is_str),
        _ => false,
    };
    (!fits).then(|| format!("{}: {}, found {value}", key.name, expected(key)))
}

/// A number, whole or not.
fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
}

/// What no posterior with a dial can have.
fn of_dial(config: &Config) -> Vec<String> {
    let settings = &config.finetune;
    let [low, high] = settings.dial[..] else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if low > 1.0 || high < 1.0 {
        faults.push(format!(
            "finetune.dial: expected a range that holds 1, the middle's α, found [{low}, {high}]"
        ));
    }
    if settings.guidance {
        faults.push(
            "finetune.dial: the term of finetune.guidance is scaled by one α; expected guidance = false".into(),
        );
    }
    if settings.options.kl_budget.nats > 0.0 {
        faults.push(
            "finetune.dial: finetune.options.kl_budget moves the one α; expected nats = 0".into(),
        );
    }
    faults
}

/// What no single key can say: combinations.
fn together(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    if config.finetune.paths.total() < 2 {
        faults.push("finetune.paths: expected at least 2 paths per state, as log Z(s) is estimated among them".into());
    }
    let options = &config.finetune.options;
    for (name, steps) in [
        ("sub_trajectory", options.sub_trajectory),
        ("sampled_steps", options.sampled_steps),
    ] {
        if steps > config.prior.num_steps {
            faults.push(format!(
                "finetune.options.{name}: expected at most prior.num_steps = {}, found {steps}",
                config.prior.num_steps
            ));
        }
    }
    let paths = config.finetune.paths.total() + options.exploration.paths;
    let rows = config.finetune.states.saturating_mul(paths);
    if rows > 10_000_000 {
        faults.push(format!(
            "finetune.states times paths per state: expected at most 10000000 paths an update, found {rows}"
        ));
    }
    if let Ok(kind) = config.critic.kind() {
        faults.extend((kind.fault)(&config.critic.values()));
    }
    if config.prior.likelihood_updates > 0 && !config.finetune.learned_variance {
        faults.push("finetune.learned_variance: expected true, as prior.likelihood_updates gives the prior variances that the posterior starts from".into());
    }
    faults.extend(of_dial(config));
    if let Err(error) = config.prior.schedule() {
        faults.push(format!("prior.schedule: {error}"));
    }
    if let Err(fault) = network_of(&config.prior.network) {
        faults.push(fault);
    }
    if let Err(error) = config.evaluation.options() {
        faults.push(error.to_string());
    }
    faults
}

/// Returns the prior's network of that name, or says which there are.
pub(crate) fn network_of(name: &str) -> Result<NetworkKind, String> {
    let all = NetworkKind::all();
    let names = || all.iter().map(|k| k.name);
    let found = all.iter().find(|k| k.name == name).copied();
    found.ok_or_else(|| {
        let hint =
            nearest(name, names()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        let list: Vec<&str> = names().collect();
        format!(
            "prior.network: unknown network `{name}`{hint}\n  networks: {}",
            list.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Source, preset};

    /// Values that once failed late, panicked or passed.
    const WRONG: &[(&str, &str)] = &[
        ("prior.updates", "0"),
        ("prior.updates", "-3"),
        ("prior.num_steps", "1"),
        ("prior.network", "perceptro"),
        ("prior.hidden", "[0]"),
        ("prior.hidden", "[]"),
        ("prior.hidden", "[1000000000000]"),
        ("prior.hidden", "[-1]"),
        ("prior.ema_decay", "2"),
        ("prior.ema_decay", "nan"),
        ("prior.learning_rate", "-0.1"),
        ("prior.learning_rate", "nan"),
        ("prior.learning_rate", "inf"),
        ("prior.batch_size", "1000000000000"),
        ("critic.discount", "1"),
        ("critic.discount", "0"),
        ("critic.target_rate", "0"),
        ("critic.learning_rate", "1e39"),
        ("finetune.alpha_in_std", "0"),
        ("finetune.dial", "[0.5]"),
        ("finetune.dial", "[2.0, 0.5]"),
        ("finetune.dial", "[0.0, 2.0]"),
        ("finetune.dial", "[0.5, nan]"),
        ("finetune.dial", "[0.5, \"2\"]"),
        ("finetune.dial", "[1.5, 2.0]"),
        ("finetune.dial", "[0.1, 0.5]"),
        ("finetune.paths.data", "2"),
        ("finetune.paths.on_policy", "0"),
        ("finetune.options.value_rate", "-1"),
        ("finetune.options.replay.paths", "1"),
        ("finetune.options.replay.capacity", "0"),
        ("finetune.options.exploration.scale", "0.5"),
        ("finetune.options.sub_trajectory", "11"),
        ("evaluation.episodes", "0"),
        ("evaluation.episodes_in_training", "0"),
        ("evaluation.evaluations_in_training", "0"),
        ("evaluation.best_of", "[0]"),
        ("evaluation.engine", "\"bullet\""),
    ];

    #[test]
    fn every_value_outside_its_range_is_refused_by_name() {
        for (key, value) in WRONG {
            let config = preset("quickstart").expect("known");
            let error = config.with_overrides(&[format!("{key}={value}")]);
            let error = error.expect_err(key).to_string();
            assert!(error.contains(key), "{key}={value}: {error}");
        }
        let config = preset("quickstart").expect("known");
        let linear = config.with_overrides(&["prior.schedule=\"linear\"".into()]);
        linear.expect("memoryless when rescaled");
    }

    #[test]
    fn a_dial_goes_with_one_alpha_and_without_guidance() {
        let dial = "finetune.dial=[0.25, 4]".to_string();
        let with = |more: &str| {
            let config = preset("quickstart").expect("known");
            config.with_overrides(&[dial.clone(), more.to_string()])
        };
        let config = with("finetune.alpha=1.0").expect("a dial");
        assert_eq!(config.finetune.dial, [0.25, 4.0]);
        for more in [
            "finetune.guidance=true",
            "finetune.options.kl_budget.nats=2.0",
        ] {
            let error = with(more).expect_err(more).to_string();
            assert!(error.contains("finetune.dial:"), "{error}");
        }
    }

    #[test]
    fn all_faults_are_named_in_one_message() {
        let set: Vec<String> = [
            "prior.updates=0",
            "critic.discount=2",
            "evaluation.best_of=[4, 0]",
        ]
        .map(String::from)
        .to_vec();
        let error = Source::default().config(&set).expect_err("wrong");
        let text = error.to_string();
        assert!(text.contains("3 faults"), "{text}");
        for key in ["prior.updates", "critic.discount", "evaluation.best_of"] {
            assert!(text.contains(key), "{key}: {text}");
        }
    }
}
