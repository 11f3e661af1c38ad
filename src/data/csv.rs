//! CSV: a line of names, then a line per timestep; commas, or semicolons or tabs where the first line has no commas.
//!
//! Fields may be quoted (RFC 4180). Numbers have a decimal point; flags are 0 and 1, or true and false.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::faults::Faults;
use super::options::ReadOptions;
use super::tabular::{Place, Table};

pub(super) const NAME: &str = "CSV";

/// A line longer than this is no line of a table.
const LONGEST: usize = 1 << 24;

pub(super) fn recognises(path: &Path, head: &[u8]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let named =
        ending.is_some_and(|ending| ["csv", "tsv"].contains(&ending.to_lowercase().as_str()));
    named && !head.contains(&0)
}

/// Reads a file a line at a time.
///
/// # Errors
/// [`DataError::Format`] with line and column, and where it is not clear which columns are what; else as for D4RL's layout.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let faults = Faults { path, format: NAME };
    let open = || File::open(path).map_err(|source| DataError::io(path, "open", source));
    let lines = count_lines(BufReader::with_capacity(1 << 17, open()?));
    let lines = lines.map_err(|source| DataError::io(path, "read", source))?;
    let mut records = Records {
        reader: BufReader::with_capacity(1 << 17, open()?),
        separator: b',',
        line: 0,
        text: Vec::new(),
        fields: Vec::new(),
    };
    if !records.first(&faults)? {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    }
    let names: Vec<String> = (0..records.fields.len())
        .map(|at| records.field(at).trim().to_string())
        .collect();
    let widths = vec![1; names.len()];
    let mut table = Table::new(faults, names.clone(), &widths, lines, options.in_memory)?;
    let (mut rows, mut episode) = (0, String::new());
    while records.next(&faults)? {
        if records.fields.len() == 1 && records.field(0).trim().is_empty() {
            continue;
        }
        if records.fields.len() != names.len() {
            return Err(faults.of(format!(
                "line {}: expected {} fields, one per column, found {}",
                records.line,
                names.len(),
                records.fields.len()
            )));
        }
        for (at, name) in names.iter().enumerate() {
            match table.places[at] {
                Place::Array(array, entry) => {
                    let text = records.field(at);
                    let value = number(&text).ok_or_else(|| {
                        faults.of(format!(
                            "line {}, column `{name}`: expected a number, found `{text}`",
                            records.line
                        ))
                    })?;
                    table.set(rows, array, entry, value);
                }
                Place::Episode => {
                    let text = records.field(at);
                    table.starts.push(rows == 0 || *text != *episode);
                    episode.clear();
                    episode.push_str(&text);
                }
                Place::Unused => {}
            }
        }
        rows += 1;
    }
    table.into_dataset(rows, options)
}

fn count_lines(mut reader: impl BufRead) -> std::io::Result<usize> {
    let mut lines = 1;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(lines);
        }
        lines += buffer.iter().filter(|&&byte| byte == b'\n').count();
        let count = buffer.len();
        reader.consume(count);
    }
}

fn number(text: &str) -> Option<f32> {
    match text.trim() {
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        text => text.parse::<f64>().ok().map(|value| value as f32),
    }
}

/// The records of a file, one at a time.
struct Records<R> {
    reader: R,
    separator: u8,
    /// Number of the last line that was read, from 1.
    line: usize,
    text: Vec<u8>,
    /// Where fields begin and end in `text`.
    fields: Vec<(usize, usize)>,
}

impl<R: BufRead> Records<R> {
    /// Reads the line of names and finds the separator.
    fn first(&mut self, faults: &Faults<'_>) -> Result<bool, DataError> {
        let found = self.next(faults)?;
        let text = String::from_utf8_lossy(&self.text).into_owned();
        if let (1, Some(other)) = (
            self.fields.len(),
            [b';', b'\t']
                .into_iter()
                .find(|&byte| text.as_bytes().contains(&byte)),
        ) {
            self.separator = other;
            self.split(faults)?;
        }
        if self.text.starts_with("\u{feff}".as_bytes())
            && let Some(first) = self.fields.first_mut()
        {
            first.0 += 3;
        }
        Ok(found)
    }

    /// Reads the next record, `false` at the end of the file. A quoted field may reach over several lines.
    fn next(&mut self, faults: &Faults<'_>) -> Result<bool, DataError> {
        self.text.clear();
        loop {
            let count = self.reader.read_until(b'\n', &mut self.text);
            let count = count.map_err(|source| DataError::io(faults.path, "read", source))?;
            self.line += usize::from(count > 0);
            let open = self.text.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
            if self.text.len() > LONGEST || (open && count == 0) {
                return Err(faults.of(format!(
                    "line {}: a quote is opened and not closed",
                    self.line
                )));
            }
            if !open {
                break;
            }
        }
        let found = !self.text.is_empty();
        while self.text.last().is_some_and(|byte| b"\r\n".contains(byte)) {
            self.text.pop();
        }
        self.split(faults)?;
        Ok(found)
    }

    fn split(&mut self, faults: &Faults<'_>) -> Result<(), DataError> {
        self.fields.clear();
        let (mut start, mut quoted) = (0, false);
        for (at, &byte) in self.text.iter().enumerate() {
            quoted ^= byte == b'"';
            if byte == self.separator && !quoted {
                self.fields.push((start, at));
                start = at + 1;
            }
        }
        self.fields.push((start, self.text.len()));
        if std::str::from_utf8(&self.text).is_err() {
            return Err(faults.of(format!("line {}: it is no UTF-8 text", self.line)));
        }
        Ok(())
    }

    /// A field without its quotes.
    fn field(&self, at: usize) -> std::borrow::Cow<'_, str> {
        let (start, end) = self.fields[at];
        let text = std::str::from_utf8(&self.text[start..end]).unwrap_or_default();
        match text
            .trim()
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
        {
            Some(inner) => inner.replace("\"\"", "\"").into(),
            None => text.into(),
        }
    }
}
