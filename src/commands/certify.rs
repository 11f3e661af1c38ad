//! `tiltrl certify RUN`: the stored certificate of a run, as a table and as a picture.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tiltrl_tilt::certificate::Verdict;

use super::output::{print, refuse_existing, write_json};
use super::pipeline::{DataOf, data_of_run};
use super::reading::ReadingArgs;
use crate::agent::Agent;
use crate::config::Config;
use crate::console::note;
use crate::device::Compute;
use crate::dial_curve::certificate_of;
use crate::error::Error;
use crate::pictures;
use crate::report::{certificate_table, quantiles};
use crate::run::{Lock, RunDir, Seeds, seeds_in};
use crate::train::certificate::{Certificate, SIZE};
use crate::train::residual_report::{ResidualReport, residual_report};
use crate::train::tail_certificate::{tail_certificate, tail_of};
use crate::train::training_data::TrainingData;

/// Arguments of `tiltrl certify`.
#[derive(Args)]
pub struct CertifyArgs {
    /// Folder of a finished run.
    folder: PathBuf,
    /// Also take the residual apart: which states, steps and actions it comes from. Needs the run's data.
    #[arg(long, alias = "anatomy")]
    residuals: bool,
    /// Also certify the policy tail-N, whose last three steps are drawn N times. Needs the run's data.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    tail: Option<u16>,
    /// Certify at this temperature α, a price in reward per nat, of a run whose `finetune.dial` names a range. Needs the run's data.
    #[arg(long, value_name = "PRICE")]
    alpha: Option<f64>,
    /// The run's data for --residuals, --tail and --alpha, as the run named them; repeat to concatenate.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Folder of the run's data files, in place of --data.
    #[arg(long, conflicts_with = "data")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Draw to STEM.svg, .png and .csv in place of the run's folder.
    #[arg(long, value_name = "STEM")]
    out: Option<PathBuf>,
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
    /// Of each seed, with `--residuals`.
    residual_reports: Vec<ResidualReport>,
    /// Of each seed, with `--tail`.
    tail_verdicts: Vec<Verdict>,
}

/// The certificates of a run's seeds put together.
pub struct Joined {
    /// The seeds that have one.
    pub seeds: Vec<u64>,
    /// Over all of them.
    pub certificate: Certificate,
}

/// Returns the certificates of a run's seeds put together; those that have none yet are named.
///
/// # Errors
/// When the folder holds no run, or no seed of it has a certificate.
pub fn joined(folder: &Path) -> Result<Joined, Error> {
    let config = RunDir::of_seed(folder, seeds_in(folder)?[0]).config()?;
    if !config.has_posterior() {
        return Err(Error::Usage(format!(
            "{}: `{}` makes no posterior, so there is nothing to certify\n  hint: a certificate says how near a posterior is to prior · exp(Q/α)",
            folder.display(),
            config.algorithm
        )));
    }
    let certified = |dir: &RunDir| dir.path.join("certificate.json").exists();
    let Seeds { ready: seeds, rest } = Seeds::with(folder, "has a certificate", certified)?;
    if !rest.is_empty() {
        note(&format!(
            "note: {}: seeds {rest:?} have no certificate yet and are left out",
            folder.display()
        ));
    }
    let read = |seed: &u64| {
        let path = RunDir::of_seed(folder, *seed).path;
        Certificate::read(&path.join("certificate.json"))
    };
    let all = seeds.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let certificate = Certificate::joined(&all);
    Ok(Joined { seeds, certificate })
}

/// `tiltrl certify`.
///
/// # Errors
/// As for [`joined`], or when a file cannot be read or written, or `--residuals` lacks the data.
pub fn certify(args: &CertifyArgs, device: &str) -> Result<(), Error> {
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    let compute = Compute::named(device)?;
    let folder = &args.folder;
    let Joined {
        seeds,
        mut certificate,
    } = joined(folder)?;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    args.reading.check(&config.data)?;
    if let Some(price) = args.alpha {
        certificate = at_alpha(args, &seeds, price, &compute.handle)?;
    }
    print(&certificate_table(&certificate));
    draw(args, &seeds, &certificate)?;
    let (residual_reports, tail_verdicts) = if args.residuals || args.tail.is_some() {
        take_apart(args, &seeds, &compute.handle)?
    } else {
        Default::default()
    };
    let certified = Certified {
        seeds,
        verdict: certificate.verdict,
        quantiles: quantiles(&certificate),
        residual_reports,
        tail_verdicts,
    };
    write_json(args.json.as_deref(), &certified)
}

/// Draws the certificate into the run's folder, or where `--out` says.
fn draw(args: &CertifyArgs, seeds: &[u64], certificate: &Certificate) -> Result<(), Error> {
    let folder = &args.folder;
    let preset = RunDir::of_seed(folder, seeds[0]).config()?.preset;
    let own = folder.join(match args.alpha {
        None => "certificate".into(),
        Some(price) => format!("certificate-alpha-{price}"),
    });
    let stem = args.out.as_ref().unwrap_or(&own);
    let files = if args.out.is_some() {
        refuse_existing(&stem.with_added_extension("svg"), "--out")?;
        pictures::certificate(&preset, certificate, stem)?
    } else {
        let drawn =
            Lock::wait(folder).and_then(|_lock| pictures::certificate(&preset, certificate, stem));
        drawn.map_err(|e| {
            Error::Run(format!(
                "the table above is complete, but its picture could not be written: {e}\n  hint: `--out STEM` writes it elsewhere"
            ))
        })?
    };
    print(&format!(
        "picture      {} (.png, .csv beside it)",
        files[0].display()
    ));
    Ok(())
}

/// Reads the run's data, which these options need.
fn data_for(args: &CertifyArgs, config: &Config) -> Result<TrainingData, Error> {
    let named = DataOf {
        reading: args.reading,
        files: &args.data,
        folder: args.data_dir.as_deref(),
    };
    data_of_run(&args.folder, config, named)?.ok_or_else(|| {
        Error::Usage(
            "--residuals, --tail and --alpha: name the run's data with --data FILE or --data-dir DIR"
                .into(),
        )
    })
}

/// Certifies the seeds' posteriors at one temperature of their dial.
fn at_alpha(
    args: &CertifyArgs,
    seeds: &[u64],
    price: f64,
    compute: &tiltrl_policies::Compute,
) -> Result<Certificate, Error> {
    let config = RunDir::of_seed(&args.folder, seeds[0]).config()?;
    let mut agents = Vec::new();
    for &seed in seeds {
        let dir = RunDir::of_seed(&args.folder, seed);
        let mut agent = Agent::of_seed(&dir, &config, seed, compute)?;
        print(&format!("seed {seed}: {}", agent.set_alpha(price)?));
        agents.push((seed, agent));
    }
    let data = data_for(args, &config)?;
    let all = agents
        .iter()
        .map(|(seed, agent)| certificate_of(agent, &data, *seed));
    Ok(Certificate::joined(&all.collect::<Result<Vec<_>, _>>()?))
}

/// Prints what needs the run's data: where the residual of each seed's posterior comes from, and the certificate of its tails.
fn take_apart(
    args: &CertifyArgs,
    seeds: &[u64],
    compute: &tiltrl_policies::Compute,
) -> Result<(Vec<ResidualReport>, Vec<Verdict>), Error> {
    let folder = &args.folder;
    let config = RunDir::of_seed(folder, seeds[0]).config()?;
    let data = data_for(args, &config)?;
    let one = |&seed: &u64| {
        let dir = RunDir::of_seed(folder, seed);
        let mut agent = Agent::of_seed(&dir, &config, seed, compute)?;
        args.alpha.map(|price| agent.set_alpha(price)).transpose()?;
        let (Some(tilt), Some(posterior)) = (&agent.tilt, &agent.posterior) else {
            return Err(Error::Run(format!(
                "{}: holds no posterior\n  hint: finish the run first",
                dir.path.display()
            )));
        };
        let report = args.residuals.then(|| {
            let found = residual_report(tilt, &posterior.model, &data, seed, [64, 128]);
            print(&format!("\nseed {seed}\n{}", text(&found)));
            found
        });
        let verdict = args.tail.map(|ends| {
            let tail = tail_of(usize::from(ends));
            let found = tail_certificate(tilt, &posterior.model, &data, seed, tail, SIZE).verdict;
            print(&format!("\nseed {seed}, tail-{ends}\n{found}"));
            found
        });
        Ok((report, verdict))
    };
    let all = seeds.iter().map(one).collect::<Result<Vec<_>, Error>>()?;
    let (reports, verdicts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Ok((
        reports.into_iter().flatten().collect(),
        verdicts.into_iter().flatten().collect(),
    ))
}

fn text(a: &ResidualReport) -> String {
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
