//! The one table: rows of all seeds, the same task and method on one line.

use std::collections::BTreeSet;

use super::outcome::{Check, Row};

/// A column: its name, its digits, and its number in a row.
type Column<'a> = (String, usize, Box<dyn Fn(&Row) -> Option<f64> + 'a>);

fn columns<'a>(rows: &'a [&'a Row], distance: &str) -> Vec<Column<'a>> {
    let fixed = |name: &str, digits: usize, get: fn(&Row) -> Option<f64>| -> Column<'a> {
        (name.into(), digits, Box::new(get))
    };
    let mut all = vec![
        fixed("log Z", 3, |r| r.log_z),
        fixed("ELBO", 3, |r| r.elbo),
        fixed("importance", 3, |r| r.importance),
        fixed("reference", 3, |r| r.reference),
        fixed("ESS/N", 3, |r| r.ess),
        fixed("mean log r", 3, |r| r.log_reward),
        fixed(distance, 4, |r| r.distance),
        fixed("floor", 4, |r| r.floor),
        fixed("KL", 4, |r| r.kl),
        fixed("diversity", 1, |r| r.diversity),
        fixed("seconds", 1, |r| r.seconds),
    ];
    let more: BTreeSet<&String> = rows.iter().flat_map(|r| r.more.keys()).collect();
    for name in more {
        let get = move |r: &Row| r.more.get(name).copied();
        all.push((name.clone(), 3, Box::new(get)));
    }
    all.retain(|(_, _, get)| rows.iter().any(|row| get(row).is_some()));
    all
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Returns the lines of the table: means over the seeds, and how many of them kept the row's bounds.
///
/// The distance is followed by the worst of the seeds where there are several.
pub fn lines(seeds: &[Vec<Row>], distance: &str) -> Vec<String> {
    let rows: Vec<&Row> = seeds.iter().flatten().collect();
    let mut names: Vec<[&str; 2]> = Vec::new();
    for row in &rows {
        let name = [row.task.as_str(), row.method.as_str()];
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns = columns(&rows, distance);
    let heads = columns.iter().map(|(name, _, _)| name.clone());
    let head: Vec<String> = ["task", "method"].map(String::from).to_vec();
    let mut cells: Vec<Vec<String>> = vec![
        head.into_iter()
            .chain(heads)
            .chain(["asked".into()])
            .collect(),
    ];
    for [task, method] in names {
        let own: Vec<&&Row> = rows
            .iter()
            .filter(|r| r.task == task && r.method == method)
            .collect();
        let mut line = vec![task.to_string(), method.to_string()];
        for (name, digits, get) in &columns {
            let numbers: Vec<f64> = own.iter().filter_map(|row| get(row)).collect();
            line.push(match numbers.as_slice() {
                [] => "-".into(),
                [one] => format!("{one:.digits$}"),
                many if name == distance => {
                    let worst = many.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    format!("{:.digits$} ≤ {worst:.digits$}", mean(many))
                }
                many => format!("{:.digits$}", mean(many)),
            });
        }
        line.push(verdict(&own));
        cells.push(line);
    }
    aligned(&cells)
}

fn verdict(rows: &[&&Row]) -> String {
    let Some(first) = rows.iter().find(|row| !row.checks.is_empty()) else {
        return String::new();
    };
    let passed = rows.iter().filter(|row| row.passed()).count();
    let word = if passed == rows.len() { "PASS" } else { "FAIL" };
    let asked: Vec<String> = first.checks.iter().map(demand).collect();
    let count = if rows.len() > 1 {
        format!(" {passed}/{}", rows.len())
    } else {
        String::new()
    };
    format!("{word}{count}: {}", asked.join(", "))
}

fn demand(check: &Check) -> String {
    let sign = if check.above { '>' } else { '<' };
    format!("{} {sign} {}", check.what, check.bound)
}

/// Columns of the width of their widest cell; the first two and the last are flush left.
fn aligned(cells: &[Vec<String>]) -> Vec<String> {
    let count = cells[0].len();
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let mut out = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let left = at < 2 || at + 1 == count;
            let cell = if left {
                format!("{cell}{pad}")
            } else {
                format!("{pad}{cell}")
            };
            out.push_str(&cell);
            out.push_str("  ");
        }
        out.trim_end().to_string()
    };
    cells.iter().map(line).collect()
}

/// The rows of a seed.
pub struct OfSeed {
    /// Which seed it is.
    pub seed: u64,
    /// The rows of its table.
    pub rows: Vec<Row>,
}

/// Returns what the seeds missed, one sentence each.
pub fn missed(seeds: &[OfSeed]) -> Vec<String> {
    let mut out = Vec::new();
    for OfSeed { seed, rows } in seeds {
        for row in rows {
            for check in row.checks.iter().filter(|check| !check.passed()) {
                let found = check
                    .found
                    .map_or("not finite".into(), |f| format!("{f:.4}"));
                out.push(format!(
                    "seed {seed}, {}, {}: {} is {found}",
                    row.task,
                    row.method,
                    demand(check)
                ));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(distance: f64) -> Row {
        Row {
            distance: Some(distance),
            checks: vec![Check::below("TV", distance, 0.02)],
            ..Row::new("doubles", "balance")
        }
    }

    #[test]
    fn the_table_has_one_line_per_method_and_a_missed_bound_is_named() {
        let seeds = vec![vec![row(0.01)], vec![row(0.03)]];
        let lines = lines(&seeds, "TV");
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("0.0200 ≤ 0.0300"), "{}", lines[1]);
        assert!(lines[1].contains("FAIL 1/2: TV < 0.02"), "{}", lines[1]);
        assert!(!lines[0].contains("ELBO"), "columns without numbers go");
        let missed = missed(&[1, 2].map(|seed| OfSeed {
            seed,
            rows: seeds[seed as usize - 1].clone(),
        }));
        assert_eq!(missed, ["seed 2, doubles, balance: TV < 0.02 is 0.0300"]);
    }
}
