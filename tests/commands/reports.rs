//! A finished run as a page, two of them compared, and what `--quiet` leaves unsaid.

use std::path::Path;
use std::process::{Command, Output};

const TINY: &str = "extends = \"quickstart\"\n[prior]\nhidden = [8]\nupdates = 20\n[critic]\nhidden = [8]\nupdates = 20\n\
    [finetune]\nupdates = 10\nstates = 8\n[evaluation]\nepisodes = 2\nepisodes_in_training = 2\nevaluations_in_training = 2\nbest_of = [2]\n";

fn tiltrl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiltrl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Runs, expects success, and returns what was printed on standard output and on standard error.
fn done(folder: &Path, arguments: &[&str]) -> [String; 2] {
    let output = tiltrl(folder, arguments);
    let texts = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned());
    assert!(output.status.success(), "{arguments:?}: {}", texts[1]);
    texts
}

#[test]
fn runs_become_one_page_and_are_compared() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path();
    std::fs::write(inside.join("tiny.toml"), TINY).expect("writable");
    let run = ["--quiet", "run", "--config", "tiny.toml", "--seeds", "1,2"];
    let [_, said] = done(inside, &[&run[..], &["--out", "a"]].concat());
    assert_eq!(said, "", "--quiet says nothing of the data");
    let notes = std::fs::read_to_string(inside.join("a/data-notes.txt")).expect("kept");
    assert!(notes.contains("clipped"), "{notes}");
    let hot = ["--set", "finetune.alpha_in_std=0.5", "--out", "b"];
    let [_, said] = done(inside, &[&run[1..], &hot].concat());
    assert!(said.contains("data: clipped"), "{said}");
    std::fs::write(inside.join("a/film.gif"), b"GIF89a").expect("writable");
    done(inside, &["report", "a"]);
    done(inside, &["report", "a", "b", "--out", "both.html"]);
    let read = |name: &str| std::fs::read_to_string(inside.join(name)).expect("written");
    for page in [read("a/report.html"), read("both.html")] {
        for outside in ["http://", "https://", "<script", "<link", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        for part in [
            "tiltrl run --config tiny.toml --data-dir data --seeds 1,2 --out a",
            "data:image/gif;base64,R0lGODlh",
            "best-of-2",
            "class=\"badge",
            "name=\"viewport\"",
            "alpha_in_std = 0.2",
            "clipped: ",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
    assert!(
        read("both.html").contains("<td>0.5</td>"),
        "keys that differ"
    );
    let again = tiltrl(inside, &["report", "a", "b", "--out", "both.html"]);
    assert_eq!(again.status.code(), Some(1), "a page is not overwritten");
    let none = tiltrl(inside, &["report", "nothing"]);
    assert_eq!(none.status.code(), Some(1));
    let [table, _] = done(inside, &["compare", "a", "b", "--json", "c.json"]);
    let key = table
        .lines()
        .find(|l| l.starts_with("finetune.alpha_in_std"));
    assert!(
        key.is_some_and(|l| l.contains("0.2") && l.contains("0.5")),
        "{table}"
    );
    let prior = table.lines().find(|l| l.starts_with("prior"));
    assert!(
        prior.is_some_and(|l| l.ends_with("the same, one by one")),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_str(&read("c.json")).expect("JSON");
    assert_eq!(json["keys"].as_array().expect("a list").len(), 1);
}
