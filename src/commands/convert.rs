//! `tiltrl convert`: a data set of any format that is read, written in D4RL's layout or Minari's.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tiltrl_envs::spec_of;

use super::output::{print, print_notes};
use super::reading::ReadingArgs;
use crate::console::{Console, note};
use crate::data::{self, Dataset};
use crate::error::Error;

/// Arguments of `tiltrl convert`.
#[derive(Args)]
pub struct ConvertArgs {
    /// What to read, as for `tiltrl data` (several are concatenated), and last what to write: FILE.hdf5 (D4RL's layout),
    /// minari:NAME (in Minari's own folder) or, with --to minari, a folder. Nothing is overwritten.
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    paths: Vec<PathBuf>,
    /// The layout to write, where OUT does not tell it.
    #[arg(long)]
    to: Option<Layout>,
    /// Environment that the data are for: its bounds are the actions' units where the data do not say.
    #[arg(long)]
    env: Option<String>,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layout {
    D4rl,
    Minari,
}

/// `tiltrl convert`.
///
/// # Errors
/// When the data cannot be read, or something is at the place to write already.
pub fn convert(args: &ConvertArgs, console: Console) -> Result<(), Error> {
    let Some((out, files)) = args.paths.split_last() else {
        return Err(Error::Usage(
            "expected what to read and what to write".into(),
        ));
    };
    let (layout, place, name) = target(out, args.to)?;
    if place.symlink_metadata().is_ok() {
        return Err(data::DataError::Exists { path: place }.into());
    }
    let spec = args.env.as_deref().map(spec_of).transpose()?;
    let dataset = Dataset::read_with(files, &args.reading.options(spec.as_ref()))?;
    print_notes(&dataset, console);
    let written = match layout {
        Layout::D4rl => {
            let hash = ("converted_from_sha256".to_string(), dataset.sha256());
            let env = args.env.clone().map(|env| ("env".to_string(), env));
            let attributes: Vec<_> = env.into_iter().chain([hash]).collect();
            data::write_in_own_units(&place, &dataset, &attributes)?;
            format!(
                "{} episodes, {} rows",
                dataset.episodes().len(),
                dataset.len()
            )
        }
        Layout::Minari => {
            let env = args
                .env
                .as_deref()
                .unwrap_or("an environment that was not named");
            let description = format!(
                "Written by tiltrl {} for {env} from data with sha256 {}",
                env!("CARGO_PKG_VERSION"),
                dataset.sha256()
            );
            let written = data::write_minari(&place, &name, &dataset, &description)?;
            for said in &written.notes {
                note(&format!("written: {said}"));
            }
            format!("{} episodes, {} steps", written.episodes, written.steps)
        }
    };
    print(&format!("wrote {}: {written}", place.display()));
    Ok(())
}

/// Returns the layout to write, the file or folder, and the name of the data set.
fn target(out: &Path, asked: Option<Layout>) -> Result<(Layout, PathBuf, String), Error> {
    let refused = |reason: &str| Error::Usage(format!("{}: {reason}", out.display()));
    if let Some(name) = data::minari_name(out) {
        if asked == Some(Layout::D4rl) {
            return Err(refused("--to d4rl: expected a file, as FILE.hdf5"));
        }
        if !is_minari_name(name) {
            return Err(refused(
                "expected a name as minari:FOLDER/NAME-v0, of letters, digits, `-`, `_` and `/`",
            ));
        }
        return Ok((
            Layout::Minari,
            data::minari_root()?.join(name),
            name.to_string(),
        ));
    }
    let ending = out.extension().map(|ending| ending.to_ascii_lowercase());
    let hdf5 = ending.is_some_and(|ending| ending == "hdf5" || ending == "h5");
    match asked {
        Some(Layout::Minari) => {
            let own = out.file_name().unwrap_or_default().to_string_lossy();
            let name = if is_minari_name(&own) {
                own.into()
            } else {
                format!("{own}-v0")
            };
            if !is_minari_name(&name) {
                return Err(refused(
                    "expected a folder called as Minari's data sets are: letters, digits, `-` and `_`",
                ));
            }
            Ok((Layout::Minari, out.to_path_buf(), name))
        }
        None if !hdf5 => Err(refused(
            "expected FILE.hdf5 or minari:NAME; --to d4rl|minari says what else it is",
        )),
        Some(Layout::D4rl) | None => Ok((Layout::D4rl, out.to_path_buf(), String::new())),
    }
}

/// Returns whether Minari takes a name: `(namespace/)name-vN`.
fn is_minari_name(name: &str) -> bool {
    let fits = |character: char| character.is_alphanumeric() || "-_/".contains(character);
    let parts = name.split('/').all(|part| !part.is_empty());
    let version = name.rsplit_once("-v").map(|(own, version)| {
        !own.is_empty()
            && !own.ends_with('/')
            && !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit())
    });
    parts && name.chars().all(fits) && version == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_minari_takes() {
        for good in ["hopper-v0", "mujoco/hopper/medium-v12", "a_b/c-d-v1"] {
            assert!(is_minari_name(good), "{good}");
        }
        for bad in [
            "hopper", "hopper-v", "a//b-v0", "/a-v0", "../a-v0", "a b-v0", "-v0", "a/-v0", "",
        ] {
            assert!(!is_minari_name(bad), "{bad}");
        }
    }
}
