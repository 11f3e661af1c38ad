//! What an exported policy is: facts for the file itself, and a model card for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::agent::PolicyName;
use crate::error::Error;
use crate::report::{certificate_table, line, lines_table};
use crate::run::{Results, RunDir, commands};
use crate::train::certificate::Certificate;

use tiltrl_envs::spec_with;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn certificate(dir: &RunDir) -> Result<Option<Certificate>, Error> {
    let path = dir.path.join("certificate.json");
    path.exists().then(|| Certificate::read(&path)).transpose()
}

fn config_text(dir: &RunDir) -> Result<String, Error> {
    toml::to_string(&dir.config()?).map_err(|e| Error::Run(e.to_string()))
}

/// Returns what the file says of itself, by key.
///
/// # Errors
/// When run.toml or the certificate cannot be read.
pub fn facts(dir: &RunDir, name: PolicyName) -> Result<BTreeMap<String, String>, Error> {
    let (config, origin) = (dir.config()?, dir.provenance()?);
    let verdict = certificate(dir)?.map_or("none".into(), |c| c.verdict.to_string());
    let pairs = [
        ("policy", name.to_string()),
        ("environment", config.env.clone()),
        ("preset", config.preset.clone()),
        ("seed", origin.seed.to_string()),
        ("tiltrl", origin.tiltrl),
        ("tiltrl_export", env!("CARGO_PKG_VERSION").into()),
        ("config_sha256", sha256(config_text(dir)?.as_bytes())),
        ("data_sha256", origin.data_sha256),
        (
            "engine",
            format!("{} {}", origin.engine, origin.engine_version),
        ),
        ("margin_rule", origin.margin_rule),
        ("arithmetic", origin.arithmetic),
        ("device", origin.device),
        ("certificate_of_the_posterior", verdict),
    ];
    Ok(pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect())
}

/// Key of the fact that says a file's α, where `--alpha` set it.
pub const TEMPERATURE: &str = "temperature";

/// What a card is about.
pub struct Card<'a> {
    /// The seed's folder.
    pub dir: &'a RunDir,
    /// What the file says of itself.
    pub facts: &'a BTreeMap<String, String>,
    /// The file's name.
    pub name: &'a str,
    /// The file's content.
    pub content: &'a [u8],
    /// The command that wrote it.
    pub command: &'a str,
}

impl Card<'_> {
    /// Returns the card as Markdown.
    ///
    /// # Errors
    /// When the run's files cannot be read.
    pub fn text(&self) -> Result<String, Error> {
        let config = self.dir.config()?;
        let mut out = format!(
            "# {} of {}, seed {}\n\nA policy of [TiltRL](https://github.com/tiltrl/tiltrl) for `{}`. `{}`, SHA-256 `{}`.\n\n| what | value |\n|---|---|\n",
            self.facts["policy"],
            self.facts["preset"],
            self.facts["seed"],
            self.facts["environment"],
            self.name,
            sha256(self.content)
        );
        for (key, value) in self.facts {
            out += &format!("| {key} | {} |\n", value.replace('|', "\\|"));
        }
        out += "\n## Scores\n\n";
        if self.facts.contains_key(TEMPERATURE) {
            out += "Scores and certificate are those of the α in the middle of the run's dial, not of this file's.\n\n";
        }
        let spec = spec_with(&config.env, &config.evaluation.options()?)?;
        let results = match self.dir.state("results").exists() {
            true => Results::read(self.dir)?.last,
            false => Vec::new(),
        };
        let lines: Vec<_> = results
            .iter()
            .map(|e| line(&e.policy, &[e.returns()], &spec))
            .collect();
        out += &match lines.is_empty() {
            true => "The run's final evaluation was not played yet.\n".into(),
            false => format!("```\n{}```\n", lines_table(&lines)),
        };
        out += "\n## Certificate of the posterior\n\n";
        out += &match certificate(self.dir)? {
            None => "None was made.\n".into(),
            Some(found) => format!("```\n{}\n```\n", certificate_table(&found).trim_end()),
        };
        out += &format!(
            "\n## How it was made\n\n{}Exported by `{}`. The config of the run:\n\n```toml\n{}```\n",
            self.made()?,
            self.command,
            config_text(self.dir)?
        );
        Ok(out)
    }

    /// The commands that made the run, which lie beside its seeds; an earlier version recorded none.
    fn made(&self) -> Result<String, Error> {
        let run = self.dir.path.parent().unwrap_or(&self.dir.path);
        let all = commands(run)?;
        Ok(match all.is_empty() {
            true => "The run recorded no command. ".into(),
            false => format!("Trained by\n\n```sh\n{}\n```\n\n", all.join("\n")),
        })
    }
}
