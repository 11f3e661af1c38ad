//! Keys that had another name in an earlier version: errors name the present one, and folders of old runs are still read.

use toml::{Table, Value};

use super::algorithm::algorithm_of;
use super::critic::kind_of;
use super::keys::keys;
use super::tables::slot;

/// The name then, and the name now.
const RENAMED: &[(&str, &str)] = &[
    ("finetune.temperature", "finetune.alpha_in_std"),
    (
        "finetune.options.segment",
        "finetune.options.sub_trajectory",
    ),
    ("critic.num_steps", "critic.n_step"),
];

/// Returns the present name of a key of an earlier version.
pub(super) fn present_name(old: &str) -> Option<&'static str> {
    let found = RENAMED.iter().find(|(then, _)| *then == old);
    found.map(|(_, now)| *now)
}

/// Gives the keys of a complete config their present names. A key that its critic still knows is left alone.
pub(crate) fn rename(config: &mut Table) {
    let (Ok(critic), Ok(algorithm)) = (kind_of(config), algorithm_of(config)) else {
        return;
    };
    let known = keys(&critic, &algorithm);
    let known = |name: &str| known.iter().any(|key| key.name == name);
    for (then, now) in RENAMED {
        if !known(then)
            && known(now)
            && slot(config, now).is_none()
            && let Some(value) = take(config, then)
        {
            put(config, now, value);
        }
    }
}

fn section<'a>(table: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let mut inner = table;
    for part in name.split('.') {
        inner = inner.get_mut(part)?.as_table_mut()?;
    }
    Some(inner)
}

fn take(config: &mut Table, name: &str) -> Option<Value> {
    let (path, last) = name.rsplit_once('.')?;
    section(config, path)?.remove(last)
}

fn put(config: &mut Table, name: &str, value: Value) {
    if let Some((path, last)) = name.rsplit_once('.')
        && let Some(section) = section(config, path)
    {
        section.insert(last.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};

    fn resolved(set: &[&str]) -> Config {
        let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
        Source::default().config(&set).expect("valid")
    }

    #[test]
    fn a_config_of_an_earlier_version_reads_as_it_was() {
        let config = resolved(&[
            "finetune.alpha_in_std=0.75",
            "finetune.options.sub_trajectory=3",
            "critic.n_step=2",
        ]);
        let mut old = Table::try_from(&config).expect("a table");
        for (then, now) in RENAMED {
            let value = take(&mut old, now).expect("a key of the present");
            put(&mut old, then, value);
        }
        assert!(slot(&old, "finetune.temperature").is_some());
        rename(&mut old);
        assert_eq!(old, Table::try_from(&config).expect("a table"));
    }

    #[test]
    fn the_old_name_of_a_key_is_refused_with_the_new_one() {
        for (then, now) in RENAMED {
            let words = format!("is `{now}` now");
            let by_set = Source::default().config(&[format!("{then}=1")]);
            let error = by_set.expect_err(then).to_string();
            assert!(error.contains(then) && error.contains(&words), "{error}");
            let text = resolved(&[]).commented().replace(
                &format!("\n{} = ", &now[now.rfind('.').expect("dotted") + 1..]),
                &format!("\n{} = ", &then[then.rfind('.').expect("dotted") + 1..]),
            );
            let folder = tempfile::tempdir().expect("temporary folder");
            let path = folder.path().join("old.toml");
            std::fs::write(&path, text).expect("writable");
            let error = Source::File(path).config(&[]).expect_err(then).to_string();
            assert!(error.contains(&words), "{error}");
        }
    }
}
