//! `tiltrl compare A B`: which keys differ, which numbers moved.

use std::path::PathBuf;

use clap::Args;

use super::output::{print, refuse_existing, write_json};
use crate::comparison::{Comparison, Differing, Number, compare};
use crate::error::Error;

/// Arguments of `tiltrl compare`.
#[derive(Args)]
pub struct CompareArgs {
    /// Folder of a run; its finished seeds are taken.
    a: PathBuf,
    /// Folder of another.
    b: PathBuf,
    /// Also write the comparison as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// `tiltrl compare`.
///
/// # Errors
/// When a folder holds no finished seed, or a file cannot be read or written.
pub fn compare_runs(args: &CompareArgs) -> Result<(), Error> {
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    let found = compare(&args.a, &args.b)?;
    print(text(&found, args).trim_end());
    write_json(args.json.as_deref(), &found)
}

fn text(found: &Comparison, args: &CompareArgs) -> String {
    let mut out = String::new();
    for (side, folder) in [&args.a, &args.b].into_iter().enumerate() {
        let name = ["A", "B"][side];
        out += &format!(
            "{name}  {}, seeds {:?}",
            folder.display(),
            found.seeds[side]
        );
        if !found.left_out[side].is_empty() {
            out += &format!(", not finished and left out: {:?}", found.left_out[side]);
        }
        out.push('\n');
    }
    let differing: Vec<&Differing> = found.keys.iter().chain(&found.origins).collect();
    if differing.is_empty() {
        out += "\nno key and no origin differs\n";
    } else {
        out += &format!("\n{:<40} {:>16} {:>16}\n", "what differs", "A", "B");
        for Differing { what, a, b } in differing {
            out += &format!("{what:<40} {a:>16} {b:>16}\n");
        }
    }
    out += &format!(
        "\n{:<34} {:>10} {:>10} {:>10}   {:<22}\n",
        "what was measured", "A", "B", "B − A", "95 % interval of B − A"
    );
    for number in &found.numbers {
        out += &line(number);
    }
    for text in &found.not_compared {
        out += &format!("not compared: {text}\n");
    }
    out + "\nThe intervals redraw episodes and states of these trained policies; they do not speak about other seeds.\n"
}

fn line(number: &Number) -> String {
    let digits = if ["score", "return"].contains(&number.unit.as_str()) {
        1
    } else {
        3
    };
    let unit = if number.unit.is_empty() {
        String::new()
    } else {
        format!(" ({})", number.unit)
    };
    let ends = number.difference.ends;
    let interval = ends.map_or("–".into(), |[low, high]| {
        format!("[{low:>8.digits$}, {high:>8.digits$}]")
    });
    let verdict = match number.moved() {
        _ if number.identical => "the same, one by one",
        Some(true) => "moved",
        Some(false) => "",
        None => "one episode: no interval",
    };
    let row = format!(
        "{:<34} {:>10.digits$} {:>10.digits$} {:>+10.digits$}   {interval:<22}  {verdict}",
        format!("{}{unit}", number.name),
        number.a,
        number.b,
        number.difference.point,
    );
    row.trim_end().to_string() + "\n"
}
