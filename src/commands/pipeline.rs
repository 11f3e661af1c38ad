//! `tiltrl run` and `tiltrl quickstart`: data → prior → critic → posterior → evaluation → pictures.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tiltrl_envs::{EnvSpec, spec_with};
use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::agent::{Critic, Policy, SteeredPolicy, Steering};

use super::output::{print, print_notes, refuse_existing, write_json};
use super::reading::ReadingArgs;
use super::request::{RunRequest, Stage};
use crate::config::Config;
use crate::console::note;
use crate::data::{self, Dataset, Environment};
use crate::device::{Compute, NETWORKS_ON_CARDS};
use crate::error::Error;
use crate::pictures;
use crate::quickstart::mixed_pendulum;
use crate::report::{self, Summary};
use crate::run::{
    Lock, Provenance, RunDir, allowed_changes, is_finished, keep_notes, record_command, seeds_in,
    write_state,
};
use crate::tensorboard;
use crate::train::certificate::{Certificate, SIZE, certificate};
use crate::train::finetune::Posterior;
use crate::train::prior::Prior;
use crate::train::tail_certificate::{tail_certificate, tail_of};
use crate::train::training_data::TrainingData;
use crate::train::work::Work;
use crate::train::{critic, final_evaluation, finetune, likelihood, memory, policy, prior, reward};

/// Does, or goes on with, a run for all its seeds, and prints its table.
///
/// # Errors
/// Anything that goes wrong; what was done is kept and the same call goes on from there.
pub fn run(request: &RunRequest) -> Result<(), Error> {
    if let Some(path) = &request.json {
        refuse_existing(path, "--json")?;
    }
    let mut config = request.source.config(&request.set)?;
    let options = config.evaluation.options()?;
    let compute = Compute::named(request.device.as_deref().unwrap_or("cpu"))?;
    let compute = noted(compute.for_env(&config.env, &options));
    let spec = spec_with(&config.env, &options)?;
    if let Some(limit) = request.memory {
        let widths = [spec.observation_dim, spec.action_dim];
        config.finetune.options.chunk = memory::chunk(&config, widths, limit)?;
    }
    if request.seeds.is_empty() {
        return Err(Error::Usage("--seeds: expected at least one".into()));
    }
    stage_exists(request.stage, &config)?;
    if !request.shared {
        others_agree(request, &config)?;
    }
    let dataset = dataset(request, &config)?;
    print_notes(&dataset, request.console);
    check_widths(&dataset, &spec, &config)?;
    let returns = dataset.episode_returns();
    check_returns(&dataset, &returns)?;
    let data = TrainingData::of_config(&dataset, &config)?;
    for &seed in &request.seeds {
        let path = RunDir::of_seed(&request.out, seed).path;
        let _lock = Lock::take(&path)?;
        let origin = provenance(&dataset, &spec, &compute, seed);
        let dir = RunDir::open(&path, &config, &origin)?;
        keep_notes(&dataset, &request.out)?;
        record_command(&request.out, &request.words())?;
        // An event file that was begun is kept true: a stale one would show what the run no longer is.
        let tensorboard = request.tensorboard || tensorboard::path(&dir).exists();
        let work = Work {
            config: &config,
            data: &data,
            seed,
            dir: &dir,
            compute: &compute.handle,
            card: compute.card,
            console: request.console,
            tensorboard,
        };
        run_seed(work, request.stage)?;
        if tensorboard {
            tensorboard::sync(&dir)?;
        }
    }
    if request.stage != Stage::All {
        return Ok(());
    }
    // Another process may finish another seed of the same run at this moment: whoever is last writes the table of all.
    let _lock = Lock::wait(&request.out)?;
    let seeds = finished_seeds(&request.out, &config)?;
    let origin = provenance(&dataset, &spec, &compute, 0);
    let summary = report::summarize(&config, &request.out, &seeds, origin, &returns)?;
    report::save(&summary, &request.out)?;
    write_json(request.json.as_deref(), &summary)?;
    show(&summary, &config, request)
}

/// Says what of a run a card computes.
fn noted(compute: Compute) -> Compute {
    if let Some(card) = compute.card {
        let networks = match NETWORKS_ON_CARDS {
            true => ", and its networks",
            false => "; networks are trained, and act, on the processor",
        };
        note(&format!(
            "note: cuda:{} computes the environments of the run's episodes{networks}",
            card.ordinal
        ));
    }
    compute
}

fn provenance(dataset: &Dataset, spec: &EnvSpec, compute: &Compute, seed: u64) -> Provenance {
    Provenance {
        tiltrl: env!("CARGO_PKG_VERSION").into(),
        data_sha256: dataset.sha256(),
        engine: spec.engine.clone(),
        engine_version: spec.engine_version.clone(),
        margin_rule: spec
            .margin
            .as_ref()
            .map_or("none".into(), |m| format!("{m:?}").to_lowercase()),
        arithmetic: compute.arithmetic(),
        device: compute.recorded(),
        seed,
    }
}

/// Refuses a command that stops after a stage which the algorithm does not have.
fn stage_exists(stage: Stage, config: &Config) -> Result<(), Error> {
    let missing = match stage {
        Stage::All => return Ok(()),
        Stage::Prior if config.is_one_policy() => "prior",
        Stage::Critic if config.is_one_policy() => "critic of that kind",
        Stage::Finetune if !config.has_posterior() => "fine-tuning",
        _ => return Ok(()),
    };
    Err(Error::Usage(format!(
        "the algorithm `{}` has no {missing}\n  hint: `tiltrl run` does all that it has",
        config.algorithm
    )))
}

/// Refuses, before anything is trained, a config that finished seeds beside the requested ones do not share.
fn others_agree(request: &RunRequest, config: &Config) -> Result<(), Error> {
    for seed in seeds_in(&request.out).unwrap_or_default() {
        let dir = RunDir::of_seed(&request.out, seed);
        if request.seeds.contains(&seed) || !is_finished(&dir) {
            continue;
        }
        let found = dir.config()?;
        let grown = allowed_changes(&dir.path, &found, config)?;
        if !grown.is_empty() {
            let keys: Vec<&str> = grown.iter().map(|change| change.key.as_str()).collect();
            return Err(Error::Run(format!(
                "{}: its {} stand where they were, so one table cannot hold it and the seeds asked for\n  hint: name every seed of the run with --seeds, or use another --out",
                dir.path.display(),
                keys.join(", ")
            )));
        }
    }
    Ok(())
}

fn check_widths(dataset: &Dataset, spec: &EnvSpec, config: &Config) -> Result<(), Error> {
    let widths = [dataset.observations.ncols(), dataset.actions.ncols()];
    if widths == [spec.observation_dim, spec.action_dim] {
        return Ok(());
    }
    Err(Error::Run(format!(
        "{}: expected observations and actions of widths {} and {}, found {} and {}\n  hint: the preset `{}` is for {}",
        first_file(dataset),
        spec.observation_dim,
        spec.action_dim,
        widths[0],
        widths[1],
        config.preset,
        config.env
    )))
}

fn first_file(dataset: &Dataset) -> String {
    let source = dataset.sources.first();
    source.map_or("data".into(), |s| s.path.display().to_string())
}

/// A table whose line of the data is no number would be of no use: said before anything is trained.
fn check_returns(dataset: &Dataset, returns: &[f64]) -> Result<(), Error> {
    let reason = match returns.iter().position(|r| !r.is_finite()) {
        None if !returns.is_empty() => return Ok(()),
        None => "no episode of it ends, so it has no returns".to_string(),
        Some(at) => format!("the return of episode {at} is {}", returns[at]),
    };
    Err(Error::Run(format!(
        "{}: {reason}\n  hint: see `tiltrl data FILE`",
        first_file(dataset)
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
    let next = if config.has_posterior() {
        "certify"
    } else {
        "report"
    };
    print(&format!(
        "next         tiltrl {next} {}",
        request.out.display()
    ));
    if !config.recipe.is_empty() {
        print("             tiltrl run --preset hopper-medium --data YOUR.hdf5 --seeds 1,2,3");
    }
    Ok(())
}

/// The seeds of a folder that are finished with this config: earlier calls' seeds count too.
fn finished_seeds(out: &Path, config: &Config) -> Result<Vec<u64>, Error> {
    let mut seeds = Vec::new();
    for seed in seeds_in(out)? {
        let dir = RunDir::of_seed(out, seed);
        if !is_finished(&dir) {
            continue;
        }
        if dir.config()? == *config {
            seeds.push(seed);
        } else {
            note(&format!(
                "note: {}: left out of the table, its config is another one",
                dir.path.display()
            ));
        }
    }
    Ok(seeds)
}

/// Reads the data that a request names, by file, by the config's names or by its recipe.
///
/// # Errors
/// When a file cannot be read.
pub fn dataset(request: &RunRequest, config: &Config) -> Result<Dataset, Error> {
    let spec = spec_with(&config.env, &config.evaluation.options()?)?;
    let options = config.data.read_options(Environment::of(&spec));
    let own = request.out.join("data.hdf5");
    if request.data.is_empty() && !config.recipe.is_empty() && !own.exists() {
        make_data(&request.out, &own)?;
    }
    let paths = if !request.data.is_empty() {
        request.data.clone()
    } else if own.exists() {
        vec![own]
    } else {
        let names = config.data_files.iter();
        names.map(|f| request.data_dir.join(f)).collect()
    };
    if paths.is_empty() {
        return Err(Error::Usage(
            "the config names no data_files\n  hint: name the data with --data FILE".into(),
        ));
    }
    Ok(Dataset::read_with(&paths, &options)?)
}

/// Makes the data of the recipe "swing-up", unless another process just did.
fn make_data(out: &Path, path: &Path) -> Result<(), Error> {
    let _lock = Lock::wait(out)?;
    if path.exists() {
        return Ok(());
    }
    let attributes = [(
        "recipe".to_string(),
        "swing-up controllers of four qualities, 60 episodes each".to_string(),
    )];
    Ok(data::write(
        path,
        &mixed_pendulum(20_240_531)?,
        &attributes,
    )?)
}

fn run_seed(work: Work<'_>, stage: Stage) -> Result<(), Error> {
    if work.config.is_one_policy() {
        let trained = policy::train(work)?;
        let name = work.config.algorithm.clone();
        return final_evaluation::play(work, vec![(name, Box::new(trained))]);
    }
    let prior = likelihood::train(work, prior::train(work)?)?;
    if stage == Stage::Prior {
        return Ok(());
    }
    let critic = critic::train(work, &prior)?;
    if stage == Stage::Critic {
        return Ok(());
    }
    if !work.config.has_posterior() {
        return final_evaluation::evaluate_best_of(work, &prior, &*critic);
    }
    let posterior = finetune::train(work, &prior, &critic)?;
    if stage == Stage::Finetune {
        return Ok(());
    }
    let tail = work.config.evaluation.tail;
    let tilt = reward::tilt(&prior.model, &prior.coordinates, &critic, posterior.alpha);
    certify(work, (&prior, &*critic), &posterior, &tilt)?;
    let tail = (tail > 0).then(|| {
        let policy: Box<dyn Policy> = Box::new(SteeredPolicy {
            tilt: &tilt,
            coordinates: &prior.coordinates,
            steering: Steering::Tail(&posterior.model, tail_of(tail)),
        });
        (format!("tail-{tail}"), policy)
    });
    final_evaluation::evaluate(work, &prior, &*critic, &posterior, tail)
}

/// Writes the certificate of the posterior, and of its tails where the config asks for them, unless they are there.
fn certify(
    work: Work<'_>,
    (prior, critic): (&Prior, &dyn Critic),
    posterior: &Posterior,
    tilt: &Tilt,
) -> Result<(), Error> {
    let (data, seed, ends) = (work.data, work.seed, work.config.evaluation.tail);
    let path = work.dir.path.join("certificate.json");
    let stored = path
        .exists()
        .then(|| Certificate::read(&path))
        .transpose()?;
    let has_tail = |c: &Certificate| ends == 0 || c.tail.as_ref().is_some_and(|t| t.ends == ends);
    if stored.as_ref().is_some_and(has_tail) {
        return Ok(());
    }
    let clock = Instant::now();
    let mut found =
        stored.unwrap_or_else(|| certificate(data, prior, critic, posterior, seed, SIZE));
    found.tail = (ends > 0)
        .then(|| tail_certificate(tilt, &posterior.model, data, seed, tail_of(ends), SIZE));
    write_state(&path, &found)?;
    let seconds = clock.elapsed().as_secs_f64();
    work.dir.add_seconds("certificate", seconds)?;
    Ok(())
}

/// Where the data of a finished run may be found again.
#[derive(Clone, Copy, Debug)]
pub struct DataOf<'a> {
    /// How they are to be read; must be as the run did.
    pub reading: ReadingArgs,
    /// Files that were named.
    pub files: &'a [PathBuf],
    /// A folder that holds the files of the config.
    pub folder: Option<&'a Path>,
}

/// Reads the data of a finished run again, if files or a folder are named or the run made its own.
///
/// # Errors
/// When a file cannot be read, or it is not the data that the run was made from, or is to be read in another way.
pub fn data_of_run(
    folder: &Path,
    config: &Config,
    named: DataOf<'_>,
) -> Result<Option<TrainingData>, Error> {
    named.reading.check(&config.data)?;
    let own = folder.join("data.hdf5").exists();
    if named.files.is_empty() && named.folder.is_none() && !own {
        return Ok(None);
    }
    let request = RunRequest {
        out: folder.to_path_buf(),
        data: named.files.to_vec(),
        data_dir: named.folder.map(Path::to_path_buf).unwrap_or_default(),
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
    TrainingData::of_config(&found, config).map(Some)
}
