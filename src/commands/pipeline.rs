//! `tiltrl run` and `tiltrl quickstart`: data → prior → critic → posterior → evaluation → pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use tiltrl_envs::{EnvBatch, EnvSpec, spec_with};
use tiltrl_policies::checkpoint::write_atomically;
use tiltrl_policies::iql::Iql;
use tiltrl_policies::kernels::arithmetic::arithmetic;
use tiltrl_policies::policy::{Choice, DiffusionPolicy};

use super::inspect::{print, print_notes, write_json};
use crate::config::{Config, preset};
use crate::data::{self, Dataset, Environment, ReadOptions};
use crate::error::Error;
use crate::evaluate::{EVAL_HEADER, push_episodes};
use crate::pictures;
use crate::quickstart::mixed_pendulum;
use crate::report::{self, Summary, line};
use crate::rollout::rollout_in;
use crate::run::{CsvLog, Provenance, RunDir, read_csv, seeds_in};
use crate::train::certificate::Certificate;
use crate::train::finetune::{self, Posterior};
use crate::train::material::Material;
use crate::train::prior::Prior;
use crate::train::{advantage, certificate, critic, memory, prior};

/// Where a run stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// After the prior.
    Prior,
    /// After the critic.
    Critic,
    /// After fine-tuning.
    Finetune,
    /// After the final evaluation and the pictures.
    #[default]
    All,
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// Preset name.
    pub preset: String,
    /// Data files; empty = the preset's names in `data_dir`.
    pub data: Vec<PathBuf>,
    /// Folder of the preset's files.
    pub data_dir: PathBuf,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Overrides.
    pub set: Vec<String>,
    /// Folder of the run.
    pub out: PathBuf,
    /// Where to write the table as JSON.
    pub json: Option<PathBuf>,
    /// Where to stop.
    pub stage: Stage,
    /// Limit of fine-tuning's activations in MiB.
    pub memory: Option<usize>,
}

/// Does, or goes on with, a run for all its seeds.
///
/// # Errors
/// Anything that goes wrong; what was done is kept and the same command goes on from there.
pub fn run(request: &RunRequest) -> Result<(), Error> {
    let mut config = preset(&request.preset)?.with_overrides(&request.set)?;
    let spec = spec_with(&config.env, &config.evaluation.options()?)?;
    if let Some(limit) = request.memory {
        let widths = [spec.observation_dim, spec.action_dim];
        config.finetune.options.chunk = memory::chunk(&config, widths, limit)?;
    }
    let dataset = dataset(request, &config)?;
    print_notes(&dataset);
    check_widths(&dataset, &spec, &config)?;
    let provenance = |seed: u64| Provenance {
        tiltrl: env!("CARGO_PKG_VERSION").into(),
        data_sha256: dataset.sha256(),
        engine: spec.engine.clone(),
        engine_version: spec.engine_version.clone(),
        margin_rule: spec
            .margin
            .as_ref()
            .map_or("none".into(), |m| format!("{m:?}").to_lowercase()),
        arithmetic: arithmetic().into(),
        seed,
    };
    let data_returns = dataset.episode_returns();
    let material = Material::new(&dataset, config.critic.discount)?;
    let device = Device::flex();
    for &seed in &request.seeds {
        let path = RunDir::of_seed(&request.out, seed).path;
        let dir = RunDir::open(&path, &config, &provenance(seed))?;
        run_seed(&config, &material, seed, &dir, request.stage, &device)?;
    }
    if request.stage != Stage::All {
        return Ok(());
    }
    let seeds = finished_seeds(&request.out, &config)?;
    let summary = summarize(&config, &request.out, &seeds, provenance(0), &data_returns)?;
    report::save(&summary, &request.out)?;
    write_json(request.json.as_deref(), &summary)?;
    show(&summary, &config, request)
}

fn check_widths(dataset: &Dataset, spec: &EnvSpec, config: &Config) -> Result<(), Error> {
    let widths = [dataset.observations.ncols(), dataset.actions.ncols()];
    if widths == [spec.observation_dim, spec.action_dim] {
        return Ok(());
    }
    let source = dataset.sources.first();
    Err(Error::Run(format!(
        "{}: expected observations and actions of widths {} and {}, found {} and {}\n  hint: the preset `{}` is for {}",
        source.map_or("data".into(), |s| s.path.display().to_string()),
        spec.observation_dim,
        spec.action_dim,
        widths[0],
        widths[1],
        config.preset,
        config.env
    )))
}

/// Prints the table of a finished run, draws its pictures and says what to type next.
fn show(summary: &Summary, config: &Config, request: &RunRequest) -> Result<(), Error> {
    let pictures = pictures::draw(summary, config, &request.out)?;
    print(&report::table(summary));
    print(&format!("run folder   {}", request.out.display()));
    for picture in pictures
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "svg"))
    {
        print(&format!(
            "picture      {} (.png, .csv beside it)",
            picture.display()
        ));
    }
    print(&format!(
        "next         tiltrl certify {}",
        request.out.display()
    ));
    if request.preset == "quickstart" {
        print("             tiltrl run --preset hopper-medium --data YOUR.hdf5 --seeds 1,2,3");
    }
    Ok(())
}

/// The seeds of a folder whose final evaluation is there: earlier calls' seeds count too.
fn finished_seeds(out: &Path, config: &Config) -> Result<Vec<u64>, Error> {
    let mut seeds = Vec::new();
    for seed in seeds_in(out)? {
        let dir = RunDir::of_seed(out, seed);
        if dir.path.join("final.csv").exists() && dir.path.join("certificate.json").exists() {
            if dir.config()? != *config {
                return Err(Error::Run(format!(
                    "{}: holds a run with another config than the seeds beside it\n  hint: use another --out",
                    dir.path.display()
                )));
            }
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

/// Reads the data that a request names, by file or by preset.
///
/// # Errors
/// When a file cannot be read.
pub fn dataset(request: &RunRequest, config: &Config) -> Result<Dataset, Error> {
    let spec = spec_with(&config.env, &config.evaluation.options()?)?;
    let options = ReadOptions {
        environment: Some(Environment::of(&spec)),
        ..ReadOptions::default()
    };
    if config.preset == "quickstart" && request.data.is_empty() {
        let path = request.out.join("data.hdf5");
        if !path.exists() {
            std::fs::create_dir_all(&request.out).map_err(Error::io(&request.out))?;
            let attributes = [(
                "recipe".to_string(),
                "swing-up controllers of four qualities, 60 episodes each".to_string(),
            )];
            data::write(&path, &mixed_pendulum(20_240_531)?, &attributes)?;
        }
        return Ok(Dataset::read_with(&[path], &options)?);
    }
    let paths = if request.data.is_empty() {
        config
            .data_files
            .iter()
            .map(|f| request.data_dir.join(f))
            .collect()
    } else {
        request.data.clone()
    };
    Ok(Dataset::read_with(&paths, &options)?)
}

fn run_seed(
    config: &Config,
    material: &Material,
    seed: u64,
    dir: &RunDir,
    stage: Stage,
    device: &Device,
) -> Result<(), Error> {
    let prior = prior::train(config, material, seed, dir, device)?;
    if stage == Stage::Prior {
        return Ok(());
    }
    let mut critic = critic::train(config, material, seed, dir, device)?;
    advantage::train(config, material, &prior, &mut critic, seed, dir)?;
    if stage == Stage::Critic {
        return Ok(());
    }
    let posterior = finetune::train(config, material, &prior, &critic, seed, dir)?;
    if stage == Stage::Finetune {
        return Ok(());
    }
    let path = dir.path.join("certificate.json");
    if !path.exists() {
        let clock = Instant::now();
        let found = certificate::certificate(material, &prior, &critic, &posterior, seed, [64, 64]);
        write_atomically(
            &path,
            serde_json::to_string_pretty(&found)
                .expect("plain data")
                .as_bytes(),
        )?;
        dir.add_seconds("certificate", clock.elapsed().as_secs_f64())?;
    }
    evaluate(config, &prior, &critic, &posterior, seed, dir)
}

/// Evaluates every policy at the end; a kill in here repeats this step alone.
fn evaluate(
    config: &Config,
    prior: &Prior,
    critic: &Iql,
    posterior: &Posterior,
    seed: u64,
    dir: &RunDir,
) -> Result<(), Error> {
    let done = dir.path.join("final.csv");
    if done.exists() {
        return Ok(());
    }
    let mut log = CsvLog::resume(
        dir.path.join("eval.csv"),
        EVAL_HEADER,
        config.finetune.updates,
    );
    let mut last = CsvLog::resume(done, EVAL_HEADER, 0);
    let update = config.finetune.updates;
    let mut policies = vec![("prior".to_string(), &prior.model, Choice::Sample)];
    policies.extend(
        config
            .evaluation
            .best_of
            .iter()
            .map(|&n| (format!("best-of-{n}"), &prior.model, Choice::BestOf(n))),
    );
    policies.push(("posterior".to_string(), &posterior.model, Choice::Sample));
    for (name, model, choice) in policies {
        let policy = DiffusionPolicy {
            model,
            coordinates: &prior.coordinates,
            critic: Some(critic),
            choice,
        };
        let clock = Instant::now();
        let options = config.evaluation.options()?;
        let mut batch = EnvBatch::new(&config.env, &options, config.evaluation.episodes)?;
        let episodes = rollout_in(&mut batch, &policy, seed, None);
        dir.add_seconds(&format!("evaluate {name}"), clock.elapsed().as_secs_f64())?;
        push_episodes(&mut last, update, "final", &name, batch.spec(), &episodes);
        push_episodes(
            &mut log,
            update + 1,
            "final",
            &name,
            batch.spec(),
            &episodes,
        );
    }
    log.save()?;
    last.save()
}

/// Reads the seeds' logs into a summary.
///
/// # Errors
/// When a seed is not finished.
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
    for (index, seed) in seeds.iter().enumerate() {
        let dir = RunDir::of_seed(out, *seed);
        for row in read_csv(&dir.path.join("final.csv"))?.1 {
            if !order.contains(&row[2]) {
                order.push(row[2].clone());
            }
            let slot = returns.entry(row[2].clone()).or_default();
            slot.resize(index + 1, Vec::new());
            slot[index].push(row[4].parse().unwrap_or(f64::NAN));
        }
        for (stage, value) in dir.seconds() {
            *seconds.entry(stage).or_default() += value / seeds.len() as f64;
        }
        certificates.push(Certificate::read(&dir.path.join("certificate.json"))?);
    }
    lines.extend(order.iter().map(|name| line(name, &returns[name], &spec)));
    let certificate = Certificate::joined(&certificates);
    Ok(Summary {
        preset: config.preset.clone(),
        env: config.env.clone(),
        seeds: seeds.to_vec(),
        provenance,
        lines,
        seconds,
        certificate: report::quantiles(&certificate),
        verdict: Some(certificate.verdict),
    })
}

/// Reads the data of a finished run again, if files or a folder are named or the run made its own.
///
/// # Errors
/// When a file cannot be read, or it is not the data that the run was made from.
pub fn material_of(
    folder: &Path,
    config: &Config,
    (data, data_dir): (&[PathBuf], Option<&Path>),
) -> Result<Option<Material>, Error> {
    let own = folder.join("data.hdf5").exists();
    if data.is_empty() && data_dir.is_none() && !own {
        return Ok(None);
    }
    let request = RunRequest {
        out: folder.to_path_buf(),
        data: data.to_vec(),
        data_dir: data_dir.map(Path::to_path_buf).unwrap_or_default(),
        ..RunRequest::default()
    };
    let found = dataset(&request, config)?;
    let wanted = RunDir::of_seed(folder, seeds_in(folder)?[0]).provenance()?;
    if found.sha256() != wanted.data_sha256 {
        return Err(Error::Run(format!(
            "--data: expected the data of the run, sha256 {}, found {}",
            wanted.data_sha256,
            found.sha256()
        )));
    }
    Material::new(&found, config.critic.discount).map(Some)
}
