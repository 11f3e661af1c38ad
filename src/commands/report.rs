//! `tiltrl report RUN…`: one self-contained HTML page.

use std::path::PathBuf;

use clap::Args;

use super::output::{print, refuse_existing};
use crate::error::Error;
use crate::files::write_atomically;
use crate::page::page;

/// Arguments of `tiltrl report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Folders of finished runs; several stand side by side.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// The page; default report.html in the run's folder, for several runs report.html here. An existing page is replaced only
    /// in the run's folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `tiltrl report`.
///
/// # Errors
/// When a run is not finished, one of its files is damaged, or the page cannot be written.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let path = match (&args.out, args.folders.as_slice()) {
        (None, [folder]) => folder.join("report.html"),
        (out, _) => {
            let path = out.clone().unwrap_or("report.html".into());
            refuse_existing(&path, "--out")?;
            path
        }
    };
    let text = page(&args.folders)?;
    write_atomically(&path, text.as_bytes())?;
    print(&format!(
        "wrote {} ({} kB)",
        path.display(),
        text.len().div_ceil(1000)
    ));
    Ok(())
}
