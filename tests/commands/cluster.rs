//! A folder with experiments, and a Slurm of three scripts that stands in for the real one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Long enough to be killed in the middle.
const SMALL: &str = r#"
extends = "quickstart"
[prior]
hidden = [8]
updates = 40
[critic]
hidden = [8]
updates = 40
[finetune]
updates = 20
states = 8
alpha_in_std = ALPHA
[evaluation]
episodes = 4
episodes_in_training = 4
evaluations_in_training = 4
best_of = [2]
"#;

/// Stands in for sbatch: runs the elements of an array before it answers, two at a time and again where that is asked for. A line of
/// `victims` names an element, a folder and a file: as soon as the file is there, the process that holds the folder's lock is killed.
const SBATCH: &str = r#"#!/bin/bash
state=$(cd "$(dirname "$0")/.." && pwd)/state
echo "$*" >>"$state/calls"
if [ -e "$state/refuses" ]; then cat "$state/refuses" >&2; exit 1; fi
id=$(($(cat "$state/count" 2>/dev/null || echo 0) + 1))
echo "$id" >"$state/count"
array= output=
while [[ ${1:-} == --* ]]; do
    case $1 in
        --array=*) array=${1#*=} ;;
        --output=*) output=${1#*=} ;;
        --parsable | --dependency=*) ;;
        *) echo "sbatch: unrecognized option '$1'" >&2; exit 1 ;;
    esac
    shift
done
cp "$1" "$state/spooled-$id"
if [ ! -e "$state/idle" ]; then
    element() {
        local log=${output//%A/$id} restarts=0
        log=${log//%a/$1}
        log=${log//%j/$id}
        while
            rm -f "$state/requeue_${id}_$1"
            SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=$1 SLURM_RESTART_COUNT=$restarts \
                bash "$state/spooled-$id" "$2" >>"${log//%%/%}" 2>&1
            [ -e "$state/requeue_${id}_$1" ]
        do restarts=$((restarts + 1)); done
    }
    victim() {
        while [ ! -e "$2/$3" ]; do sleep 0.005; done
        kill -9 "$(cat "$2/lock")" && echo "$1" >>"$state/killed"
    }
    if [ -z "$array" ]; then
        element 0 "${2:-}"
    else
        while IFS=$'\t' read -r element folder file; do victim "$element" "$folder" "$file" & done <"$state/victims"
        for part in $(tr , ' ' <<<"${array%\%*}"); do
            for n in $(seq "${part%-*}" "${part#*-}"); do
                while [ "$(jobs -rp | wc -l)" -ge 5 ]; do wait -n; done
                element "$n" "$2" &
            done
        done
        wait
    fi
fi
echo "$id;cluster"
"#;
const SCONTROL: &str =
    "#!/bin/bash\n[ \"$1\" = requeue ] && touch \"$(dirname \"$0\")/../state/requeue_$2\"\n";
const SQUEUE: &str = "#!/bin/bash\ncat \"$(dirname \"$0\")/../state/queue\" 2>/dev/null\n";

/// A folder with spaces in its path, two experiments in it and a Slurm beside it.
pub(super) struct Place {
    _folder: tempfile::TempDir,
    pub(super) inside: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let inside = folder.path().join("a folder, it's 50% full");
        for name in ["bin", "state"] {
            std::fs::create_dir_all(inside.join(name)).expect("writable");
        }
        let place = Self {
            _folder: folder,
            inside,
        };
        place.write("cold.toml", &SMALL.replace("ALPHA", "0.1"));
        place.write("warm one.toml", &SMALL.replace("ALPHA", "1.0"));
        place.write("state/victims", "");
        for (name, text) in [
            ("sbatch", SBATCH),
            ("scontrol", SCONTROL),
            ("squeue", SQUEUE),
        ] {
            let path = place.inside.join("bin").join(name);
            place.write(&format!("bin/{name}"), text);
            let made = Command::new("chmod").arg("+x").arg(&path).status();
            assert!(made.expect("chmod").success());
        }
        place
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.inside.join(name), text).expect("writable");
    }

    pub(super) fn read(&self, name: &str) -> String {
        let path = self.inside.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiltrl"));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(&self.inside)
            .args(arguments)
            .env(
                "PATH",
                format!("{}:{path}", self.inside.join("bin").display()),
            )
            .env_remove("SLURM_CONF");
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    pub(super) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    pub(super) fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no `{word}` in: {text}");
        }
    }

    /// The table without the column of seconds, which no two runs share, and everything else that is computed.
    fn results(&self, out: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let table = self.read(&format!("{out}/benchmark.md"));
        let cut =
            |line: &str| match line.contains("seconds per seed") || line.contains("certificate ") {
                true => line
                    .trim_end_matches('|')
                    .rsplit_once('|')
                    .map_or(line, |(rest, _)| rest)
                    .to_string(),
                false => line.to_string(),
            };
        let lines: Vec<String> = table.lines().map(cut).collect();
        found.push(("benchmark.md".to_string(), lines.join("\n").into_bytes()));
        let mut json: serde_json::Value =
            serde_json::from_str(&self.read(&format!("{out}/benchmark.json"))).expect("JSON");
        for summary in json.as_array_mut().expect("a list") {
            summary["seconds"] = serde_json::Value::Null;
        }
        found.push(("benchmark.json".into(), json.to_string().into_bytes()));
        let mut files: Vec<String> = ["svg", "png", "csv"]
            .map(|e| format!("benchmark.{e}"))
            .to_vec();
        for name in ["cold", "warm one"] {
            files.extend((1..=6).map(|seed| format!("{name}/seed-{seed}/eval.csv")));
        }
        for name in files {
            let bytes = std::fs::read(self.inside.join(out).join(&name)).expect("written");
            found.push((name, bytes));
        }
        found
    }

    pub(super) fn same_results(&self, one: &str, other: &str) {
        for ((name, ours), (_, theirs)) in self.results(one).into_iter().zip(self.results(other)) {
            assert!(ours == theirs, "{name} of {one} is not that of {other}");
        }
    }
}

pub(super) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

const TWELVE: [&str; 5] = [
    "benchmark",
    "--configs",
    "cold.toml,warm one.toml",
    "--seeds",
    "1,2,3,4,5,6",
];

pub(super) fn twelve<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&TWELVE[..], &["--out", out], more].concat()
}

/// The folder of an element of the twelve: seeds first.
pub(super) fn folder_of(out: &str, element: usize) -> String {
    let name = ["cold", "warm one"][(element - 1) % 2];
    format!("{out}/{name}/seed-{}", (element - 1) / 2 + 1)
}

/// Three of the twelve, and the log whose appearance each of them is killed at.
pub(super) fn victims() -> Vec<(usize, &'static str)> {
    let mut random = ChaCha8Rng::seed_from_u64(16);
    let mut found = BTreeSet::new();
    while found.len() < 3 {
        found.insert(random.random_range(1..=12usize));
    }
    let stages = ["prior", "critic", "finetune"];
    found.into_iter().zip(stages).collect()
}

/// Waits for something, as long as a busy machine may need.
pub(super) fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(280), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
