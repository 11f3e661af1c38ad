//! Tuples in what a crate shows: parameters and results of public functions, functions of public traits, public fields.

/// Where tuples may stay, and why: their parts are told apart by their types, or are what everybody takes them for.
pub const MAY_STAY: [(&str, &str, &str); 24] = [
    ("src/config/tables.rs", "leaves", KEYS),
    ("src/data/attributes.rs", "read_attributes", KEYS),
    ("src/data/write.rs", "write", KEYS),
    ("src/data/write.rs", "write_in_own_units", KEYS),
    ("src/sweep/space.rs", "settings", KEYS),
    ("src/sweep/space.rs", "grid", KEYS),
    ("src/sweep/space.rs", "drawn", KEYS),
    (
        "plots/src/histogram.rs",
        "references",
        "a label and its number",
    ),
    (
        "plots/src/series.rs",
        "references",
        "a label and its number",
    ),
    ("src/run/log.rs", "column", POINTS),
    ("src/run/log.rs", "rows", POINTS),
    ("src/run/results.rs", "training_curve", POINTS),
    (
        "src/pictures.rs",
        "compare",
        "the folder of a run and its summary",
    ),
    (
        "src/pictures.rs",
        "together",
        "the folder of a run and its summary",
    ),
    ("src/sweep/file.rs", "configurations", RESOLVED),
    ("src/sweep/table.rs", "lines", RESOLVED),
    (
        "src/data/matrix.rs",
        "dim",
        "rows and columns, as ndarray has it",
    ),
    ("src/train/dial.rs", "split_column", "what is split in two"),
    ("src/report.rs", "tail", "files of runs hold it as a pair"),
    (
        "envs/src/gpu/driver.rs",
        "capability",
        "a version: major and minor",
    ),
    (
        "envs/src/planar/trigonometry.rs",
        "sin_cos",
        "what the name says",
    ),
    ("policies/src/nets/llama/host.rs", "step", LLAMA),
    ("policies/src/nets/llama/host.rs", "read", LLAMA),
    (
        "policies/cpu/src/paths.rs",
        "paths",
        "states, and their scores where they are kept",
    ),
];
const KEYS: &str = "a key and its value";
const POINTS: &str = "points of a curve: updates and what was logged there";
const RESOLVED: &str = "a configuration and what it resolves to";
const LLAMA: &str = "logits, and the position to go on from";

/// Returns the names of public functions, functions of public traits and public fields that have a tuple in their type.
pub fn with_tuples(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_trait = None;
    let mut of_shown = false;
    let lines: Vec<&str> = code.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if in_trait.is_some_and(|of| indent <= of && text == "}") {
            in_trait = None;
        }
        if text.starts_with("pub trait ") || text.starts_with("pub unsafe trait ") {
            in_trait = Some(indent);
        }
        if text.contains("struct ") || text.contains("enum ") {
            of_shown = text.starts_with("pub ");
        }
        let shown = text.strip_prefix("pub ");
        let Some(item) = shown.or(in_trait.map(|_| text)) else {
            continue;
        };
        let words: Vec<&str> = item.split(' ').take(4).collect();
        if let Some(fun) = words.iter().position(|word| *word == "fn") {
            let name = words.get(fun + 1).copied().unwrap_or_default();
            let name = name.split(['(', '<']).next().unwrap_or_default();
            let signature = signature(&lines[at..]);
            if has_tuple(&signature) {
                found.push(name.to_string());
            }
        } else if let (Some((name, of)), Some(_)) = (item.split_once(": "), shown)
            && of_shown
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && has_tuple(of)
        {
            found.push(name.to_string());
        }
    }
    found
}

/// The lines from `fn` to the opening brace or the semicolon, in one.
fn signature(lines: &[&str]) -> String {
    let end = |line: &&str| line.trim_end().ends_with(['{', ';', '}']);
    let last = lines.iter().position(end).unwrap_or(0);
    lines[..=last].join(" ")
}

/// Whether a type or a signature names a tuple: a parenthesis that no name stands before, with a comma of its own.
fn has_tuple(text: &str) -> bool {
    let text = text.replace("->", "→");
    text.match_indices('(').any(|(at, _)| {
        let before = text[..at].trim_end().chars().next_back();
        let of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '>' || c == '!';
        !before.is_some_and(of_name) && comma_of_its_own(&text[at + 1..])
    })
}

fn comma_of_its_own(text: &str) -> bool {
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' | '[' | '<' => depth += 1,
            ')' if depth == 0 => return false,
            ')' | ']' | '>' => depth -= 1,
            ',' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[test]
fn tuples_are_found_where_they_are_shown() {
    let code = "pub fn a(x: u8) -> (u8, u8) {\n}\nfn hidden() -> (u8, u8) {\n}\npub fn b(\n    x: &[(u8, f64)],\n) {\n}\n\
                pub trait T {\n    fn c(&self) -> Result<(u8, u8), E>;\n    fn d(&self) -> Result<(), E>;\n}\n\
                pub struct S {\n    pub e: Vec<(u8, u8)>,\n    f: (u8, u8),\n    pub g: fn(u8, u8) -> u8,\n    pub h: (u8, u8),\n}\n\
                pub(crate) struct K {\n    pub l: (u8, u8),\n}\n\
                pub fn i(f: impl Fn(u8, u8) -> u8, g: &(dyn Fn(u8, u8) + Sync)) {\n}\npub(crate) fn j() -> (u8, u8) {\n}\n";
    assert_eq!(with_tuples(code), ["a", "b", "c", "e", "h"]);
}
