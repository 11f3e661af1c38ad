//! A sweep's file is read in both spellings, and all that is wrong with it is said at once.

use super::*;

fn parse(text: &str) -> Result<Sweep, Vec<String>> {
    Sweep::parse(text, Path::new("there"))
}

#[test]
fn dotted_and_nested_keys_are_the_same_sweep() {
    let dotted = "preset = \"quickstart\"\nseeds = [1, 2, 1]\n[set]\n\"prior.updates\" = 20\n\
        [values]\n\"finetune.alpha_in_std\" = [0.1, 1]\n\"critic.expectile\" = [0.7, 0.9, 0.95]\n[pulls]\npolicies = 3\n";
    let nested = "preset = \"quickstart\"\nseeds = [1, 2]\nset.prior.updates = 20\npulls.policies = 3\n\
        [values]\ncritic.expectile = [0.7, 0.9, 0.95]\n[values.finetune]\nalpha_in_std = [0.1, 1]\n";
    let sweep = parse(dotted).expect("valid");
    assert_eq!(sweep, parse(nested).expect("valid"));
    assert_eq!(sweep.keys, ["critic.expectile", "finetune.alpha_in_std"]);
    assert_eq!(
        (
            sweep.configurations.len(),
            &sweep.seeds[..],
            sweep.pulls.policies
        ),
        (6, &[1, 2][..], 3)
    );
    let (configuration, config) = &sweep.configurations[1];
    assert_eq!(
        configuration.overrides(),
        ["critic.expectile=0.7", "finetune.alpha_in_std=1"]
    );
    assert_eq!(
        (config.finetune.alpha_in_std, config.prior.updates),
        (1.0, 20)
    );
}

#[test]
fn a_random_search_draws_what_it_says() {
    let text = "preset = \"quickstart\"\nsearch = \"random\"\ndraws = 12\nseed = 4\n[values]\n\
        finetune.alpha_in_std = { min = 0.05, max = 2.0, scale = \"log\" }\nfinetune.states = { min = 8, max = 64 }\n\
        critic.kind = [\"iql\", \"advantage\"]\n";
    let sweep = parse(text).expect("valid");
    assert_eq!((sweep.configurations.len(), sweep.repeated), (12, 0));
    for (_, config) in &sweep.configurations {
        assert!((0.05..=2.0).contains(&config.finetune.alpha_in_std));
        assert!((8..=64).contains(&config.finetune.states));
    }
    let more = parse(&text.replace("12", "20")).expect("valid");
    assert_eq!(more.configurations[..12], sweep.configurations[..]);
    // A choice among two has at most two configurations: the rest are repeats, and counted.
    let few = "preset = \"quickstart\"\nsearch = \"random\"\ndraws = 9\n[values]\nfinetune.guidance = [true, false]\n";
    let sweep = parse(few).expect("valid");
    assert_eq!((sweep.configurations.len(), sweep.repeated), (2, 7));
}

#[test]
fn every_fault_is_told_at_once_with_its_key() {
    let text = "preset = \"quickstart\"\nseeds = [1, -2]\nsearh = \"grid\"\ndraws = 3\n[set]\nprior.updates = 0\n[values]\n\
        finetune.alpha_in_std = [0.5, -1, 0]\ncritic.expectil = [0.8]\nprior.num_steps = 5\nenv = [\"hopper-v4\"]\n\
        [pulls]\npolicies = 0\nexploration = \"much\"\n";
    let faults = parse(text).expect_err("many").join("\n");
    for words in [
        "seeds: expected a list of whole numbers from 0, at least one, found [1, -2]",
        "searh: no such key; did you mean `search`?",
        "draws: expected search = \"random\" beside it",
        "pulls.policies: expected 1 to 1000, found 0",
        "pulls.exploration: expected 0 to 1000000, found \"much\"",
        "values.prior.num_steps: expected a list of values, at least one, found 5",
        "values.critic.expectil: unknown key `expectil`; did you mean `expectile`?",
        "values.env: expected a key whose values can be compared",
    ] {
        assert!(faults.contains(words), "no `{words}` in\n{faults}");
    }
    let ranges = "preset = \"quickstart\"\n[set]\nprior.updates = 0\n[values]\nfinetune.alpha_in_std = [0.5, -1, 0]\ncritic.discount = [0.9, 2.0]\n";
    let faults = parse(ranges).expect_err("four");
    assert_eq!(faults.len(), 4, "each once: {faults:?}");
    for words in [
        "set.prior.updates: expected 1 to",
        "values.finetune.alpha_in_std: expected above 0, finite, found -1",
        "values.critic.discount: expected above 0, below 1, found 2.0",
    ] {
        assert!(
            faults.iter().any(|f| f.starts_with(words)),
            "no `{words}` in {faults:?}"
        );
    }
    // The ends of a range are checked even where no draw comes near.
    let end = "preset = \"quickstart\"\nsearch = \"random\"\ndraws = 1\n[values]\ncritic.discount = { min = 0.5, max = 1.0 }\n";
    let faults = parse(end).expect_err("one");
    assert_eq!(
        faults,
        ["values.critic.discount: expected above 0, below 1, found 1.0"]
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let base = "preset = \"quickstart\"\n[values]\nfinetune.alpha_in_std = [0.5]\n";
    parse(base).expect("valid");
    for (text, words) in [
        (
            format!("{base}[set]\nfinetune.alpha_in_std = 1\n"),
            "set.finetune.alpha_in_std: expected in [set] or in [values]",
        ),
        (
            format!("config = \"a.toml\"\n{base}"),
            "config: expected none beside `preset`",
        ),
        (
            base.replace("preset = \"quickstart\"\n", ""),
            "preset: expected the name of a preset",
        ),
        (
            base.replace("quickstart", "quickstar"),
            "did you mean `quickstart`",
        ),
        (
            base.replace("preset = \"quickstart\"", "config = \"mine.toml\""),
            "there/mine.toml",
        ),
        (
            base.replace("[0.5]", "[]"),
            "a list of values, at least one, found []",
        ),
        (
            base.replace("[0.5]", "{ min = 1, max = 2 }"),
            "a list of values",
        ),
        (
            format!("search = \"random\"\n{base}"),
            "draws: expected how many",
        ),
        (
            format!("search = \"bayes\"\n{base}"),
            "search: expected \"grid\" or \"random\", found \"bayes\"",
        ),
        (
            format!("search = \"random\"\ndraws = 2\n{base}")
                .replace("[0.5]", "{ min = 2, max = 1 }"),
            "A below B",
        ),
        (
            format!("search = \"random\"\ndraws = 2\n{base}")
                .replace("[0.5]", "{ min = 0, max = 1, scale = \"log\" }"),
            "min above 0",
        ),
        (
            format!("{base}[pulls]\npolicy = \"best-of-3\"\n"),
            "pulls.policy: expected one of prior, best-of-16, posterior",
        ),
        (
            "preset = \"quickstart\"\n".into(),
            "values: expected a table with at least one key",
        ),
        ("preset = ".into(), "not TOML"),
    ] {
        let faults = parse(&text).expect_err(words).join("\n");
        assert!(faults.contains(words), "no `{words}` in {faults}");
    }
}
