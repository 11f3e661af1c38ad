//! `tiltrl certify RUN`: the stored certificate of a run, as a table and as a picture.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use tiltrl_policies::certificate::Verdict;

use super::inspect::{print, refuse_existing, write_json};
use super::pipeline::material_of;
use super::plot::summary;
use crate::agent::Agent;
use crate::error::Error;
use crate::pictures;
use crate::report::{certificate_table, quantiles};
use crate::run::{RunDir, seeds_in};
use crate::train::anatomy::{Anatomy, anatomy};
use crate::train::certificate::Certificate;

/// Arguments of `tiltrl certify`.
#[derive(Args)]
pub struct CertifyArgs {
    /// Folder of a finished run.
    folder: PathBuf,
    /// Also take the residual apart: which states, steps and actions it comes from. Needs the run's data.
    #[arg(long)]
    anatomy: bool,
    /// The run's data for --anatomy: D4RL HDF5 files; repeat to concatenate.
    #[arg(long, requires = "anatomy")]
    data: Vec<PathBuf>,
    /// Folder of the run's data files, in place of --data.
    #[arg(long, requires = "anatomy", conflicts_with = "data")]
    data_dir: Option<PathBuf>,
    /// Also write the numbers as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What `--json` gets.
#[derive(Serialize)]
struct Certified {
    seeds: Vec<u64>,
    verdict: Verdict,
    quantiles: std::collections::BTreeMap<String, [f64; 3]>,
    /// Of each seed, with `--anatomy`.
    anatomies: Vec<Anatomy>,
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
/// As for [`joined`], or when a file cannot be read or written, or `--anatomy` lacks the data.
pub fn certify(args: &CertifyArgs) -> Result<(), Error> {
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    let folder = &args.folder;
    let (seeds, certificate) = joined(folder)?;
    print(&certificate_table(&certificate));
    let preset = summary(folder)?.preset;
    let stem = folder.join("certificate");
    let files = pictures::certificate(&preset, &certificate, &stem)?;
    print(&format!(
        "picture      {} (.png, .csv beside it)",
        files[0].display()
    ));
    let anatomies = if args.anatomy {
        take_apart(args, &seeds)?
    } else {
        Vec::new()
    };
    let certified = Certified {
        seeds,
        verdict: certificate.verdict,
        quantiles: quantiles(&certificate),
        anatomies,
    };
    write_json(args.json.as_deref(), &certified)
}

/// Prints where the residual of each seed's posterior comes from.
fn take_apart(args: &CertifyArgs, seeds: &[u64]) -> Result<Vec<Anatomy>, Error> {
    let folder = &args.folder;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    let data = (args.data.as_slice(), args.data_dir.as_deref());
    let material = material_of(folder, &config, data)?.ok_or_else(|| {
        Error::Usage("--anatomy: name the run's data with --data FILE or --data-dir DIR".into())
    })?;
    let one = |&seed: &u64| {
        let dir = RunDir::of_seed(folder, seed);
        let agent = Agent::load(&dir, &config, seed, &Device::flex())?;
        let (Some(tilt), Some((posterior, _))) = (&agent.tilt, &agent.posterior) else {
            return Err(Error::Run(format!(
                "{}: holds no posterior\n  hint: finish the run first",
                dir.path.display()
            )));
        };
        let found = anatomy(tilt, posterior, &material, seed, [64, 128]);
        print(&format!("\nseed {seed}\n{}", text(&found)));
        Ok(found)
    };
    seeds.iter().map(one).collect()
}

fn text(a: &Anatomy) -> String {
    let percent = |values: &[f64]| -> String {
        let parts = values.iter().map(|v| format!("{:5.0}", 100.0 * v));
        parts.collect::<Vec<_>>().join(" ")
    };
    let ess: Vec<String> = a.ess_of_fifths.iter().map(|v| format!("{v:5.2}")).collect();
    let (all, each) = a.dimensions.split_last().expect("a model has dimensions");
    format!(
        "variance of the residual            {:.2} nats² ({} states, {} paths each)\n\
         share fixed by x_0, then by step, % {}\n\
         last step at fixed x_(T-1)          {:.3} nats², with the best Gaussian {:.3}\n\
         quadratic in each action, %         {}, in all of them {:.0}\n\
         paths of the lowest tenth of Q, %   {:5.0}\n\
         states by the prior's ESS/N, fifths from the lowest: share of the variance, % {}\n\
         \x20                                                    median ESS/N          {}",
        a.variance,
        a.shape[0],
        a.shape[1],
        percent(&a.steps),
        a.last_step[0],
        a.last_step[1],
        percent(each),
        100.0 * all,
        100.0 * a.lowest_rewards,
        percent(&a.fifths),
        ess.join(" ")
    )
}
