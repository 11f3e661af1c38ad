//! Source files of the crates, without their tests and comments, and who uses whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate of the workspace.
pub struct Crate {
    /// As code names it.
    pub name: &'static str,
    /// Every source file but those of tests.
    pub files: Vec<File>,
}

/// A file of a crate.
pub struct File {
    /// Its path from the root of the repository.
    pub place: String,
    /// Path of its module from the crate's root.
    pub module: Vec<String>,
    /// Its code, without comments and tests.
    pub code: String,
    /// What it says about itself and its items.
    pub docs: Vec<Doc>,
    /// Its lines, all of them.
    pub lines: usize,
}

/// A doc comment: adjoining lines of `///` or `//!`.
pub struct Doc {
    /// Its first line, counted from one.
    pub line: usize,
    /// Its words, in one line.
    pub text: String,
}

const FOLDERS: [(&str, &str); 6] = [
    ("tiltrl", "src"),
    ("tiltrl_envs", "envs/src"),
    ("tiltrl_plots", "plots/src"),
    ("tiltrl_policies", "policies/src"),
    ("tiltrl_tilt", "policies/tilt/src"),
    ("tiltrl_cpu", "policies/cpu/src"),
];

/// Returns the crates of the workspace.
pub fn crates() -> Vec<Crate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |(name, folder): (&'static str, &str)| {
        let mut paths = Vec::new();
        collect(&root.join(folder), &mut paths);
        let files = paths.iter().map(|path| read(root, folder, path)).collect();
        Crate { name, files }
    };
    FOLDERS.into_iter().map(of).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of sources")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") && !stem.starts_with("tests") {
            paths.push(path);
        }
    }
}

fn read(root: &Path, folder: &str, path: &Path) -> File {
    let text = std::fs::read_to_string(path).expect("a source file");
    let inner = path.strip_prefix(root.join(folder)).expect("inside");
    let mut module: Vec<String> = inner
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|m| m == "mod") || module == ["lib"] || module == ["main"] {
        module.pop();
    }
    File {
        place: format!("{folder}/{}", inner.display()),
        module,
        lines: text.lines().count(),
        code: without_tests(&without_comments(&text)),
        docs: docs(&text),
    }
}

fn without_comments(text: &str) -> String {
    let kept = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    kept.map(|line| line.split(" // ").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the doc comments of a text.
pub fn docs(text: &str) -> Vec<Doc> {
    let mut found: Vec<Doc> = Vec::new();
    let mut before = None;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let kind = ["///", "//!"].into_iter().find(|k| line.starts_with(k));
        let words = kind.map_or("", |kind| line[kind.len()..].trim());
        match found.last_mut() {
            Some(doc) if kind.is_some() && kind == before => {
                doc.text.push_str(&format!(" {words}"))
            }
            _ if kind.is_some() => found.push(Doc {
                line: i + 1,
                text: words.into(),
            }),
            _ => {}
        }
        before = kind;
    }
    found
}

/// Without items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item
            .find([';', '{'])
            .map_or(item.len(), |i| match item.as_bytes()[i] {
                b'{' => i + block(&item[i..]),
                _ => i + 1,
            });
        rest = &item[end..];
    }
    kept.push_str(rest);
    kept
}

/// Length of a block that starts with `{`, by its closing brace at the indentation of the line that opens it.
fn block(text: &str) -> usize {
    let mut depth = 0usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    text.len()
}

impl File {
    /// Whether the code uses that crate.
    pub fn names(&self, name: &str) -> bool {
        let all = self.code.match_indices(name);
        all.into_iter().any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let after = &self.code[at + name.len()..];
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_') && after.starts_with("::")
        })
    }

    /// Returns the functions with the number of their lines, from `fn` to the closing brace.
    pub fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.code.lines().collect();
        let mut found = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<&str> = line.split_whitespace().take(6).collect();
            let Some(at) = words.iter().position(|&w| w == "fn") else {
                continue;
            };
            let close = format!("{}}}", " ".repeat(indent));
            let body = lines[start..].iter().position(|l| *l == close);
            let declared = lines[start..]
                .iter()
                .position(|l| l.trim_end().ends_with(';'));
            let opened = lines[start..]
                .iter()
                .position(|l| l.trim_end().ends_with('{'));
            if line.trim_end().ends_with('}')
                || opened.is_none_or(|o| declared.is_some_and(|d| d < o))
            {
                continue;
            }
            let name = words.get(at + 1).copied().unwrap_or_default();
            found.push((name.into(), body.map_or(1, |b| b + 1)));
        }
        found
    }

    /// Paths of `use` items: whether they are public, and the path.
    fn uses(&self) -> Vec<(bool, String)> {
        let mut found = Vec::new();
        for item in self.code.split(';') {
            let Some(at) = item.rfind("use ") else {
                continue;
            };
            let head = item[..at].lines().next_back().unwrap_or_default().trim();
            let is_path = item[at + 4..].starts_with(|c: char| c.is_alphabetic());
            if !is_path || !(head.is_empty() || head.starts_with("pub")) {
                continue;
            }
            let mut paths = Vec::new();
            expand(&item[at + 4..], "", &mut paths);
            found.extend(
                paths
                    .into_iter()
                    .map(|path| (head.starts_with("pub"), path)),
            );
        }
        found
    }

    /// Paths in the rest of the code.
    fn paths(&self) -> Vec<String> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let words = self.code.split(|c: char| !is_part(c));
        words
            .filter(|word| !word.starts_with("::"))
            .map(|word| word.trim_matches(':'))
            .filter(|word| word.contains("::"))
            .map(String::from)
            .collect()
    }
}

/// `a::{b, c::{d}}` as single paths.
fn expand(tree: &str, before: &str, out: &mut Vec<String>) {
    let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        out.push(format!("{before}{path}"));
        return;
    };
    let prefix = format!("{before}{}", tree[..open].trim());
    let body = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start) = (0usize, 0);
    for (i, c) in body.char_indices().chain([(body.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[start..i].trim().is_empty() {
                    expand(&body[start..i], &prefix, out);
                }
                start = i + 1;
            }
            _ => {}
        }
    }
}

impl Crate {
    /// Returns which files use which: names are followed through re-exports to the file that holds them.
    pub fn edges(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let index: BTreeMap<&[String], usize> = self
            .files
            .iter()
            .enumerate()
            .map(|(i, file)| (file.module.as_slice(), i))
            .collect();
        let mut exports: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for file in &self.files {
            for (public, path) in file.uses() {
                if let (true, Some(to)) = (public, absolute(&index, file, &path)) {
                    let mut name = file.module.clone();
                    name.extend(to.last().cloned());
                    exports.insert(name, to);
                }
            }
        }
        let mut edges = BTreeMap::new();
        for (i, file) in self.files.iter().enumerate() {
            let uses = file.uses();
            let exported: BTreeSet<&String> = uses
                .iter()
                .filter(|(public, _)| *public)
                .map(|(_, p)| p)
                .collect();
            let single = uses
                .iter()
                .filter(|(public, _)| !public)
                .map(|(_, p)| p.clone());
            let others = file.paths().into_iter().filter(|p| !exported.contains(p));
            let to = single
                .chain(others)
                .filter_map(|path| absolute(&index, file, &path))
                .filter_map(|path| holder(&index, &exports, path, 0))
                .filter(|&to| to != i);
            edges.insert(i, to.collect());
        }
        edges
    }
}

/// The path from the crate's root, if it is one of this crate.
fn absolute(index: &BTreeMap<&[String], usize>, file: &File, path: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = path.split("::").collect();
    let supers = parts.iter().take_while(|&&p| p == "super").count();
    let mut from = file.module.clone();
    let rest = match parts[0] {
        "crate" => {
            from.clear();
            &parts[1..]
        }
        "self" => &parts[1..],
        "super" => {
            from.truncate(from.len().checked_sub(supers)?);
            &parts[supers..]
        }
        child => {
            let mut module = from.clone();
            module.push(child.into());
            index.get(module.as_slice())?;
            &parts[..]
        }
    };
    from.extend(rest.iter().filter(|p| **p != "self").map(|p| p.to_string()));
    Some(from)
}

/// The file that holds what a path names.
fn holder(
    index: &BTreeMap<&[String], usize>,
    exports: &BTreeMap<Vec<String>, Vec<String>>,
    path: Vec<String>,
    depth: usize,
) -> Option<usize> {
    for end in (0..=path.len()).rev() {
        let Some(&file) = index.get(&path[..end]) else {
            continue;
        };
        let Some(name) = path.get(..end + 1) else {
            return Some(file);
        };
        return match exports.get(name) {
            Some(to) if depth < 8 && to.as_slice() != name => {
                let mut longer = to.clone();
                longer.extend_from_slice(&path[end + 1..]);
                holder(index, exports, longer, depth + 1)
            }
            _ => Some(file),
        };
    }
    None
}
