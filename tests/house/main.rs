//! Rules of the house: who may import whom, no circle between files, and sizes.

mod source;
mod tuples;

use std::collections::{BTreeMap, BTreeSet};

use source::{Crate, File, crates, docs};

/// What each crate may use of ours; docs/architecture.md draws it.
const MAY_USE: [(&str, &[&str]); 6] = [
    ("tiltrl_tilt", &[]),
    ("tiltrl_cpu", &["tiltrl_tilt"]),
    ("tiltrl_policies", &["tiltrl_tilt", "tiltrl_cpu"]),
    ("tiltrl_envs", &[]),
    ("tiltrl_plots", &[]),
    (
        "tiltrl",
        &[
            "tiltrl_tilt",
            "tiltrl_policies",
            "tiltrl_envs",
            "tiltrl_plots",
        ],
    ),
];

/// Files with a reason to be longer than the rest: tables.
const MOST_LINES: usize = 400;
const MOST_LINES_OF_A_FUNCTION: usize = 60;
/// A doc of fewer words repeats its item's name, or leaves out the unit or the shape.
const FEWEST_WORDS: usize = 3;
/// Half of the 421 that `policies` had before the seam.
const MOST_PUBLIC_ITEMS: usize = 210;

fn all() -> Vec<Crate> {
    let all = crates();
    let names: Vec<_> = all.iter().map(|c| c.name).collect();
    let rules: Vec<_> = MAY_USE.iter().map(|rule| rule.0).collect();
    assert_eq!(names.len(), rules.len());
    assert!(all.iter().all(|c| rules.contains(&c.name)), "{names:?}");
    all
}

fn none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn crates_use_what_they_may() {
    let all = all();
    let mut broken = Vec::new();
    for of in &all {
        let (_, may) = MAY_USE
            .iter()
            .find(|rule| rule.0 == of.name)
            .expect("a rule");
        for file in &of.files {
            for other in all.iter().filter(|other| other.name != of.name) {
                if file.names(other.name) && !may.contains(&other.name) {
                    broken.push(format!("{} uses {}", file.place, other.name));
                }
            }
        }
    }
    none("crates that reach further than they may", &broken);
}

#[test]
fn the_engine_has_one_door() {
    let all = all();
    let policies = all
        .iter()
        .find(|c| c.name == "tiltrl_policies")
        .expect("it");
    let doors: Vec<String> = policies
        .files
        .iter()
        .filter(|file| file.names("tiltrl_cpu"))
        .map(|file| file.place.clone())
        .collect();
    assert_eq!(doors, ["policies/src/fast.rs"]);
}

#[test]
fn products_do_not_use_the_closed_form_worlds() {
    let all = all();
    let mut broken = Vec::new();
    for of in all
        .iter()
        .filter(|c| ["tiltrl", "tiltrl_policies"].contains(&c.name))
    {
        for file in &of.files {
            let within = file.module.first().is_some_and(|m| m == "worlds")
                || file.place.starts_with("src/commands/verify");
            if !within && file.code.contains("worlds::") {
                broken.push(file.place.clone());
            }
        }
    }
    none(
        "files that use the worlds of the tests and of `verify`",
        &broken,
    );
}

#[test]
fn systems_are_asked_by_commands_alone() {
    let all = all();
    let product = all.iter().find(|c| c.name == "tiltrl").expect("it");
    let within = |file: &&File| {
        ["systems", "commands"]
            .iter()
            .any(|m| file.module.first().is_some_and(|f| f == m))
    };
    let others = product.files.iter().filter(|file| !within(file));
    let broken: Vec<String> = others
        .filter(|file| file.code.contains("systems::"))
        .map(|file| file.place.clone())
        .collect();
    none("files that use the systems of `tilt`", &broken);
}

#[test]
fn no_circle_between_files() {
    let mut broken = Vec::new();
    for of in &all() {
        let edges = of.edges();
        for circle in circles(&edges) {
            let places: Vec<_> = circle.iter().map(|&i| of.files[i].place.as_str()).collect();
            broken.push(places.join(", "));
        }
    }
    none("files that use each other in a circle", &broken);
}

#[test]
fn a_circle_would_be_found() {
    let file = |name: &str, code: &str| File {
        place: format!("{name}.rs"),
        module: if name == "lib" {
            vec![]
        } else {
            vec![name.into()]
        },
        code: code.into(),
        docs: Vec::new(),
        lines: 1,
    };
    let of = |b: &str| Crate {
        name: "tiltrl_made_up",
        files: vec![
            file("lib", "mod a;\nmod b;\npub use a::A;\npub use b::{B, C};"),
            file("a", "use crate::b::{B, C};\npub struct A(B, C);"),
            file("b", b),
        ],
    };
    assert!(circles(&of("pub struct B;").edges()).is_empty());
    for code in [
        "use super::A;",
        "use crate::{A};",
        "fn f() -> crate::a::A { todo!() }",
    ] {
        assert_eq!(circles(&of(code).edges()).len(), 1, "{code}");
    }
}

/// Sets of files each of which leads back to itself.
fn circles(edges: &BTreeMap<usize, BTreeSet<usize>>) -> Vec<BTreeSet<usize>> {
    let reach = |from: usize| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            for &to in edges.get(&at).into_iter().flatten() {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<usize, BTreeSet<usize>> = edges.keys().map(|&i| (i, reach(i))).collect();
    let mut found = BTreeSet::new();
    for (&i, to) in &reached {
        if to.contains(&i) {
            let back = |&j: &usize| reached.get(&j).is_some_and(|r| r.contains(&i));
            found.insert(to.iter().copied().filter(back).collect::<BTreeSet<_>>());
        }
    }
    found.into_iter().collect()
}

#[test]
fn files_and_functions_are_short() {
    let mut broken = Vec::new();
    for of in &all() {
        for file in &of.files {
            if file.lines > MOST_LINES {
                broken.push(format!("{} has {} lines", file.place, file.lines));
            }
            for (name, lines) in file.functions() {
                if lines > MOST_LINES_OF_A_FUNCTION {
                    broken.push(format!("{}: {name} has {lines} lines", file.place));
                }
            }
        }
    }
    none("what is too long", &broken);
}

#[test]
fn docs_say_something() {
    let mut broken = Vec::new();
    for file in all().iter().flat_map(|of| &of.files) {
        let short = file
            .docs
            .iter()
            .filter(|doc| words(&doc.text) < FEWEST_WORDS);
        broken.extend(short.map(|doc| format!("{}:{}: {}", file.place, doc.line, doc.text)));
    }
    none("docs of one or two words", &broken);
}

#[test]
fn public_parameters_have_names() {
    let mut broken = Vec::new();
    for file in all().iter().flat_map(|of| &of.files) {
        let found = nameless_parameters(&file.code);
        broken.extend(found.map(|line| format!("{}: {line}", file.place)));
    }
    none("public functions that take a pair apart", &broken);
}

/// Lines of the signatures of public functions, those of the crate included, that take a tuple apart.
fn nameless_parameters(code: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    code.lines().map(str::trim).filter(move |line| {
        inside |= line.starts_with("pub") && line.contains("fn ");
        let taken = inside && line.contains("): (");
        inside &= !line.ends_with(['{', ';']);
        taken
    })
}

#[test]
fn a_pair_among_parameters_is_found() {
    let code = "fn f((a, b): (u8, u8)) {\n}\npub(crate) fn g(\n(a, b): (u8, u8),\n) {\nlet (a, b): (u8, u8) = x;";
    assert_eq!(nameless_parameters(code).count(), 1);
    assert_eq!(
        nameless_parameters("pub fn h((a, b): (u8, u8)) {").count(),
        1
    );
}

#[test]
fn what_is_shown_has_names() {
    let mut found = Vec::new();
    let all = all();
    let files = all.iter().flat_map(|of| &of.files);
    for file in files {
        let names = tuples::with_tuples(&file.code).into_iter();
        found.extend(names.map(|name| (file.place.clone(), name)));
    }
    let may = |(place, name): &(String, String)| {
        let known = tuples::MAY_STAY.iter();
        known.clone().any(|may| may.0 == place && may.1 == name)
    };
    let new: Vec<String> = found
        .iter()
        .filter(|f| !may(f))
        .map(|(place, name)| format!("{place}: {name}"))
        .collect();
    none("public results, parameters and fields with a tuple", &new);
    let gone = tuples::MAY_STAY.iter().filter(|may| {
        !found
            .iter()
            .any(|(place, name)| may.0 == place && may.1 == name)
    });
    let gone: Vec<String> = gone.map(|may| format!("{}: {}", may.0, may.1)).collect();
    none("exceptions that nothing needs any more", &gone);
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn words_of_a_doc_are_counted_over_its_lines() {
    let text = "//! A file.\n\n/// Mass.\npub a: f64,\n    /// Radius,\n    /// in metres.\nb";
    let counts: Vec<_> = docs(text)
        .iter()
        .map(|d| (d.line, words(&d.text)))
        .collect();
    assert_eq!(counts, [(1, 2), (3, 1), (5, 3)]);
}

#[test]
fn few_items_of_the_policies_are_public() {
    let all = all();
    let of = all.iter().find(|c| c.name == "tiltrl_policies");
    let of = of.expect("the policies");
    let count: usize = of.files.iter().map(|file| public_items(&file.code)).sum();
    assert!((1..=MOST_PUBLIC_ITEMS).contains(&count), "{count}");
}

/// Lines that make an item public beyond its crate.
fn public_items(code: &str) -> usize {
    const KINDS: &str = "fn struct enum trait const type mod static use async unsafe";
    let kinds: Vec<&str> = KINDS.split(' ').collect();
    let items = code.lines().filter_map(|l| l.trim().strip_prefix("pub "));
    let first = |item: &str| item.split(' ').next().unwrap_or_default().to_string();
    items
        .filter(|item| kinds.contains(&first(item).as_str()))
        .count()
}

#[test]
fn public_items_are_counted_and_fields_are_not() {
    let code = "pub mod a;\npub use a::B;\npub const fn f() {}\npub(crate) fn g() {}\nfn h() {}\n\
                pub struct S {\n    pub field: u8,\n}\nimpl S {\n    pub unsafe fn i() {}\n}";
    assert_eq!(public_items(code), 5);
}

/// State that no result depends on, and why it is there.
const STATE: [(&str, &str, &str); 15] = [
    (
        "envs/src/registry.rs",
        "REGISTERED",
        "the user's environments: entries are added and never changed",
    ),
    (
        "policies/src/agent/critics.rs",
        "REGISTERED",
        "the user's critics: entries are added and never changed",
    ),
    (
        "policies/src/nets/networks.rs",
        "REGISTERED",
        "the user's networks: entries are added and never changed",
    ),
    (
        "src/data/formats.rs",
        "REGISTERED",
        "the user's formats: entries are added and never changed",
    ),
    (
        "policies/cpu/src/amx.rs",
        "SCRATCH",
        "a thread's buffers, stale between calls",
    ),
    (
        "policies/cpu/src/product/narrow.rs",
        "PANEL",
        "a thread's buffers, stale between calls",
    ),
    (
        "envs/src/mujoco/library.rs",
        "LOADING",
        "guards the loader of libmujoco",
    ),
    (
        "envs/src/mujoco/library.rs",
        "COUNT",
        "numbers temporary files",
    ),
    (
        "envs/src/mujoco/readings.rs",
        "BLOCKS",
        "memory of MuJoCo on this thread",
    ),
    (
        "envs/src/mujoco/readings.rs",
        "HOOKED",
        "guards MuJoCo's own hooks",
    ),
    (
        "envs/src/mujoco/readings.rs",
        "COUNT",
        "numbers temporary files",
    ),
    (
        "envs/src/planar/phases/counted.rs",
        "COUNT",
        "counts operations in a test build",
    ),
    ("plots/src/output.rs", "WRITTEN", "numbers temporary files"),
    (
        "plots/src/text.rs",
        "REGULAR",
        "a font of the program, read once and never changed",
    ),
    (
        "plots/src/text.rs",
        "BOLD",
        "a font of the program, read once and never changed",
    ),
];

#[test]
fn no_state_is_global() {
    let mut broken = Vec::new();
    for of in &all() {
        for file in &of.files {
            for line in file.code.lines().map(str::trim) {
                let Some((_, after)) = line.split_once("static ") else {
                    continue;
                };
                let name = after.split(':').next().unwrap_or_default();
                let holds = ["Mutex", "RwLock", "Atomic", "Cell", "Once", "Lazy", "mut "];
                let known = STATE
                    .iter()
                    .any(|known| known.0 == file.place && known.1 == name);
                if holds.iter().any(|kind| after.contains(kind)) && !known {
                    broken.push(format!("{}: {line}", file.place));
                }
            }
        }
    }
    none("global state", &broken);
}
