//! What a reader guessed, repaired, clipped or dropped, so that nothing of it is silent.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Rows that a note names; it counts all of them.
const ROWS_NAMED: usize = 8;

/// What was done to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    /// The file can be understood in more than one way, and was in this one.
    Understood,
    /// Values were changed to what they must have been.
    Repaired,
    /// Values beyond a bound were set to the bound.
    Clipped,
    /// Rows or transitions were left out.
    Dropped,
    /// Nothing was changed, but something looks wrong.
    Warning,
}

/// One thing that a reader did to the data, or that its user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What was done to the data, or is odd about them.
    pub kind: NoteKind,
    /// The file concerned; `None` where it is the whole data set.
    pub path: Option<PathBuf>,
    /// One or two sentences.
    pub text: String,
    /// Number of rows concerned; 0 where it is no matter of rows.
    pub count: usize,
    /// The first of those rows, counted from 0 in their file.
    pub rows: Vec<usize>,
}

impl Note {
    /// Returns a note about all of `rows` of a file.
    pub(super) fn new(
        kind: NoteKind,
        path: &Path,
        text: impl Into<String>,
        rows: &[usize],
    ) -> Self {
        Self {
            kind,
            path: Some(path.to_path_buf()),
            text: text.into(),
            count: rows.len(),
            rows: rows.iter().take(ROWS_NAMED).copied().collect(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NoteKind::Understood => "understood",
            NoteKind::Repaired => "repaired",
            NoteKind::Clipped => "clipped",
            NoteKind::Dropped => "dropped",
            NoteKind::Warning => "WARNING",
        };
        write!(formatter, "{kind}: ")?;
        if let Some(path) = &self.path {
            write!(formatter, "{}: ", path.display())?;
        }
        formatter.write_str(&self.text)?;
        if self.count == 0 {
            return Ok(());
        }
        let rows: Vec<String> = self.rows.iter().map(ToString::to_string).collect();
        let more = if self.count > self.rows.len() {
            ", …"
        } else {
            ""
        };
        let word = if self.count == 1 { "row" } else { "rows" };
        write!(
            formatter,
            " ({} {word}: {}{more})",
            self.count,
            rows.join(", ")
        )
    }
}
