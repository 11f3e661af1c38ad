//! Hints of messages about data files: near names, and what to do.

use std::io;
use std::path::Path;

/// Names closer than this (0 unrelated, 1 equal) are offered as the one that was meant.
const NEAR: f64 = 0.8;

/// Returns the candidate most like `name`, if one is alike at all.
pub(crate) fn nearest(name: &str, candidates: &[String]) -> Option<String> {
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.clone())
}

/// Returns a sentence that names the nearest file in the same folder; empty where none is near.
pub(super) fn nearest_file(path: &Path) -> String {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return format!(
            " Hint: the folder {} is not there either.",
            folder.display()
        );
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    match wanted.and_then(|wanted| nearest(&wanted, &names)) {
        Some(name) => format!(" Hint: did you mean {}?", folder.join(name).display()),
        None => String::new(),
    }
}

/// Returns a sentence about a key that is not there.
pub(super) fn nearest_hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!(" Hint: is it the one called `{name}`? Then rename that."),
        None => " Hint: docs/data.md shows the layout.".to_string(),
    }
}

/// Returns what is said of the horizon that was known.
pub(super) fn tried_horizon(horizon: Option<usize>) -> String {
    horizon.map_or(String::new(), |horizon| {
        format!(", and a horizon of {horizon} timesteps ends none either")
    })
}

/// Returns a sentence about widths that are another environment's.
pub(super) fn sibling_hint(sibling: &Option<String>) -> String {
    match sibling {
        Some(id) => format!(" Hint: those are the widths of {id}."),
        None => " Hint: is it another environment's file?".to_string(),
    }
}

/// Returns the start of a message about a key; empty where there is none.
pub(super) fn key_prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("key `{key}`: ")
    }
}

/// Returns a sentence about what the operating system said; empty where it is plain.
pub(super) fn io_hint(source: &io::Error) -> &'static str {
    // A scratch file's error has its own.
    if source.to_string().contains("hint:") {
        return "";
    }
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Hint: the disk is full; nothing was left behind, free some space and try again"
        }
        io::ErrorKind::PermissionDenied => ". Hint: check the permissions of the file and folder",
        _ => "",
    }
}
