//! Arguments of every command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use tiltrl_policies::agent::{AlgorithmKind, CriticKind};
use tiltrl_policies::fast::build_pool;
use tiltrl_policies::nets::NetworkKind;

use super::environments::{self, EnvArgs};
use super::pipeline::run;
use super::reading::ReadingArgs;
use super::request::{RunRequest, Stage};
use super::{
    benchmark, certify, collect, compare, convert, data, dial, evaluate_args, evaluation, export,
    output, plot, report, sweep, tilt, verify,
};
use crate::config::{Source, preset_names};
use crate::console::{Console, note};
use crate::device::{Compute, NETWORKS_ON_CARDS, devices};
use crate::error::Error;

#[derive(Parser)]
#[command(
    name = "tiltrl",
    version,
    about = "Diffusion policies tilted by a critic into their exact posterior"
)]
struct Cli {
    /// Threads; 0 = all cores. Results do not depend on it.
    #[arg(long, global = true, default_value_t = 0)]
    threads: usize,
    /// Where networks are computed: cpu, wgpu, tch or tch:N; cuda:N, which plays episodes too. See `tiltrl devices`.
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Show no progress and no notes on the data; warnings and errors stay.
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make data on Pendulum, train prior and critic, fine-tune, evaluate, plot. Example: tiltrl quickstart
    Quickstart(QuickstartArgs),
    /// All stages for a preset. Example: tiltrl run --preset hopper-medium --data hopper-medium.hdf5 --seeds 1,2,3
    Run(RunArgs),
    /// The first stage of `run` only.
    TrainPrior(RunArgs),
    /// The stages of `run` up to the critic.
    TrainCritic(RunArgs),
    /// The stages of `run` up to the posterior, without the final evaluation.
    Finetune(RunArgs),
    /// Print a finished run, or play any policy. Example: tiltrl evaluate runs/hopper-medium --policy posterior,best-of-4 --video hopper.gif
    Evaluate(evaluate_args::EvaluateArgs),
    /// Write a policy as ONNX or safetensors, with a model card. Example: tiltrl export runs/hopper-medium --format onnx --policy posterior
    Export(export::ExportArgs),
    /// Several presets and seeds in one table. Example: tiltrl benchmark --presets hopper-medium,halfcheetah-medium --data-dir data --jobs 2
    Benchmark(benchmark::BenchmarkArgs),
    /// A grid or a random search over keys, in one table, with the curve over pulls. Example: tiltrl sweep sweep.toml --jobs 2
    Sweep(sweep::SweepArgs),
    /// Print and draw the posterior certificate of a finished run. Example: tiltrl certify runs/hopper-medium
    Certify(certify::CertifyArgs),
    /// Return, KL and certificate of a posterior over the temperatures that it was trained for. Example: tiltrl dial runs/quickstart
    Dial(dial::DialArgs),
    /// Draw the pictures of a finished run again, or the curves of several. Example: tiltrl plot runs/a runs/b --out a-and-b
    Plot(plot::PlotArgs),
    /// Write one self-contained HTML page of a run, or of several side by side. Example: tiltrl report runs/a runs/b --out a-and-b.html
    Report(report::ReportArgs),
    /// Say in which keys two runs differ, and which numbers moved. Example: tiltrl compare runs/a runs/b
    Compare(compare::CompareArgs),
    /// Train RTB on closed-form worlds and compare with the exact posterior. Example: tiltrl verify --out runs/verify
    Verify(VerifyArgs),
    /// Tilt a prior on real data and compare with its exact posterior. Example: tiltrl tilt words --seeds 1,2,3
    Tilt(tilt::TiltArgs),
    /// Record episodes in D4RL's layout. Example: tiltrl collect --env hopper-v4 --policy uniform --episodes 10 --out random.hdf5
    Collect(collect::CollectArgs),
    /// Show what is in a data set. Example: tiltrl data hopper-medium.hdf5
    Data(data::DataArgs),
    /// Write a data set in another layout. Example: tiltrl convert hopper-medium.hdf5 minari:mine/hopper-medium-v0
    Convert(convert::ConvertArgs),
    /// List environments with dimensions, engines and reference scores; show or check one.
    Envs(environments::EnvsArgs),
    /// List the devices that networks can be computed on, and what brings those that this build lacks.
    Devices,
    /// List the presets that `--preset` names.
    Presets,
    /// List the kinds of critic that `critic.kind` names.
    Critics,
    /// List the algorithms that `algorithm` and `--algorithm` name.
    Algorithms,
    /// List the networks that `prior.network` names.
    Networks,
    /// Print a preset or a config file, resolved, with meaning and range of every key. Example: tiltrl config hopper-medium > my.toml
    Config(ConfigArgs),
}

#[derive(Args)]
struct QuickstartArgs {
    /// A config file in place of the preset quickstart, see `tiltrl config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seeds of the run, comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Folder of the run.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Overrides, as finetune.alpha_in_std=0.5; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
    /// Limit in MiB of the activations that an update of fine-tuning keeps, whatever the number of denoising steps. It sets
    /// finetune.options.chunk; a chunked gradient differs from the whole one by rounding.
    #[arg(long, value_name = "MIB")]
    memory: Option<usize>,
    /// Also write the numbers of every stage as TensorBoard's event file, seed-N/events.out.tfevents.tiltrl.
    #[arg(long)]
    tensorboard: bool,
}

#[derive(Args)]
struct RunArgs {
    /// Preset, see `tiltrl presets`.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    preset: Option<String>,
    /// A config file of your own; `tiltrl config PRESET` prints one to start from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is trained: rtb (default), or a baseline, see `tiltrl algorithms`.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Updates of every stage where nothing else is said: quick, default or full.
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,
    /// Data file, or minari:NAME, of any format that docs/formats.md lists; repeat to concatenate. Without it the preset's names are looked up in --data-dir.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Folder of the preset's data files.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Seeds of the run, comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Overrides, as finetune.alpha_in_std=0.5; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
    /// Limit in MiB of the activations that an update of fine-tuning keeps, whatever the number of denoising steps. It sets
    /// finetune.options.chunk; a chunked gradient differs from the whole one by rounding.
    #[arg(long, value_name = "MIB")]
    memory: Option<usize>,
    #[command(flatten)]
    env: EnvArgs,
    /// Also write the numbers of every stage as TensorBoard's event file, seed-N/events.out.tfevents.tiltrl.
    #[arg(long)]
    tensorboard: bool,
    /// Folder of the run; default runs/PRESET, for a baseline runs/PRESET-NAME.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Other processes train other seeds of this folder: those finished with another config are left out of the table, not refused.
    #[arg(long)]
    shared: bool,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct VerifyArgs {
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for pictures of the planar posteriors beside the truth.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only worlds whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Compare with other methods on a few worlds instead.
    #[arg(long)]
    compare: bool,
}

#[derive(Args)]
struct ConfigArgs {
    /// A preset, or a file of the same format.
    experiment: String,
    /// Overrides, as finetune.alpha_in_std=0.5; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
}

/// Runs the command line and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let own = Own {
        threads: cli.threads,
        console: Console::of_process(cli.quiet),
        device: cli.device,
    };
    let result = Compute::named(&own.device)
        .map(|compute| note_card(&compute, &cli.command))
        .and_then(|()| build_pool(own.threads).map_err(|e| Error::Usage(format!("--threads: {e}"))))
        .and_then(|()| dispatch(cli.command, &own));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says so where a card was named to a command that plays no episodes.
fn note_card(compute: &Compute, command: &Command) {
    use Command::{Certify, Dial, Export, Tilt, Verify};
    let plays_none = matches!(
        command,
        Certify(_) | Dial(_) | Export(_) | Tilt(_) | Verify(_)
    );
    let elsewhere = !NETWORKS_ON_CARDS || matches!(command, Verify(_));
    if compute.card.is_some() && plays_none && elsewhere {
        let brings = match NETWORKS_ON_CARDS {
            true => "",
            false => "; a build with `--features cuda-networks` computes networks on cards",
        };
        note(&format!(
            "note: {} plays episodes only; this command computes on the processor{brings}",
            compute.name
        ));
    }
}

/// What is asked of every command.
struct Own {
    threads: usize,
    console: Console,
    device: String,
}

fn dispatch(command: Command, own: &Own) -> Result<(), Error> {
    let (device, console) = (own.device.as_str(), own.console);
    match command {
        Command::Quickstart(args) => run(&RunRequest {
            source: args.config.map_or_else(Source::default, Source::File),
            out: args.out,
            set: args.set,
            seeds: args.seeds,
            json: args.json,
            memory: args.memory,
            device: Some(own.device.clone()),
            console,
            tensorboard: args.tensorboard,
            ..RunRequest::default()
        }),
        Command::Run(args) => run(&request(args, Stage::All, own)),
        Command::TrainPrior(args) => run(&request(args, Stage::Prior, own)),
        Command::TrainCritic(args) => run(&request(args, Stage::Critic, own)),
        Command::Finetune(args) => run(&request(args, Stage::Finetune, own)),
        Command::Evaluate(args) => evaluation::evaluate(&args, device, console),
        Command::Export(args) => export::export(&args, device),
        Command::Benchmark(args) => benchmark::benchmark(&args, own.threads, console, device),
        Command::Sweep(args) => sweep::sweep(&args, own.threads, console, device),
        Command::Certify(args) => certify::certify(&args, device),
        Command::Dial(args) => dial::dial(&args, device),
        Command::Plot(args) => plot::plot(&args),
        Command::Report(args) => report::report(&args),
        Command::Compare(args) => compare::compare_runs(&args),
        Command::Verify(args) if args.compare => verify::compare(args.json.as_deref()),
        Command::Verify(args) => verify::verify(&verify::Request {
            json: args.json.as_deref(),
            out: args.out,
            only: args.only,
        }),
        Command::Tilt(args) => tilt::tilt(&args, device, console),
        Command::Collect(args) => collect::collect(&args, device, console),
        Command::Data(args) => data::data(&args),
        Command::Convert(args) => convert::convert(&args, console),
        Command::Envs(args) => environments::envs(&args, device),
        Command::Devices => print_lines(&devices()),
        Command::Presets => print_lines(&preset_names()),
        Command::Critics => list(CriticKind::all().iter().map(|k| (k.name, k.summary))),
        Command::Networks => list(NetworkKind::all().iter().map(|k| (k.name, k.summary))),
        Command::Algorithms => list(AlgorithmKind::all().iter().map(|k| (k.name, k.summary))),
        Command::Config(args) => {
            let text = Source::of(&args.experiment).commented(&args.set)?;
            output::print(text.trim_end());
            Ok(())
        }
    }
}

/// Prints names with what they stand for.
fn list<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Error> {
    let line = |(name, summary)| format!("{name:<12} {summary}");
    print_lines(&entries.map(line).collect::<Vec<_>>())
}

fn print_lines(lines: &[String]) -> Result<(), Error> {
    output::print(&lines.join("\n"));
    Ok(())
}

fn request(args: RunArgs, stage: Stage, own: &Own) -> RunRequest {
    let source = match (args.preset, args.config) {
        (Some(name), _) => Source::Preset(name),
        (None, Some(file)) => Source::File(file),
        (None, None) => Source::default(),
    };
    let name = match args.algorithm.as_deref() {
        None | Some("rtb") => source.name(),
        Some(algorithm) => format!("{}-{algorithm}", source.name()),
    };
    let keys = [("algorithm", args.algorithm), ("budget", args.budget)];
    let keys = keys.into_iter();
    let named: Vec<String> = keys
        .filter_map(|(key, value)| Some(format!("{key}={}", value?)))
        .collect();
    RunRequest {
        out: args.out.unwrap_or_else(|| PathBuf::from("runs").join(name)),
        source,
        data: args.data,
        data_dir: args.data_dir,
        seeds: args.seeds,
        set: [
            named,
            args.set,
            args.reading.overrides(),
            args.env.overrides(),
        ]
        .concat(),
        json: args.json,
        shared: args.shared,
        stage,
        memory: args.memory,
        device: Some(own.device.clone()),
        console: own.console,
        tensorboard: args.tensorboard,
    }
}
