//! The recorded data sets of `../shared/data`, against figures of h5py and NumPy.

use std::path::{Path, PathBuf};

use tiltrl::data::{Dataset, summarize};
use tiltrl::envs::ReferenceScores;

struct Recording {
    name: &'static str,
    transitions: usize,
    episodes: usize,
    trailing: usize,
    mean: f64,
    standard_deviation: f64,
    median: f64,
    score: f64,
}

/// Transitions, episodes, mean and score as in the README there; the longer figures from NumPy in
/// f64: `numpy.mean`, `numpy.std`, `numpy.median` of the sums of rewards between ends.
const RECORDINGS: [Recording; 6] = [
    recording(
        "hopper-medium-replay",
        [131_999, 852, 262],
        [
            430.2877148901383,
            447.26819322863594,
            249.08171620965004,
            13.8,
        ],
    ),
    recording(
        "hopper-medium",
        [200_000, 582, 33],
        [
            1126.9236004778609,
            201.57011116612097,
            1053.033560872078,
            35.2,
        ],
    ),
    recording(
        "hopper-expert",
        [200_000, 226, 67],
        [
            3230.9424605326053,
            652.9683801247645,
            3628.308618545532,
            99.9,
        ],
    ),
    recording(
        "halfcheetah-medium-replay",
        [155_999, 155, 999],
        [
            2998.4531521084214,
            1742.0799537525866,
            3847.24981277436,
            26.4,
        ],
    ),
    recording(
        "halfcheetah-medium",
        [200_000, 200, 0],
        [4670.493285458993, 79.98696434618705, 4670.68739042338, 39.9],
    ),
    recording(
        "halfcheetah-expert",
        [200_000, 200, 0],
        [
            11456.632483142406,
            545.0780451978231,
            11538.940507087857,
            94.5,
        ],
    ),
];

const fn recording(name: &'static str, counts: [usize; 3], numbers: [f64; 4]) -> Recording {
    let [transitions, episodes, trailing] = counts;
    let [mean, standard_deviation, median, score] = numbers;
    Recording {
        name,
        transitions,
        episodes,
        trailing,
        mean,
        standard_deviation,
        median,
        score,
    }
}

/// The returns that score 0 and 100 (D4RL's reference values).
fn reference(name: &str) -> ReferenceScores {
    let (min, max) = if name.starts_with("hopper") {
        (-20.272305, 3234.3)
    } else {
        (-280.178953, 12135.0)
    };
    ReferenceScores { min, max }
}

fn path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(format!("{name}.hdf5"));
    if !path.is_file() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn counts_returns_and_scores_are_those_of_numpy() {
    for expected in RECORDINGS {
        let Some(path) = path(expected.name) else {
            continue;
        };
        let started = std::time::Instant::now();
        let dataset = Dataset::read(&[path]).unwrap_or_else(|error| panic!("{error}"));
        eprintln!("{}: read in {:?}", expected.name, started.elapsed());
        let summary = summarize(&dataset, Some(reference(expected.name)));
        assert_eq!(
            summary.transitions, expected.transitions,
            "{}",
            expected.name
        );
        assert_eq!(summary.episodes, expected.episodes, "{}", expected.name);
        assert_eq!(
            summary.trailing_transitions, expected.trailing,
            "{}",
            expected.name
        );
        assert_eq!(summary.not_finite, 0);
        let close = |found: f64, wanted: f64| {
            assert!(
                (found - wanted).abs() < 2e-4,
                "{}: {found} is not {wanted}",
                expected.name
            );
        };
        close(summary.returns.mean, expected.mean);
        close(
            summary.returns.standard_deviation,
            expected.standard_deviation,
        );
        close(summary.returns.median, expected.median);
        let score = summary.normalized_score.expect("references given").mean;
        assert!(
            (score - expected.score).abs() < 0.051,
            "{}: {score}",
            expected.name
        );
    }
}

#[test]
fn transitions_follow_each_other_and_medium_expert_is_the_two_files() {
    for robot in ["hopper", "halfcheetah"] {
        let names = ["medium", "expert"].map(|kind| format!("{robot}-{kind}"));
        let [Some(medium), Some(expert)] = names.map(|name| path(&name)) else {
            continue;
        };
        let dataset = Dataset::read(&[medium, expert]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(dataset.len(), 400_000);
        let timeouts = dataset.timeouts.iter().filter(|&&timeout| timeout).count();
        let last_rows = [199_999, 399_999]
            .iter()
            .filter(|&&row| !dataset.timeouts[row])
            .count();
        let transitions = dataset.transitions();
        assert_eq!(transitions.len(), 400_000 - timeouts - last_rows);
        let copied = transitions.next_observations.view().sum();
        let moved = dataset.into_transitions();
        assert_eq!(
            moved.next_observations.view().sum().to_bits(),
            copied.to_bits()
        );
        assert_eq!(moved.observations, transitions.observations);
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let Some(path) = path("hopper-medium-replay") else {
        return;
    };
    let read = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| Dataset::read(std::slice::from_ref(&path)).expect("a good file"))
    };
    let (one, three) = (read(1), read(3));
    assert_eq!(one.observations, three.observations);
    assert_eq!(one.next_observations, three.next_observations);
    assert_eq!(one.actions, three.actions);
    assert_eq!(one.timeouts, three.timeouts);
    assert_eq!(one.sha256(), three.sha256());
}
