//! `tiltrl data`: what files hold, as a table, JSON and a histogram of returns.

use std::path::PathBuf;

use clap::Args;
use tiltrl_envs::spec_of;
use tiltrl_plots::{Histogram, histogram};

use super::output::{print, refuse_existing, write_json};
use super::reading::ReadingArgs;
use crate::data::{Dataset, summarize};
use crate::error::Error;

/// Arguments of `tiltrl data`.
#[derive(Args)]
pub struct DataArgs {
    /// Files of any format that docs/formats.md lists, folders of Minari's, or minari:NAME; several are concatenated.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Environment that the data are for: its reference returns give the score, its bounds the actions' units.
    #[arg(long)]
    env: Option<String>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Draw the histogram of episode returns to STEM.svg, .png and .csv.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// `tiltrl data`.
///
/// # Errors
/// When the data cannot be read or a file cannot be written.
pub fn data(args: &DataArgs) -> Result<(), Error> {
    if let Some(stem) = &args.plot {
        refuse_existing(&stem.with_added_extension("svg"), "--plot")?;
    }
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    let spec = args.env.as_deref().map(spec_of).transpose()?;
    let options = args.reading.options(spec.as_ref());
    let dataset = Dataset::read_with(&args.files, &options)?;
    let widths = [dataset.observations.ncols(), dataset.actions.ncols()];
    // Files of other widths are refused by the reader; a score of them would mean nothing.
    let reference = spec
        .filter(|s| [s.observation_dim, s.action_dim] == widths)
        .and_then(|s| s.reference);
    let summary = summarize(&dataset, reference);
    print(&summary.to_table());
    write_json(args.json.as_deref(), &summary)?;
    if let Some(stem) = &args.plot {
        let figure = Histogram {
            title: "Episode returns".into(),
            subtitle: format!(
                "{} episodes, {} transitions",
                summary.episodes, summary.transitions
            ),
            x_label: "Return".into(),
            y_label: "Episodes".into(),
            edges: summary.histogram.edges.clone(),
            counts: summary.histogram.counts.iter().map(|&c| c as f64).collect(),
            references: vec![("mean".into(), summary.returns.mean)],
        };
        for file in histogram(&figure, stem)? {
            print(&format!("wrote {}", file.display()));
        }
    }
    Ok(())
}
