//! `tiltrl export RUN`: a policy as one file that other programs run, with a model card beside it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::{print, refuse_existing};
use crate::agent::{Agent, PolicyName};
use crate::console::{Console, note};
use crate::device::Compute;
use crate::error::Error;
use crate::export::{Card, PolicyNumbers, TEMPERATURE, facts, onnx, safetensors};
use crate::files::write_atomically;
use crate::run::{RunDir, seeds_in};

/// A form of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A graph with the whole denoising loop.
    Onnx,
    /// The numbers, as docs/export.md lays them out.
    Safetensors,
}

/// Arguments of `tiltrl export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Folder of a run.
    folder: PathBuf,
    /// Form of the file.
    #[arg(long, value_enum)]
    format: Format,
    /// Which policy: prior, posterior, posterior-best, best-of-N, or a trained baseline.
    #[arg(long, default_value = "posterior")]
    policy: String,
    /// Temperature α of the policy that leaves, a price in reward per nat, of a run whose `finetune.dial` names a range.
    #[arg(long, value_name = "PRICE")]
    alpha: Option<f64>,
    /// Seed of the run; default: its first.
    #[arg(long)]
    seed: Option<u64>,
    /// File to write; default RUN/export/FORMAT-POLICY-seed-N/policy.FORMAT. `model-card.md` goes beside it; neither is overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `tiltrl export`.
///
/// # Errors
/// When the policy is not trained or none that leaves, or a file exists or cannot be written.
pub fn export(args: &ExportArgs, device: &str) -> Result<(), Error> {
    let compute = Compute::named(device)?;
    let name: PolicyName = args.policy.parse()?;
    let all = seeds_in(&args.folder)?;
    let seed = args.seed.unwrap_or(all[0]);
    if args.seed.is_none() && all.len() > 1 {
        note(&format!(
            "note: seed {seed} of {all:?}; --seed names another"
        ));
    }
    let dir = RunDir::of_seed(&args.folder, seed);
    let config = dir.config()?;
    let extension = match args.format {
        Format::Onnx => "onnx",
        Format::Safetensors => "safetensors",
    };
    let at = args.alpha.map_or(String::new(), |a| format!("-alpha-{a}"));
    let own = format!("export/{extension}-{name}{at}-seed-{seed}/policy.{extension}");
    let path = args.out.clone().unwrap_or_else(|| args.folder.join(own));
    let card = path.with_file_name("model-card.md");
    refuse_existing(&path, "--out")?;
    refuse_existing(&card, "--out, in another folder: the card goes beside it")?;
    let mut agent = Agent::of_seed(&dir, &config, seed, &compute.handle)?;
    agent.bring_baselines(&config, seed, &[name], None, Console::Quiet)?;
    let words = set_alpha(&mut agent, name, args.alpha)?;
    let (numbers, mut facts) = (PolicyNumbers::of(&agent, name)?, facts(&dir, name)?);
    facts.extend(words.map(|words| (TEMPERATURE.to_string(), words)));
    let bytes = match args.format {
        Format::Onnx => onnx(&numbers, &facts),
        Format::Safetensors => safetensors(&numbers, &facts),
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let alpha = args
        .alpha
        .map_or(String::new(), |a| format!(" --alpha {a}"));
    let command = format!(
        "tiltrl export {} --format {extension} --policy {name} --seed {seed}{alpha}",
        args.folder.display()
    );
    let text = Card {
        dir: &dir,
        facts: &facts,
        name: &file,
        content: &bytes,
        command: &command,
    }
    .text()?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    write_atomically(&path, &bytes)?;
    write_atomically(&card, text.as_bytes())?;
    print(&format!(
        "wrote {} ({} kB) and {}",
        path.display(),
        bytes.len().div_ceil(1000),
        card.display()
    ));
    Ok(())
}

/// Sets the temperature that `--alpha` names, where the policy depends on it, and returns it in words.
fn set_alpha(
    agent: &mut Agent,
    name: PolicyName,
    alpha: Option<f64>,
) -> Result<Option<String>, Error> {
    let Some(price) = alpha else {
        return Ok(None);
    };
    if !matches!(
        name,
        PolicyName::Posterior | PolicyName::Best | PolicyName::Mean
    ) {
        return Err(Error::Usage(format!(
            "--alpha: `{name}` does not follow the dial\n  hint: `posterior` does"
        )));
    }
    let words = agent.set_alpha(price)?;
    print(&words);
    Ok(Some(words))
}
