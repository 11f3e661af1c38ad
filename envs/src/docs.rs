//! An environment's documentation page, written from its specification so that the two cannot drift apart.

use crate::env::{Component, EnvSpec};
use crate::planar::Margin;
use crate::registry;
use std::fmt::Write;

/// The page of an environment as Markdown: tables of action and observation, reward, start, termination, truncation and
/// versions.
pub fn markdown(spec: &EnvSpec) -> String {
    let mut page = format!("# {}\n\n{}\n\n", spec.id, spec.rules.summary);
    let mut facts = vec![
        ("Action", format!("{} numbers in [−1, 1]", spec.action_dim)),
        (
            "Observation",
            format!("{} numbers (f32)", spec.observation_dim),
        ),
        (
            "Timestep",
            format!("{} s", (spec.timestep * 1e9).round() / 1e9),
        ),
        ("Engine", format!("{} {}", spec.engine, spec.engine_version)),
    ];
    if let Some(margin) = spec.margin {
        let rule = match margin {
            Margin::Max => "max (D4RL's)",
            Margin::Sum => "sum (MuJoCo from 3.6.0)",
        };
        facts.push(("Contact margin rule", rule.into()));
    }
    if let Some(reference) = spec.reference {
        facts.push((
            "Score 0 / 100",
            format!("return {} / {}", reference.min, reference.max),
        ));
    }
    page.push_str("| | |\n|---|---|\n");
    for (what, value) in facts {
        let _ = writeln!(page, "| {what} | {value} |");
    }
    page.push_str("\n## Action\n\n−1 … 1 stands for the smallest … largest value.\n\n");
    table(&mut page, &spec.action);
    page.push_str("\n## Observation\n\n");
    table(&mut page, &spec.observation);
    for (title, text) in [
        ("Reward", spec.rules.reward.clone()),
        ("Start", spec.rules.start.clone()),
        ("Termination", spec.rules.termination.clone()),
        ("Truncation", format!("after {} steps", spec.horizon)),
        ("Versions", spec.rules.versions.clone()),
        ("Source", spec.rules.source.clone()),
    ] {
        if !text.is_empty() {
            let _ = write!(page, "\n## {title}\n\n{text}\n");
        }
    }
    page
}

/// A page of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Name of its file.
    pub name: String,
    /// What it says, in Markdown.
    pub text: String,
}

/// Returns the pages of all built-in environments, an index first.
pub fn pages() -> Vec<Page> {
    let mut index = String::from(
        "# Environments\n\nWritten by `tiltrl envs docs docs/environments` from the specifications; a test fails when they differ.\n\n\
         | id | observation | action | steps | task |\n|---|---|---|---|---|\n",
    );
    let mut pages = Vec::new();
    for id in registry::ids() {
        let spec = registry::spec_of(id).expect("a built-in id");
        let (dims, summary) = ([spec.observation_dim, spec.action_dim], &spec.rules.summary);
        let _ = writeln!(
            index,
            "| [{id}]({id}.md) | {} | {} | {} | {summary} |",
            dims[0], dims[1], spec.horizon
        );
        pages.push(Page {
            name: format!("{id}.md"),
            text: markdown(&spec),
        });
    }
    let _ = write!(
        index,
        "\nWith MuJoCo and an MJCF file of your own (`--mjcf FILE`): {}. `tiltrl envs show ID --mjcf FILE` prints the page of one.\n",
        registry::mjcf_ids().join(", ")
    );
    let index = Page {
        name: "README.md".into(),
        text: index,
    };
    pages.insert(0, index);
    pages
}

fn table(page: &mut String, components: &[Component]) {
    page.push_str("| index | meaning | smallest | largest | unit |\n|---|---|---|---|---|\n");
    let number = |x: f64| {
        if x.is_infinite() {
            if x > 0.0 {
                "∞".into()
            } else {
                "−∞".into()
            }
        } else {
            // f32 bounds are shown as they are written, not with f64's extra digits.
            format!("{}", x as f32).replace('-', "−")
        }
    };
    for (index, component) in components.iter().enumerate() {
        let (low, high) = (number(component.low), number(component.high));
        let (name, unit) = (&component.name, &component.unit);
        let _ = writeln!(page, "| {index} | {name} | {low} | {high} | {unit} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_environments_page_has_a_row_per_component_and_no_empty_part() {
        for id in crate::ids() {
            let spec = crate::spec_of(id).expect("known id");
            let page = markdown(&spec);
            let rows = page.lines().filter(|line| line.starts_with("| ")).count();
            let facts =
                4 + usize::from(spec.margin.is_some()) + usize::from(spec.reference.is_some());
            // Two tables with a header row each, and the facts below "| | |".
            assert_eq!(
                rows,
                spec.action_dim + spec.observation_dim + 2 + facts + 1,
                "{page}"
            );
            for part in [
                "Reward",
                "Start",
                "Termination",
                "Truncation",
                "Versions",
                "Source",
            ] {
                assert!(
                    page.contains(&format!("## {part}\n\n")),
                    "{id} lacks {part}"
                );
            }
        }
    }

    #[test]
    fn the_hoppers_page_says_what_its_rules_say() {
        let page = markdown(&crate::spec_of("hopper-v4").expect("known id"));
        assert!(
            page.contains("| 0 | torque of thigh_joint | −200 | 200 | N·m |"),
            "{page}"
        );
        assert!(
            page.contains("| 5 | velocity of rootx | −10 | 10 | m/s |"),
            "{page}"
        );
        assert!(
            page.contains("unless height > 0.7 m and |angle| < 0.2 rad"),
            "{page}"
        );
    }
}
