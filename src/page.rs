//! One self-contained HTML page of one run or of several side by side: no link leads out of it, no script runs in it.

mod html;
mod parts;
mod shown;

use std::path::PathBuf;

use tiltrl_plots::{curve_svg, intervals_svg, panels_svg};

use self::html::{data_uri, escaped};
use self::shown::Shown;
use crate::error::Error;
use crate::pictures::{figures, together};
use crate::report::Summary;

const STYLE: &str = include_str!("page/page.css");
/// Widths of each picture in CSS pixels: for desktops, and for screens below 600 pixels.
const WIDTHS: [f64; 2] = [800.0, 440.0];

/// Returns the page of finished runs.
///
/// # Errors
/// When a run is not finished, or one of its files is missing or damaged.
pub fn page(folders: &[PathBuf]) -> Result<String, Error> {
    let runs = Shown::all(folders)?;
    let title = runs.iter().map(|run| run.name.as_str());
    let title = escaped(&title.collect::<Vec<_>>().join(", "));
    let mut body = String::new();
    if runs.len() > 1 {
        body += &format!(
            "<section id=\"scores\"><h2>Side by side</h2>\n{}{}</section>\n",
            parts::scores(&runs),
            one_axis(&runs)?
        );
        body += &parts::differences(&runs);
    }
    body += "<div class=\"runs\">\n";
    for run in &runs {
        body += &article(run, runs.len() == 1)?;
    }
    body += "</div>\n";
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – TiltRL</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\n<p class=\"grey\">Diffusion policies tilted by a critic, and how close they came to their exact posterior</p></header>\n\
         <main>\n{body}</main>\n<footer>Written by TiltRL {}. Intervals are 95 % stratified bootstraps over episodes: they speak about these trained policies, not about other seeds.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    ))
}

/// The return curves of all runs on one pair of axes, where they share an environment.
fn one_axis(runs: &[Shown]) -> Result<String, Error> {
    let env = &runs[0].summary.env;
    let curves = |run: &Shown| run.config.has_posterior() || run.config.is_one_policy();
    if !runs.iter().all(curves) {
        let text = "A run is not evaluated while it trains: the others' curves stand below.";
        return Ok(format!("<p class=\"grey\">{text}</p>\n"));
    }
    if runs.iter().any(|run| run.summary.env != *env) {
        let text = "The runs are on different environments, whose returns share no axis: their curves stand below.";
        return Ok(format!("<p class=\"grey\">{text}</p>\n"));
    }
    let named: Vec<(PathBuf, Summary)> = runs
        .iter()
        .map(|run| (run.folder.clone(), run.summary.clone()))
        .collect();
    let mut figure = together(&named)?;
    for (series, run) in figure.series.iter_mut().zip(runs) {
        series.label.clone_from(&run.name);
    }
    picture(&figure.title, |width| Ok(curve_svg(&figure, width)?))
}

/// All of one run; `alone` lets its pictures stand beside each other.
fn article(run: &Shown, alone: bool) -> Result<String, Error> {
    let mut all = figures(&run.summary, &run.config, &run.folder)?;
    // The title names the run already.
    all.last.rows.iter_mut().for_each(|row| row.group.clear());
    let mut pictures = Vec::new();
    if let Some(returns) = &all.returns {
        pictures.push(picture(&returns.title, |w| Ok(curve_svg(returns, w)?))?);
    }
    pictures.push(picture(&all.last.title, |w| {
        Ok(intervals_svg(&all.last, w)?)
    })?);
    let panels = all.certificate.iter().chain(std::iter::once(&all.training));
    for shown in panels {
        pictures.push(picture(&shown.title, |w| Ok(panels_svg(shown, w)?))?);
    }
    let class = if alone { "alone" } else { "stack" };
    let heading = if alone {
        String::new()
    } else {
        format!("<h2>{}</h2>\n", escaped(&run.name))
    };
    Ok(format!(
        "<article>\n{heading}{}<div class=\"{class}\">\n<div>{}</div>\n<div>{}</div>\n{}</div>\n{}{}{}</article>\n",
        parts::facts(run),
        parts::lines(&run.summary),
        parts::certificate(&run.summary),
        pictures.concat(),
        parts::films(&run.folder)?,
        parts::commands(run)?,
        parts::configuration(run)?,
    ))
}

/// A picture in both widths; the browser takes the one that fits.
fn picture(alt: &str, svg: impl Fn(f64) -> Result<String, Error>) -> Result<String, Error> {
    let uri = |width: f64| -> Result<String, Error> {
        Ok(data_uri("image/svg+xml", svg(width)?.as_bytes()))
    };
    Ok(format!(
        "<picture><source media=\"(max-width: 600px)\" srcset=\"{}\"><img alt=\"{}\" src=\"{}\"></picture>\n",
        uri(WIDTHS[1])?,
        escaped(alt),
        uri(WIDTHS[0])?
    ))
}
