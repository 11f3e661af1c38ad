//! The two scripts that Slurm is given: one element of the array, and the table after them.

use std::path::Path;

use super::plan::{Plan, Settings};
use crate::run::shell;

/// A job that is killed is repeated so often by its own script; every time it goes on from its last checkpoint.
const REPEATS: u32 = 10;

/// Returns the script of an element. Its one argument is added to the index of the element to find its line of jobs.txt.
pub fn array(plan: &Plan<'_>, folder: &Path, here: &Path) -> String {
    format!(
        r#"{head}#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
{own}
cd {here} || exit 1
folder={folder}
element=$((${{1:-0}} + SLURM_ARRAY_TASK_ID))
line=$(sed -n "${{element}}p" "$folder/jobs.txt")
if [ -z "$line" ]; then
    echo "error: $folder/jobs.txt has no line $element" >&2
    exit 1
fi
said=$folder/said/$element.txt
# A minute before the time limit Slurm sends USR1: the run is ended and repeated.
trap 'kill "$child" && wait "$child"' USR1
eval "exec $line" </dev/null 2>"$said" &
child=$!
wait "$child"
code=$?
cat "$said" >&2
# Slurm repeats by itself what preemption or a failing node ended. This is for every other signal: memory, time, a stray kill.
if [ "$code" -gt 128 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {REPEATS} ]; then
    echo "note: ended by signal $((code - 128)); asking for a repeat" >&2
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" >&2
fi
exit "$code"
"#,
        head = head(plan, "", "One element runs one line of jobs.txt"),
        own = lines(plan.settings),
        here = quoted(here),
        folder = quoted(folder),
    )
}

/// Returns the script of the table.
pub fn table(plan: &Plan<'_>, start: &[String], here: &Path) -> String {
    format!(
        "{}{}\ncd {} || exit 1\nexec {}\n",
        head(plan, "-table", "The table of what is there"),
        lines(plan.settings),
        quoted(here),
        shell(&[start, plan.table].concat()),
    )
}

fn head(plan: &Plan<'_>, end: &str, what: &str) -> String {
    format!(
        "#!/bin/bash\n# {what}. Written by `tiltrl {title} --slurm`, anew with every call.\n#SBATCH --job-name=tiltrl-{title}{end}\n#SBATCH --requeue\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task={}\n",
        plan.threads,
        title = plan.title,
    )
}

/// The user's own lines.
fn lines(settings: &Settings) -> String {
    let named = [
        ("partition", &settings.partition),
        ("time", &settings.time),
        ("mem", &settings.mem),
    ];
    let named = named.into_iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(format!("#SBATCH --{name}={value}\n"))
    });
    let own = settings
        .lines
        .iter()
        .map(|line| format!("#SBATCH {line}\n"));
    named.chain(own).collect()
}

fn quoted(path: &Path) -> String {
    shell(&[path.display().to_string()])
}
