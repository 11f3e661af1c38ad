//! `tiltrl sweep`: a table of configurations and the curve over pulls, here and by Slurm, whole and in part.

use super::cluster::{Place, said};

/// Beside the experiment `cold.toml` of the place.
const SWEEP: &str = r#"
config = "cold.toml"
seeds = [1, 2]
[set]
evaluation.episodes = 6
[values]
finetune.alpha_in_std = [0.1, 1.0]
critic.expectile = [0.7, 0.9]
[pulls]
policies = 3
pulls = 20
trials = 500
"#;

#[test]
fn a_sweep_grows_goes_on_and_is_the_same_by_slurm() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let text = place.done(&["sweep", "sweep.toml", "--out", "here", "--jobs", "2"]);
    for words in [
        "| configuration | critic.expectile | finetune.alpha_in_std | return of posterior |",
        "| 2 of 2 |",
        "pulls        3 of 8 policies:",
        "after 20 pulls",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(!text.contains("Missing"), "{text}");
    let csv = place.read("here/sweep.csv");
    assert_eq!(csv.lines().count(), 5);
    assert!(
        csv.lines().skip(1).all(|l| l.ends_with(",12,2,2,done")),
        "{csv}"
    );
    // The mean in the table is that of the episodes in the folders.
    let row: Vec<&str> = csv.lines().nth(1).expect("a row").split(',').collect();
    let returns: Vec<f64> = [1, 2]
        .iter()
        .flat_map(|seed| {
            let text = place.read(&format!("here/{}/seed-{seed}/final.csv", row[0]));
            let own = text
                .lines()
                .filter(|l| l.contains(",posterior,"))
                .map(String::from);
            own.collect::<Vec<String>>()
        })
        .map(|line| {
            line.split(',')
                .nth(4)
                .expect("a return")
                .parse()
                .expect("a number")
        })
        .collect();
    let mean = returns.iter().sum::<f64>() / returns.len() as f64;
    assert_eq!((row[3], returns.len()), (format!("{mean:.6}").as_str(), 12));
    let pulls = place.read("here/pulls.csv");
    assert_eq!(pulls.lines().count(), 22);
    let svg = place.read("here/pulls.svg");
    assert!(svg.contains("chosen by UCB") && svg.contains("drawn blindly"));
    // By Slurm, with one element killed: the same bytes.
    let folder = place.inside.join(format!("by slurm/{}/seed-1", row[0]));
    place.write(
        "state/victims",
        &format!("1\t{}\tlog/critic.json\n", folder.display()),
    );
    let text = place.done(&["sweep", "sweep.toml", "--out", "by slurm", "--slurm"]);
    assert!(text.contains("8 to submit"), "{text}");
    assert_eq!(place.read("state/killed"), "1\n");
    for name in ["sweep.md", "sweep.csv", "pulls.csv", "pulls.svg"] {
        let [ours, theirs] = ["here", "by slurm"].map(|out| place.read(&format!("{out}/{name}")));
        assert_eq!(ours, theirs, "{name}");
    }
    // A value and more episodes: what is there stays, and grows.
    let checkpoint = format!("here/{}/seed-1/checkpoints/posterior.safetensors", row[0]);
    let bytes = || std::fs::read(place.inside.join(&checkpoint)).expect("written");
    let before = bytes();
    let grown = SWEEP
        .replace("0.1, 1.0", "0.1, 1.0, 3.0")
        .replace("episodes = 6", "episodes = 7");
    place.write("sweep.toml", &grown);
    let text = place.done(&["sweep", "sweep.toml", "--out", "here", "--table"]);
    assert!(
        text.contains("to go on with more evaluation.episodes") && text.contains("not started"),
        "{text}"
    );
    assert!(text.contains("no curve yet"), "{text}");
    let text = place.done(&["sweep", "sweep.toml", "--out", "here", "--jobs", "2"]);
    assert!(
        text.contains("3 of 12 policies") && before == bytes(),
        "{text}"
    );
    // A change that cannot be: refused before anything is trained.
    place.write(
        "sweep.toml",
        &SWEEP.replace("[set]", "[set]\ncritic.discount = 0.5"),
    );
    let words = [
        "critic.discount: 0.97 in the folder, 0.5 asked for",
        "another --out",
    ];
    place.refused(&["sweep", "sweep.toml", "--out", "here"], 1, &words);
}

#[test]
fn a_configuration_that_fails_is_named_and_the_others_stand() {
    let place = Place::new();
    let bad = SWEEP.replace(
        "critic.expectile = [0.7, 0.9]",
        "critic.learning_rate = [3e-4, 1e30]",
    );
    place.write(
        "sweep.toml",
        &bad.replace("finetune.alpha_in_std = [0.1, 1.0]\n", ""),
    );
    let output = place.run(&["sweep", "sweep.toml", "--out", "here"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in [
        "Missing: 2 of 4 runs.",
        "the loss is not finite",
        "| 0 of 2 |",
        "| 2 of 2 |",
        "2 policies are finished",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(place.read("here/sweep.csv").contains(",seed 1 died "));
}

#[test]
fn a_file_with_faults_trains_nothing() {
    let place = Place::new();
    place.write(
        "sweep.toml",
        &SWEEP
            .replace("[0.1, 1.0]", "[0.1, 0]")
            .replace("expectile", "expectil")
            .replace("seeds = [1, 2]", "seeds = []"),
    );
    let words = [
        "sweep.toml: 3 faults in the sweep",
        "values.finetune.alpha_in_std: expected above 0, finite, found 0",
        "values.critic.expectil: unknown key `expectil`; did you mean `expectile`?",
        "seeds: expected a list of whole numbers",
    ];
    place.refused(&["sweep", "sweep.toml", "--out", "here"], 2, &words);
    assert!(!place.inside.join("here").exists());
    place.refused(&["sweep", "nothing.toml"], 1, &["nothing.toml"]);
}

/// The file in the book is a sweep.
#[test]
fn the_example_of_the_book_is_read() {
    let place = Place::new();
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/many-machines.md");
    let page = std::fs::read_to_string(book).expect("the page");
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|t| t.split("```").next())
        .collect();
    assert_eq!(examples.len(), 2, "a grid and a random search");
    for (example, count) in examples.iter().zip([12, 36]) {
        place.write("sweep.toml", example);
        let text = place.done(&["sweep", "sweep.toml", "--out", "here", "--table"]);
        assert!(
            text.contains(&format!("Missing: {count} of {count} runs.")),
            "{text}"
        );
    }
}
