//! Two runs side by side: which keys and origins differ, which numbers moved and by how much more than chance.

use std::path::Path;

use serde::Serialize;
use tiltrl_envs::{EnvSpec, spec_with};
use tiltrl_tilt::certificate::ConditionCertificate;

use crate::config::Config;
use crate::error::Error;
use crate::run::{Provenance, Results, RunDir, Seeds, changes};
use crate::stats::{Interval, difference, mean, median};
use crate::train::certificate::Certificate;

/// Something that is said differently of two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differing {
    /// A key of the config, or what the run was made from.
    pub what: String,
    /// In the first run.
    pub a: String,
    /// In the second run.
    pub b: String,
}

/// A number of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// Policy or number of the certificate.
    pub name: String,
    /// "score", "return", "nats" or nothing.
    pub unit: String,
    /// In the first run.
    pub a: f64,
    /// In the second run.
    pub b: f64,
    /// The second minus the first, with a 95 % interval over episodes or states.
    pub difference: Interval,
    /// Whether every episode or state has the same number in both runs.
    pub identical: bool,
}

impl Number {
    /// Returns whether the interval leaves out zero; none where there is no interval.
    pub fn moved(&self) -> Option<bool> {
        self.difference
            .ends
            .map(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// Two runs side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Seeds that are finished, of each run.
    pub seeds: [Vec<u64>; 2],
    /// Seeds that are not finished and left out, of each run.
    pub left_out: [Vec<u64>; 2],
    /// Keys of the config that differ.
    pub keys: Vec<Differing>,
    /// What else the runs were made from, where that differs.
    pub origins: Vec<Differing>,
    /// Final returns or scores, then the certificate.
    pub numbers: Vec<Number>,
    /// Policies that only one run has, and numbers that share no unit.
    pub not_compared: Vec<String>,
}

/// What is read of a run.
struct Side {
    config: Config,
    origin: Provenance,
    spec: EnvSpec,
    seeds: Seeds,
    results: Vec<Results>,
    certificates: Vec<Certificate>,
}

impl Side {
    fn read(folder: &Path) -> Result<Self, Error> {
        let seeds = Seeds::finished(folder)?;
        let dirs = seeds.ready.iter().map(|&s| RunDir::of_seed(folder, s));
        let dirs: Vec<RunDir> = dirs.collect();
        let config = dirs[0].config()?;
        let certificate = |dir: &RunDir| Certificate::read(&dir.path.join("certificate.json"));
        Ok(Self {
            origin: dirs[0].provenance()?,
            spec: spec_with(&config.env, &config.evaluation.options()?)?,
            results: dirs.iter().map(Results::read).collect::<Result<_, _>>()?,
            certificates: match config.has_posterior() {
                true => dirs.iter().map(certificate).collect::<Result<_, _>>()?,
                false => Vec::new(),
            },
            config,
            seeds,
        })
    }

    /// Policies of the first seed, in the order of the table.
    fn policies(&self) -> Vec<String> {
        let first = self.results.first().into_iter();
        first
            .flat_map(|r| r.last.iter().map(|e| e.policy.clone()))
            .collect()
    }

    /// Scores of a policy per seed, returns where the environment has no references; none where a seed lacks the policy.
    fn scores(&self, policy: &str) -> Option<(bool, Vec<Vec<f64>>)> {
        let of_seed = |r: &Results| Some(r.last.iter().find(|e| e.policy == policy)?.returns());
        let returns: Vec<Vec<f64>> = self.results.iter().map(of_seed).collect::<Option<_>>()?;
        let score = |values: &Vec<f64>| -> Option<Vec<f64>> {
            values
                .iter()
                .map(|&v| self.spec.normalized_score(v))
                .collect()
        };
        let scores: Option<Vec<Vec<f64>>> = returns.iter().map(score).collect();
        Some(scores.map_or((false, returns), |scores| (true, scores)))
    }

    fn states(&self, of: fn(&ConditionCertificate) -> f64) -> Vec<Vec<f64>> {
        let seed = |c: &Certificate| c.states.iter().map(of).collect();
        self.certificates.iter().map(seed).collect()
    }
}

/// Compares the finished seeds of two runs.
///
/// # Errors
/// When a folder holds no run, no seed of it is finished, or a file cannot be read.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, Error> {
    let (a, b) = (Side::read(a)?, Side::read(b)?);
    let keys = changes(&a.config, &b.config);
    let mut found = Comparison {
        keys: keys
            .into_iter()
            .map(|c| differing(&c.key, &c.old.to_string(), &c.new.to_string()))
            .collect(),
        origins: origins(&a.origin, &b.origin),
        numbers: Vec::new(),
        not_compared: Vec::new(),
        seeds: [a.seeds.ready.clone(), b.seeds.ready.clone()],
        left_out: [a.seeds.rest.clone(), b.seeds.rest.clone()],
    };
    policies(&a, &b, &mut found);
    match [&a, &b].map(|side| side.config.has_posterior()) {
        [true, true] => found.numbers.extend(certificates(&a, &b)),
        [false, false] => {}
        _ => found
            .not_compared
            .push("certificate: only one of the runs makes a posterior".into()),
    }
    Ok(found)
}

fn differing(what: &str, a: &str, b: &str) -> Differing {
    Differing {
        what: what.into(),
        a: a.into(),
        b: b.into(),
    }
}

fn origins(a: &Provenance, b: &Provenance) -> Vec<Differing> {
    let short = |sha: &str| sha.chars().take(12).collect::<String>();
    let pairs = [
        ("version of tiltrl", a.tiltrl.clone(), b.tiltrl.clone()),
        (
            "SHA-256 of the data",
            short(&a.data_sha256),
            short(&b.data_sha256),
        ),
        ("engine", a.engine.clone(), b.engine.clone()),
        (
            "engine's version",
            a.engine_version.clone(),
            b.engine_version.clone(),
        ),
        ("margin rule", a.margin_rule.clone(), b.margin_rule.clone()),
        ("arithmetic", a.arithmetic.clone(), b.arithmetic.clone()),
        ("device", a.device.clone(), b.device.clone()),
    ];
    let differ = pairs.into_iter().filter(|(_, a, b)| a != b);
    differ.map(|(what, a, b)| differing(what, &a, &b)).collect()
}

fn policies(a: &Side, b: &Side, found: &mut Comparison) {
    let mut names = a.policies();
    let others = b.policies();
    names.extend(
        others
            .into_iter()
            .filter(|name| !a.policies().contains(name)),
    );
    for name in names {
        let (one, other) = match (a.scores(&name), b.scores(&name)) {
            (Some(one), Some(other)) => (one, other),
            (one, _) => {
                let side = if one.is_some() { "first" } else { "second" };
                let text = format!("{name}: only the {side} run has it for all its seeds");
                found.not_compared.push(text);
                continue;
            }
        };
        if one.0 != other.0 || (!one.0 && a.config.env != b.config.env) {
            let text = format!(
                "{name}: returns on {} and {} share no unit",
                a.config.env, b.config.env
            );
            found.not_compared.push(text);
            continue;
        }
        let unit = if one.0 { "score" } else { "return" };
        found
            .numbers
            .push(number(&name, unit, [&one.1, &other.1], mean));
    }
}

fn certificates(a: &Side, b: &Side) -> Vec<Number> {
    type Of = fn(&ConditionCertificate) -> f64;
    let all: [(&str, &str, Of); 5] = [
        ("median ESS/N", "", |c| c.ess_posterior),
        (
            "median |log Z_q − log Z_p|",
            "nats",
            ConditionCertificate::log_z_gap,
        ),
        ("median EUBO − ELBO", "nats", |c| c.eubo - c.elbo),
        ("median path-KL", "nats", |c| c.path_kl),
        ("median residual std", "nats", |c| c.residual_std),
    ];
    let one = |(name, unit, of): (&str, &str, Of)| {
        number(name, unit, [&a.states(of), &b.states(of)], median)
    };
    all.into_iter().map(one).collect()
}

fn number(
    name: &str,
    unit: &str,
    [a, b]: [&[Vec<f64>]; 2],
    statistic: fn(&[f64]) -> f64,
) -> Number {
    Number {
        name: name.into(),
        unit: unit.into(),
        a: statistic(&a.concat()),
        b: statistic(&b.concat()),
        difference: difference(a, b, statistic, 0),
        identical: a == b,
    }
}
