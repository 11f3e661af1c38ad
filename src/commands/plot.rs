//! `tiltrl plot`: the pictures of a finished run again, or the curves of several runs in one.

use std::path::PathBuf;

use clap::Args;

use super::output::{print, refuse_existing};
use crate::error::Error;
use crate::pictures::{compare, draw};
use crate::report::{Summary, load};
use crate::run::{Lock, RunDir};

/// Arguments of `tiltrl plot`.
#[derive(Args)]
pub struct PlotArgs {
    /// Folders of finished runs. One: its pictures are drawn again. Several: their return curves in one picture.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Stem of the picture of several runs.
    #[arg(long, default_value = "comparison")]
    out: PathBuf,
}

/// `tiltrl plot`.
///
/// # Errors
/// When a run is not finished or a picture cannot be written.
pub fn plot(args: &PlotArgs) -> Result<(), Error> {
    let runs: Vec<(PathBuf, Summary)> = args
        .folders
        .iter()
        .map(|folder| Ok((folder.clone(), load(folder)?)))
        .collect::<Result<_, Error>>()?;
    let files = if let [(folder, summary)] = runs.as_slice() {
        let seed = *summary.seeds.first().ok_or_else(|| {
            Error::Run(format!("{}: summary.json names no seed", folder.display()))
        })?;
        let config = RunDir::of_seed(folder, seed).config()?;
        let _lock = Lock::wait(folder)?;
        draw(summary, &config, folder)?
    } else {
        refuse_existing(&args.out.with_added_extension("svg"), "--out")?;
        compare(&runs, &args.out)?
    };
    for file in files {
        print(&format!("wrote {}", file.display()));
    }
    Ok(())
}
