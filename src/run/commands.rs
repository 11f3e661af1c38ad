//! The commands that made a run, and what was said of its data, kept in its folder.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::data::Dataset;
use crate::error::Error;
use crate::files::write_atomically;

/// One command per line, each once, in the order of their first use.
const COMMANDS: &str = "commands.txt";
/// What the reader of the data guessed, repaired, clipped or dropped, one note per line; empty where there was nothing.
const NOTES: &str = "data-notes.txt";

/// Returns words as a line that a POSIX shell takes apart into the same words.
pub fn shell(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+%@".contains(c);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Adds a command to those of a run's folder, if it is not there yet.
///
/// # Errors
/// When the file cannot be read or written.
pub fn record_command(folder: &Path, words: &[String]) -> Result<(), Error> {
    let line = shell(words);
    if commands(folder)?.contains(&line) {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let path = folder.join(COMMANDS);
    // One write of a whole line: seeds of one folder may be trained by several processes.
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(Error::io(&path))
}

/// Returns the commands of a run; none for one of an earlier version.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn commands(folder: &Path) -> Result<Vec<String>, Error> {
    lines(&folder.join(COMMANDS)).map(Option::unwrap_or_default)
}

/// Writes what was said of a run's data to its folder.
///
/// # Errors
/// When the file cannot be written.
pub fn keep_notes(dataset: &Dataset, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let text: String = dataset.notes.iter().map(|n| format!("{n}\n")).collect();
    write_atomically(&folder.join(NOTES), text.as_bytes())
}

/// Returns what was said of a run's data; none where an earlier version kept nothing.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn kept_notes(folder: &Path) -> Result<Option<Vec<String>>, Error> {
    lines(&folder.join(NOTES))
}

fn lines(path: &Path) -> Result<Option<Vec<String>>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(Some(text.lines().map(String::from).collect()))
}
