//! What commands print and write: standard output, JSON, nothing over an existing file.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;

use crate::console::{Console, note};
use crate::data::{Dataset, NoteKind};
use crate::error::Error;
use crate::files::write_atomically;

/// Prints a line to standard output. Where the reader has gone (`| head -1`) nothing is printed and the work goes on quietly. Where
/// it cannot be written for another reason (a full disk), that and the line go to standard error, and the program ends with 1.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("error: standard output: {error}; it was to say:\n{text}");
        std::process::exit(1);
    }
}

/// Prints to standard error what a reader guessed, repaired, clipped or dropped; with `--quiet` its warnings alone. A run keeps
/// all of it in data-notes.txt.
pub fn print_notes(dataset: &Dataset, console: Console) {
    let quiet = console == Console::Quiet;
    for said in &dataset.notes {
        if !quiet || said.kind == NoteKind::Warning {
            note(&format!("data: {said}"));
        }
    }
}

/// Refuses a file that exists already, so that nothing is overwritten silently.
///
/// # Errors
/// When `path` exists; the message names the option that asked for it.
pub fn refuse_existing(path: &Path, option: &str) -> Result<(), Error> {
    if path.exists() {
        return Err(Error::Run(format!(
            "{}: exists already\n  hint: name another file for {option}",
            path.display()
        )));
    }
    Ok(())
}

/// Writes `value` as JSON when a path is given; an existing file is refused.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_json(path: Option<&Path>, value: &impl Serialize) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    refuse_existing(path, "--json")?;
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(path, text.as_bytes())
}
