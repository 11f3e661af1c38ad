//! Summaries of runs: tables and summary.json.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tiltrl_envs::{EnvSpec, spec_with};
use tiltrl_tilt::certificate::{ConditionCertificate, Verdict};

use crate::config::Config;
use crate::error::Error;
use crate::files::write_atomically;
use crate::run::{Provenance, Results, RunDir, Seeds, read_state};
use crate::stats::{Aggregate, aggregate, quantile};
use crate::train::certificate::Certificate;

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// "data", "prior", "best-of-16", "posterior" …
    pub policy: String,
    /// Statistics of episode returns.
    pub returns: Aggregate,
    /// Statistics of normalised scores, where the environment has reference returns.
    pub score: Option<Aggregate>,
}

/// Contents of summary.json.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the experiment.
    pub preset: String,
    /// Id of the environment that was played.
    pub env: String,
    /// Seeds in the order of the columns.
    pub seeds: Vec<u64>,
    /// Where everything came from, without the seed.
    pub provenance: Provenance,
    /// Lines of the table.
    pub lines: Vec<Line>,
    /// Seconds of each stage, averaged over seeds.
    pub seconds: BTreeMap<String, f64>,
    /// Quantiles (5, 50, 95 %) over states of each certificate number, seeds together.
    pub certificate: BTreeMap<String, [f64; 3]>,
    /// Whether it passes, with the thresholds; none in files of earlier versions.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// α as a price, reward per nat, averaged over seeds; none in files of earlier versions.
    #[serde(default)]
    pub price: Option<f64>,
    /// N and the verdict of the policy tail-N, where the config asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<(usize, Verdict)>,
    /// The algorithm; not written for "rtb".
    #[serde(default = "rtb", skip_serializing_if = "is_rtb")]
    pub algorithm: String,
}

fn rtb() -> String {
    "rtb".into()
}

fn is_rtb(name: &str) -> bool {
    name == rtb()
}

impl Summary {
    /// Returns the name of the run in tables of several: its preset, and the algorithm where that is not "rtb".
    pub fn name(&self) -> String {
        match is_rtb(&self.algorithm) {
            true => self.preset.clone(),
            false => format!("{}, {}", self.preset, self.algorithm),
        }
    }
}

/// Returns the quantiles (5, 50, 95 %) over states of each number of a certificate.
pub fn quantiles(certificate: &Certificate) -> BTreeMap<String, [f64; 3]> {
    let field = |f: &dyn Fn(&ConditionCertificate) -> f64| -> [f64; 3] {
        let values: Vec<f64> = certificate.states.iter().map(f).collect();
        [0.05, 0.5, 0.95].map(|q| quantile(&values, q))
    };
    let mut all = BTreeMap::from([
        ("elbo".to_string(), field(&|c| c.elbo)),
        ("eubo".to_string(), field(&|c| c.eubo)),
        (
            "log_z_difference".to_string(),
            field(&|c| c.log_z_posterior - c.log_z_prior),
        ),
        (
            "log_z_gap".to_string(),
            field(&ConditionCertificate::log_z_gap),
        ),
        ("ess_posterior".to_string(), field(&|c| c.ess_posterior)),
        ("ess_prior".to_string(), field(&|c| c.ess_prior)),
        ("path_kl".to_string(), field(&|c| c.path_kl)),
        ("residual_std".to_string(), field(&|c| c.residual_std)),
    ]);
    if certificate.states.iter().all(|c| c.reward_gap.is_some()) {
        let gap = field(&|c| c.reward_gap.unwrap_or(f64::NAN));
        all.insert("reward_gap".to_string(), gap);
    }
    all
}

/// Returns a certificate as text: quantiles and the verdict with its thresholds.
pub fn certificate_table(certificate: &Certificate) -> String {
    let mut out = "certificate (quantiles over states)     5 %       50 %       95 %\n".to_string();
    for (name, [low, middle, high]) in quantiles(certificate) {
        out += &format!("{name:<34} {low:>9.3}  {middle:>9.3}  {high:>9.3}\n");
    }
    format!("{out}{}", certificate.verdict)
}

/// Returns the line of a policy from episode returns per seed.
pub fn line(policy: &str, returns: &[Vec<f64>], spec: &EnvSpec) -> Line {
    let scores: Option<Vec<Vec<f64>>> = returns
        .iter()
        .map(|seed| seed.iter().map(|&r| spec.normalized_score(r)).collect())
        .collect();
    Line {
        policy: policy.into(),
        returns: aggregate(returns, 0),
        score: scores.map(|s| aggregate(&s, 0)),
    }
}

/// Returns the table as text: lines, provenance and the seconds of each stage.
pub fn table(summary: &Summary) -> String {
    let p = &summary.provenance;
    let seconds: Vec<String> = summary
        .seconds
        .iter()
        .map(|(stage, value)| format!("{stage} {value:.1}"))
        .collect();
    format!(
        "{}{}{}{}engine {} {}, margin rule {}, arithmetic {}, data {}, seeds {:?}\nseconds per seed: {}\n",
        lines_table(&summary.lines),
        summary
            .verdict
            .map_or(String::new(), |v| format!("certificate {v}\n")),
        summary.tail.map_or(String::new(), |(ends, v)| format!(
            "certificate of tail-{ends} {v}\n"
        )),
        summary.price.map_or(String::new(), |price| format!(
            "temperature α: {price:.3} reward per nat\n"
        )),
        p.engine,
        p.engine_version,
        p.margin_rule,
        p.arithmetic,
        &p.data_sha256[..12.min(p.data_sha256.len())],
        summary.seeds,
        seconds.join(", ")
    )
}

/// Returns lines as a table: scores where the environment has reference returns, returns elsewhere.
pub fn lines_table(lines: &[Line]) -> String {
    let scored = lines.iter().any(|l| l.score.is_some());
    let title = if scored {
        "policy (score)"
    } else {
        "policy (return)"
    };
    let mut out = format!(
        "{title:<16} {:>10} {:>10} {:>10}   {:<22} {:>9}\n",
        "mean", "median", "IQM", "95 % interval of mean", "episodes"
    );
    for l in lines {
        let a = l.score.as_ref().unwrap_or(&l.returns);
        out += &format!(
            "{:<16} {:>10.1} {:>10.1} {:>10.1}   {}  {:>9}\n",
            l.policy,
            a.mean,
            a.median,
            a.iqm,
            interval_text(a.mean_interval(), 8),
            a.episodes
        );
    }
    out
}

/// Returns summaries of several runs as Markdown: scores, certificates and seconds, one row per run.
pub fn markdown(summaries: &[Summary]) -> String {
    let mut policies: Vec<&str> = Vec::new();
    for l in summaries.iter().flat_map(|s| &s.lines) {
        if !policies.contains(&l.policy.as_str()) {
            policies.push(&l.policy);
        }
    }
    policies.sort_by_key(|p| *p == "posterior");
    let mut out = format!(
        "| run | {} |\n|---|{}\n",
        policies.join(" | "),
        "---|".repeat(policies.len())
    );
    for s in summaries {
        let cells = policies.iter().map(|name| {
            s.lines
                .iter()
                .find(|l| l.policy == *name)
                .map_or("-".to_string(), |l| {
                    let a = l.score.as_ref().unwrap_or(&l.returns);
                    format!("{:.1} {}", a.mean, interval_text(a.mean_interval(), 1))
                })
        });
        out += &format!(
            "| {} | {} |\n",
            s.name(),
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
    out += "\n| run | ESS/N | \\|log Z_q − log Z_p\\| | path-KL (nats) | residual std | seconds per seed |\n|---|---|---|---|---|---|\n";
    for s in summaries {
        // Baselines make no posterior.
        let median = |name: &str, digits: usize| {
            let found = s.certificate.get(name);
            found.map_or("–".to_string(), |q| format!("{:.digits$}", q[1]))
        };
        let seconds: Vec<String> = s
            .seconds
            .iter()
            .map(|(stage, value)| format!("{stage} {value:.0}"))
            .collect();
        let of_old = || Some(s.certificate.get("log_z_difference")?[1].abs());
        let gap = s.verdict.map(|v| v.log_z_gap).or_else(of_old);
        out += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            s.name(),
            median("ess_posterior", 2),
            gap.map_or("–".to_string(), |gap| format!("{gap:.3}")),
            median("path_kl", 2),
            median("residual_std", 2),
            seconds.join(", ")
        );
    }
    out
}

/// Puts the seeds' results together.
///
/// # Errors
/// When a seed is not finished, or one of its files cannot be read.
pub fn summarize(
    config: &Config,
    out: &Path,
    seeds: &[u64],
    provenance: Provenance,
    data_returns: &[f64],
) -> Result<Summary, Error> {
    let spec = spec_with(&config.env, &config.evaluation.options()?)?;
    let mut lines = vec![line("data", &[data_returns.to_vec()], &spec)];
    let mut order: Vec<String> = Vec::new();
    let mut returns: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    let mut certificates: Vec<Certificate> = Vec::new();
    for seed in seeds {
        let dir = RunDir::of_seed(out, *seed);
        for evaluation in Results::read(&dir)?.last {
            if !order.contains(&evaluation.policy) {
                order.push(evaluation.policy.clone());
            }
            let of_policy = returns.entry(evaluation.policy.clone()).or_default();
            of_policy.push(evaluation.returns());
        }
        for (stage, value) in dir.seconds()? {
            *seconds.entry(stage).or_default() += value / seeds.len() as f64;
        }
        if config.has_posterior() {
            certificates.push(Certificate::read(&dir.path.join("certificate.json"))?);
        }
    }
    lines.extend(order.iter().map(|name| line(name, &returns[name], &spec)));
    let certificate = (!certificates.is_empty()).then(|| Certificate::joined(&certificates));
    Ok(Summary {
        preset: config.preset.clone(),
        env: config.env.clone(),
        seeds: seeds.to_vec(),
        provenance,
        lines,
        seconds,
        certificate: certificate.as_ref().map(quantiles).unwrap_or_default(),
        price: certificate.as_ref().and_then(|c| c.price),
        tail: certificate
            .as_ref()
            .and_then(|c| c.tail.as_ref())
            .map(|tail| (tail.ends, tail.verdict)),
        verdict: certificate.map(|c| c.verdict),
        algorithm: config.algorithm.clone(),
    })
}

/// Writes summary.json.
///
/// # Errors
/// When it cannot be written.
pub fn save(summary: &Summary, folder: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(summary).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(&folder.join("summary.json"), text.as_bytes())
}

/// Reads the summary of a finished run.
///
/// # Errors
/// When the folder holds no run, or one that is not finished; when summary.json is damaged.
pub fn load(folder: &Path) -> Result<Summary, Error> {
    let path = folder.join("summary.json");
    if path.exists() {
        return read_state(&path);
    }
    let seeds = Seeds::finished(folder)?;
    Err(Error::Run(format!(
        "{}: summary.json is missing (seeds {:?} are finished, {:?} are not)\n  hint: repeat the command that started the run; it writes the table",
        folder.display(),
        seeds.ready,
        seeds.rest
    )))
}

/// Returns an interval as text of a fixed width; a dash where there is none, as for one episode.
pub fn interval_text(interval: Option<[f64; 2]>, width: usize) -> String {
    match interval {
        Some([low, high]) => format!("[{low:>width$.1}, {high:>width$.1}]"),
        None => format!("{:>1$}", "–", 2 * width + 4),
    }
}
