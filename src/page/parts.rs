//! The sections of a report: tables, films, commands, configuration.

use std::path::{Path, PathBuf};

use toml::Value;

use super::html::{data_uri, escaped, table};
use super::shown::Shown;
use crate::error::Error;
use crate::report::{Line, Summary, interval_text};
use crate::run::{changes, commands as recorded_commands, kept_notes, shell};
use crate::stats::Aggregate;

/// A film larger than this is named and not shown.
const LARGEST_FILM: u64 = 24 << 20;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_string()).collect()
}

/// Returns the interval without the padding of text tables.
fn interval(a: &Aggregate) -> String {
    interval_text(a.mean_interval(), 1).trim().to_string()
}

fn of(line: &Line) -> &Aggregate {
    line.score.as_ref().unwrap_or(&line.returns)
}

fn unit(summary: &Summary) -> &'static str {
    let scored = summary.lines.iter().any(|l| l.score.is_some());
    if scored { "score" } else { "return" }
}

/// Scores and certificates, one column per run.
pub fn scores(runs: &[Shown]) -> String {
    let mut policies: Vec<&str> = Vec::new();
    for line in runs.iter().flat_map(|run| &run.summary.lines) {
        if !policies.contains(&line.policy.as_str()) {
            policies.push(&line.policy);
        }
    }
    policies.sort_by_key(|policy| *policy == "posterior");
    let head = std::iter::once(String::new()).chain(runs.iter().map(|run| run.name.clone()));
    let row = |name: &str, cell: &dyn Fn(&Shown) -> String| {
        let cells = runs.iter().map(cell);
        std::iter::once(name.to_string()).chain(cells).collect()
    };
    let score = |policy: &str, run: &Shown| {
        let line = run.summary.lines.iter().find(|l| l.policy == policy);
        line.map_or("–".into(), |l| {
            format!("{:.1} {}", of(l).mean, interval(of(l)))
        })
    };
    let mut rows: Vec<Vec<String>> = policies
        .iter()
        .map(|policy| row(policy, &|run| score(policy, run)))
        .collect();
    rows.push(row("measured in", &|run| unit(&run.summary).into()));
    let verdict = |run: &Shown| run.summary.verdict;
    rows.push(row("certificate", &|run| {
        verdict(run).map_or("–".into(), |v| {
            if v.passed { "PASS" } else { "FAIL" }.into()
        })
    }));
    rows.push(row("median ESS/N", &|run| {
        verdict(run).map_or("–".into(), |v| format!("{:.3}", v.ess))
    }));
    rows.push(row("median |log Z_q − log Z_p|", &|run| {
        verdict(run).map_or("–".into(), |v| format!("{:.3}", v.log_z_gap))
    }));
    rows.push(row("seeds", &|run| seeds(&run.summary.seeds)));
    rows.push(row("seconds per seed", &|run| {
        format!("{:.0}", run.summary.seconds.values().sum::<f64>())
    }));
    table(&head.collect::<Vec<_>>(), &rows)
}

fn seeds(seeds: &[u64]) -> String {
    let all: Vec<String> = seeds.iter().map(u64::to_string).collect();
    all.join(", ")
}

/// The keys in which the configs differ, one column per run.
pub fn differences(runs: &[Shown]) -> String {
    let mut keys: Vec<String> = Vec::new();
    for run in &runs[1..] {
        for change in changes(&runs[0].config, &run.config) {
            if !keys.contains(&change.key) {
                keys.push(change.key);
            }
        }
    }
    let title = "<section id=\"differences\"><h2>Keys that differ</h2>\n";
    if keys.is_empty() {
        return format!("{title}<p class=\"grey\">None: the configs are equal.</p></section>\n");
    }
    let head = std::iter::once("key".to_string()).chain(runs.iter().map(|run| run.name.clone()));
    let cell = |run: &Shown, key: &str| -> String {
        let table = toml::Table::try_from(&run.config).unwrap_or_default();
        let value = crate::config::value_at(&table, key).map(Value::to_string);
        value.unwrap_or("–".into())
    };
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let cells = runs.iter().map(|run| cell(run, key));
            std::iter::once(key.clone()).chain(cells).collect()
        })
        .collect();
    let table = table(&head.collect::<Vec<_>>(), &rows);
    format!("{title}{table}</section>\n")
}

/// Environment, origin and what is missing.
pub fn facts(run: &Shown) -> String {
    let p = &run.summary.provenance;
    let data = &p.data_sha256[..12.min(p.data_sha256.len())];
    let mut out = format!(
        "<p class=\"grey\">{} · seeds {} · engine {} {}, margin rule {} · arithmetic {} · device {} · data SHA-256 {data}… · TiltRL {}</p>\n",
        escaped(&run.summary.env),
        seeds(&run.summary.seeds),
        escaped(&p.engine),
        escaped(&p.engine_version),
        escaped(&p.margin_rule),
        escaped(&p.arithmetic),
        escaped(&p.device),
        escaped(&p.tiltrl),
    );
    if !run.left_out.is_empty() {
        out += &format!(
            "<p><b>Not on this page:</b> seeds {}, which the run's table does not hold.</p>\n",
            seeds(&run.left_out)
        );
    }
    out
}

/// The table of one run.
pub fn lines(summary: &Summary) -> String {
    let head = [
        "policy",
        "mean",
        "95 % interval",
        "median",
        "IQM",
        "episodes",
    ];
    let mut head = words(&head);
    head[0] = format!("policy ({})", unit(summary));
    let row = |line: &Line| {
        let a = of(line);
        let number = |value: f64| format!("{value:.1}");
        vec![
            line.policy.clone(),
            number(a.mean),
            interval(a),
            number(a.median),
            number(a.iqm),
            a.episodes.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = summary.lines.iter().map(row).collect();
    format!("<h3>Scores at the end</h3>\n{}", table(&head, &rows))
}

/// Verdict and quantiles of the certificate.
pub fn certificate(summary: &Summary) -> String {
    if summary.certificate.is_empty() {
        return format!(
            "<h3>Certificate</h3>\n<p>None: {} makes no posterior.</p>\n",
            escaped(&summary.algorithm)
        );
    }
    let verdict = summary.verdict.map_or(String::new(), |v| {
        let (class, word) = if v.passed {
            ("badge", "PASS")
        } else {
            ("badge fail", "FAIL")
        };
        let text = v.to_string();
        let rest = text
            .split_once(": ")
            .map_or(text.as_str(), |(_, rest)| rest);
        format!(
            "<p><span class=\"{class}\">{word}</span> {}</p>\n",
            escaped(rest)
        )
    });
    let rows: Vec<Vec<String>> = summary
        .certificate
        .iter()
        .map(|(name, quantiles)| {
            let numbers = quantiles.iter().map(|q| format!("{q:.3}"));
            std::iter::once(name.replace('_', " "))
                .chain(numbers)
                .collect()
        })
        .collect();
    let head = words(&["quantile over states", "5 %", "50 %", "95 %"]);
    format!("<h3>Certificate</h3>\n{verdict}{}", table(&head, &rows))
}

/// Every GIF in the run's folder and in those of its seeds.
///
/// # Errors
/// When one cannot be read.
pub fn films(folder: &Path) -> Result<String, Error> {
    let mut found: Vec<PathBuf> = Vec::new();
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries(folder) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(entries(&path).map(|e| e.path()));
        } else {
            found.push(path);
        }
    }
    found.retain(|path| path.extension().is_some_and(|end| end == "gif"));
    found.sort();
    if found.is_empty() {
        return Ok(String::new());
    }
    let mut out = "<h3>Films</h3>\n<div class=\"films\">\n".to_string();
    for path in found {
        let name = path.strip_prefix(folder).unwrap_or(&path).display();
        let name = escaped(&name.to_string());
        let size = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
        if size > LARGEST_FILM {
            out += &format!("<p>{name}: left out, it has {} MiB</p>\n", size >> 20);
            continue;
        }
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let uri = data_uri("image/gif", &bytes);
        out += &format!(
            "<figure><img alt=\"film {name}\" src=\"{uri}\"><figcaption>{name}</figcaption></figure>\n"
        );
    }
    Ok(out + "</div>\n")
}

/// The commands that made the run, as they were recorded.
///
/// # Errors
/// When the record cannot be read.
pub fn commands(run: &Shown) -> Result<String, Error> {
    let recorded = recorded_commands(&run.folder)?;
    let said = if recorded.is_empty() {
        let words = [
            "tiltrl",
            "run",
            "--config",
            "CONFIG.toml",
            "--data",
            "DATA",
            "--seeds",
        ];
        let mut words = self::words(&words);
        words.push(seeds(&run.summary.seeds).replace(' ', ""));
        words.extend(["--out".into(), run.folder.display().to_string()]);
        let why = "An earlier version made this run and recorded no command. With the configuration below as CONFIG.toml this is the same run:";
        format!(
            "<p class=\"grey\">{why}</p><pre class=\"fold\">{}</pre>\n",
            escaped(&shell(&words))
        )
    } else {
        format!(
            "<pre class=\"fold\">{}</pre>\n",
            escaped(&recorded.join("\n"))
        )
    };
    Ok(format!("<h3>Commands</h3>\n{said}"))
}

/// What was said of the data, and every key with its value.
///
/// # Errors
/// When the notes cannot be read.
pub fn configuration(run: &Shown) -> Result<String, Error> {
    let notes = match kept_notes(&run.folder)? {
        None => "<p class=\"grey\">An earlier version made this run and kept no notes on its data.</p>\n".into(),
        Some(notes) if notes.is_empty() => {
            "<p class=\"grey\">Nothing was guessed, repaired, clipped or dropped.</p>\n".into()
        }
        Some(notes) => {
            let items: String = notes.iter().map(|n| format!("<li>{}</li>", escaped(n))).collect();
            format!("<ul>{items}</ul>\n")
        }
    };
    Ok(format!(
        "<h3>Data</h3>\n{notes}<h3>Configuration</h3>\n<details><summary>every key of {}, as a config file</summary>\n<pre>{}</pre></details>\n",
        escaped(&run.config.preset),
        escaped(&run.config.commented())
    ))
}
