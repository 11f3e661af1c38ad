//! What a run found, as JSON and as a table.

use super::Findings;
use super::policies::PolicyRate;
use std::fmt::Write as _;
use tiltrl_envs::gpu::Mode;

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// The findings for programs.
pub fn json(found: &Findings, rehearsed: bool) -> String {
    let checks = found.checks.iter().map(|c| {
        format!(
            "{{\"task\": {}, \"mode\": \"{}\", \"unequal\": {}, \"compared\": {}, \"largest_early_difference\": {:e}}}",
            quoted(&c.task), c.mode, c.unequal, c.compared, c.early
        )
    });
    let rates = found.rates.iter().map(|r| {
        format!(
            "{{\"task\": {}, \"mode\": \"{}\", \"environments\": {}, \"registers\": {}, \"steps_per_second\": {:.1}, \"microseconds\": {:.2}}}",
            quoted(&r.task), r.mode, r.count,
            r.registers.map_or("null".into(), |n| n.to_string()),
            r.per_second, r.step
        )
    });
    let cpu = found.cpu.iter().map(|(task, rate)| {
        format!(
            "{{\"task\": {}, \"steps_per_second\": {rate:.1}}}",
            quoted(task)
        )
    });
    let policy_checks = found.policy_checks.iter().map(|c| {
        format!(
            "{{\"policy\": {}, \"compared\": {}, \"largest_difference\": {:e}}}",
            quoted(&c.policy),
            c.compared,
            c.worst
        )
    });
    let policy_rates = found.policy_rates.iter().map(policy_rate);
    let notes = found.notes.iter().map(|note| quoted(note));
    let list = |items: Vec<String>| format!("[\n    {}\n  ]", items.join(",\n    "));
    format!(
        "{{\n  \"device\": {},\n  \"rehearsed\": {},\n  \"threads\": {},\n  \"checks\": {},\n  \"cpu\": {},\n  \"rates\": {},\n  \"policy_checks\": {},\n  \"policies\": {},\n  \"notes\": {}\n}}\n",
        quoted(&found.device),
        rehearsed,
        std::thread::available_parallelism().map_or(1, |n| n.get()),
        list(checks.collect()),
        list(cpu.collect()),
        list(rates.collect()),
        list(policy_checks.collect()),
        list(policy_rates.collect()),
        list(notes.collect())
    )
}

fn policy_rate(r: &PolicyRate) -> String {
    let closed = r.closed.as_ref().map_or("null".into(), |(task, mode)| {
        format!("{{\"task\": {}, \"mode\": \"{mode}\"}}", quoted(task))
    });
    format!(
        "{{\"policy\": {}, \"closed_loop\": {closed}, \"environments\": {}, \"per_second\": {:.1}, \"microseconds\": {:.2}}}",
        quoted(&r.policy),
        r.count,
        r.per_second,
        r.step
    )
}

/// Denoising alone, and closed loops.
fn policies(found: &Findings, counts: &[usize]) -> String {
    let mut text = String::from("\n## Actions of policies, and closed loops, per second\n");
    for c in &found.policy_checks {
        let (policy, compared, worst) = (&c.policy, c.compared, c.worst);
        let _ = writeln!(
            text,
            "\n{policy}: {compared} actions are {worst:.1e} from the twin's at most."
        );
    }
    text.push_str("\n| policy | environments step |");
    for count in counts {
        let _ = write!(text, " {count} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(counts.len()));
    let mut done = Vec::new();
    for first in &found.policy_rates {
        let row = (&first.policy, &first.closed);
        if done.contains(&row) {
            continue;
        }
        done.push(row);
        let closed = first.closed.as_ref();
        let closed = closed.map_or("no".into(), |(task, mode)| format!("{task} {mode}"));
        let _ = write!(text, "| {} | {closed} |", first.policy);
        for count in counts {
            let mut rates = found.policy_rates.iter();
            let rate = rates.find(|r| (&r.policy, &r.closed) == row && r.count == *count);
            let shown = rate.map_or("–".into(), |r| format!("{:.3} M", r.per_second / 1e6));
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    text
}

/// The findings for people.
pub fn markdown(found: &Findings, counts: &[usize], rehearsed: bool) -> String {
    let mut text = format!(
        "# Environment steps per second\n\nDevice: {}.\n",
        found.device
    );
    if rehearsed {
        text.push_str("\n**A rehearsal: the figures are of the twin on the CPU and say nothing about a GPU.**\n");
    }
    text.push_str("\n| task | mode | rewards not the CPU's | largest difference in 5 steps |\n|---|---|---|---|\n");
    for c in &found.checks {
        let _ = writeln!(
            text,
            "| {} | {} | {} of {} | {:.1e} |",
            c.task, c.mode, c.unequal, c.compared, c.early
        );
    }
    text.push_str("\nThe modes f64 and f32 must have none; the fast mode is compared with f64.\n\n| task | mode |");
    for count in counts {
        let _ = write!(text, " {count} |");
    }
    let _ = writeln!(
        text,
        " CPU, f64 |\n|---|---|{}---|",
        "---|".repeat(counts.len())
    );
    for (task, cpu) in &found.cpu {
        for mode in Mode::ALL {
            if !found
                .checks
                .iter()
                .any(|c| c.task == *task && c.mode == mode)
            {
                continue;
            }
            let _ = write!(text, "| {task} | {mode} |");
            for count in counts {
                let rate = found.rates.iter().find(|r| {
                    r.task == *task && r.mode == mode && r.count == *count && r.registers.is_none()
                });
                let shown = rate.map_or("–".into(), |r| format!("{:.2} M", r.per_second / 1e6));
                let _ = write!(text, " {shown} |");
            }
            let _ = writeln!(text, " {:.3} M |", cpu / 1e6);
        }
    }
    for r in found.rates.iter().filter(|r| r.registers.is_some()) {
        let registers = r.registers.unwrap_or_default();
        let million = r.per_second / 1e6;
        let _ = writeln!(
            text,
            "\n{} {} × {} with at most {registers} registers: {million:.2} M",
            r.task, r.mode, r.count
        );
    }
    text.push_str(&policies(found, counts));
    for note in &found.notes {
        let _ = writeln!(text, "\nNote: {note}");
    }
    text
}
