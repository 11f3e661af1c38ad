//! `tiltrl certify RUN`: the stored certificate of a run, as a table and as a picture.

use std::path::Path;

use serde::Serialize;
use tiltrl_policies::certificate::Verdict;

use super::inspect::{print, refuse_existing, write_json};
use super::plot::summary;
use crate::error::Error;
use crate::pictures;
use crate::report::{certificate_table, quantiles};
use crate::run::{RunDir, seeds_in};
use crate::train::certificate::Certificate;

/// What `--json` gets.
#[derive(Serialize)]
struct Certified {
    seeds: Vec<u64>,
    verdict: Verdict,
    quantiles: std::collections::BTreeMap<String, [f64; 3]>,
}

/// Returns the certificates of a run's seeds put together, and the seeds.
///
/// # Errors
/// When the folder holds no run, or a seed has no certificate yet.
pub fn joined(folder: &Path) -> Result<(Vec<u64>, Certificate), Error> {
    let seeds = seeds_in(folder)?;
    let read = |seed: &u64| {
        let path = RunDir::of_seed(folder, *seed).path;
        Certificate::read(&path.join("certificate.json"))
    };
    let all = seeds.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok((seeds, Certificate::joined(&all)))
}

/// `tiltrl certify`.
///
/// # Errors
/// As for [`joined`], or when a file cannot be written.
pub fn certify(folder: &Path, json: Option<&Path>) -> Result<(), Error> {
    if let Some(path) = json {
        refuse_existing(path, "--json")?;
    }
    let (seeds, certificate) = joined(folder)?;
    print(&certificate_table(&certificate));
    let preset = summary(folder)?.preset;
    let stem = folder.join("certificate");
    let files = pictures::certificate(&preset, &certificate, &stem)?;
    print(&format!(
        "picture      {} (.png, .csv beside it)",
        files[0].display()
    ));
    let certified = Certified {
        seeds,
        verdict: certificate.verdict,
        quantiles: quantiles(&certificate),
    };
    write_json(json, &certified)
}
