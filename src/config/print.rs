//! A config as text: every key with its meaning and range as a comment; the text is itself a config file.

use std::fmt::Write as _;

use toml::Table;

use super::algorithm::algorithm_of;
use super::critic::kind_of;
use super::keys::keys;
use super::settings::Config;
use super::tables::slot;

/// Returns a complete table as a commented file.
pub fn commented(table: &Table) -> String {
    let mut out = String::from(
        "# A complete experiment: `tiltrl run --config THIS_FILE`. A shorter file names a preset (extends = \"hopper-medium\")\n# and holds only what differs.\n",
    );
    let mut section = String::new();
    let Ok(kind) = kind_of(table) else {
        return out;
    };
    let Ok(algorithm) = algorithm_of(table) else {
        return out;
    };
    for key in keys(&kind, &algorithm) {
        let Some(value) = slot(table, &key.name) else {
            continue;
        };
        let (path, name) = key.name.rsplit_once('.').unwrap_or(("", &key.name));
        if path != section {
            let _ = writeln!(out, "\n[{path}]");
            section = path.to_string();
        }
        let _ = writeln!(out, "# {} ({}).", key.doc, key.range);
        let _ = writeln!(out, "{name} = {value}");
    }
    out
}

impl Config {
    /// Returns the config as a commented file, which `--config` takes.
    pub fn commented(&self) -> String {
        commented(&Table::try_from(self).unwrap_or_default())
    }
}
