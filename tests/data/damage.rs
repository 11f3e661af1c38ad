//! Damaged files: an error or a data set, but no panic, no abort, no flood of memory, no endless
//! loop. Each damage is read in this process, so an abort fails the whole test binary.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiltrl::data::{
    Dataset, Ending, NextObservations, Recorder, Transition, read_attributes, write,
};

/// Counts live bytes and remembers the most there ever were.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests share the counters.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator unchanged; the counters touch no memory of it.
#[expect(
    unsafe_code,
    reason = "the only way to see how much memory a damaged header asks for"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More than any file here could need, far less than an absurd dimension would ask for.
const MOST_BYTES: usize = 400 << 20;
const LONGEST: Duration = Duration::from_secs(20);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Reads `bytes` as a data file; returns whether they were accepted.
fn survives(path: &Path, bytes: &[u8], damage: &str) -> bool {
    std::fs::write(path, bytes).expect("written");
    let (started, live) = (Instant::now(), LIVE.load(Ordering::Relaxed));
    PEAK.store(live, Ordering::Relaxed);
    let outcome = std::panic::catch_unwind(|| {
        let _ = read_attributes(path);
        Dataset::read(&[path.to_path_buf()]).map(|dataset| assert_is_whole(&dataset))
    });
    let outcome = outcome.unwrap_or_else(|_| panic!("{damage}: a panic"));
    let peak = PEAK.load(Ordering::Relaxed) - live;
    assert!(
        peak < MOST_BYTES,
        "{damage}: {peak} bytes for a file of {}",
        bytes.len()
    );
    assert!(
        started.elapsed() < LONGEST,
        "{damage}: {:?}",
        started.elapsed()
    );
    outcome.is_ok()
}

/// Whatever was accepted has the same number of rows everywhere, and all its numbers are finite.
fn assert_is_whole(dataset: &Dataset) {
    let rows = dataset.len();
    assert!(rows > 0 && dataset.observations.nrows() == rows && dataset.actions.nrows() == rows);
    assert!(dataset.terminals.len() == rows && dataset.timeouts.len() == rows);
    if let Some(next) = &dataset.next_observations {
        assert_eq!(next.dim(), dataset.observations.dim());
    }
    assert!(
        dataset
            .observations
            .iter()
            .chain(&dataset.actions)
            .all(|value| value.is_finite())
    );
    assert!(!dataset.episodes().is_empty());
    let transitions = dataset.transitions();
    let kept = transitions.len();
    assert!(kept <= rows && transitions.next_observations.nrows() == kept);
    assert!(transitions.continues.len() == kept && transitions.terminals.len() == kept);
    assert_ne!(transitions.continues.last(), Some(&true));
}

struct Random(u64);

impl Random {
    /// A number below `bound` (SplitMix64).
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// The fixtures of every on-disk structure, and a larger file of our own with many chunks.
fn good_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = [
        "plain.hdf5",
        "float64.hdf5",
        "int8.hdf5",
        "new_format.hdf5",
        "uint8.hdf5",
        "link_soft.hdf5",
        "link_dense.hdf5",
        "link_dense_deep.hdf5",
    ];
    let read = |path: PathBuf| std::fs::read(path).expect("readable");
    let mut files: Vec<_> = names
        .iter()
        .map(|name| (name.to_string(), read(fixture(name))))
        .collect();
    let mut recorder = Recorder::new(11, 3, NextObservations::Stored);
    for row in 0..20_000_u16 {
        let observation: [f32; 11] =
            std::array::from_fn(|entry| (f32::from(row) + entry as f32).sin());
        recorder.push(Transition {
            observation: &observation,
            action: &observation[..3],
            reward: observation[5],
            next_observation: &observation,
            ending: Ending::of(row % 700 == 0, row % 1000 == 999),
        });
    }
    let own = folder.join("own.hdf5");
    write(
        &own,
        &recorder.finish(),
        &[("env".to_string(), "Test-v0".to_string())],
    )
    .expect("written");
    files.push(("own.hdf5".to_string(), read(own)));
    files
}

#[test]
fn truncated_files_are_errors() {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.hdf5");
    for (name, bytes) in good_files(folder.path()) {
        let step = (bytes.len() / 200).max(1);
        for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let damage = format!("{name} cut to {length} of {} bytes", bytes.len());
            assert!(
                !survives(&path, &bytes[..length], &damage),
                "{damage}: accepted"
            );
        }
    }
}

#[test]
fn a_truncated_file_is_called_truncated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("half.hdf5");
    let bytes = std::fs::read(fixture("plain.hdf5")).expect("readable");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let message = Dataset::read(&[path]).expect_err("half a file").to_string();
    assert!(
        message.contains("truncated") && message.contains("half.hdf5"),
        "{message}"
    );
}

#[test]
fn flipped_bytes_never_panic() {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.hdf5");
    let flips: usize =
        std::env::var("TILTRL_DAMAGE_FLIPS").map_or(500, |text| text.parse().expect("a number"));
    let mut random = Random(
        std::env::var("TILTRL_DAMAGE_SEED").map_or(1, |text| text.parse().expect("a number")),
    );
    for (name, good) in good_files(folder.path()) {
        for _ in 0..flips {
            let mut bytes = good.clone();
            // Most of the structure of these files lies in their first and last kilobytes.
            let span = if random.below(2) == 0 {
                good.len()
            } else {
                good.len().min(4096)
            };
            let mut damage = format!("{name}:");
            for _ in 0..1 + random.below(3) {
                let position = random.below(span);
                let value = match random.below(4) {
                    0 => 0x00,
                    1 => 0xff,
                    2 => bytes[position] ^ (1 << random.below(8)),
                    _ => random.below(256) as u8,
                };
                bytes[position] = value;
                damage += &format!(" byte {position} = {value:#04x}");
            }
            survives(&path, &bytes, &damage);
        }
    }
}

/// Every occurrence of the number of rows, as the format stores it, becomes absurd.
#[test]
fn absurd_dimensions_do_not_allocate() {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.hdf5");
    for (name, good) in good_files(folder.path()) {
        let rows: u64 = if name == "own.hdf5" { 20_000 } else { 8 };
        for width in [4, 8] {
            for absurd in [u64::MAX, 1 << 62, 1 << 40, 1 << 31, 1 << 27] {
                let mut bytes = good.clone();
                let pattern = &rows.to_le_bytes()[..width];
                for position in 0..bytes.len() - width {
                    if bytes[position..].starts_with(pattern) {
                        bytes[position..position + width]
                            .copy_from_slice(&absurd.to_le_bytes()[..width]);
                    }
                }
                let damage = format!("{name}: {width}-byte {rows} = {absurd}");
                assert!(!survives(&path, &bytes, &damage), "{damage}: accepted");
            }
        }
    }
}

#[test]
fn damaged_compressed_data_is_an_error_and_not_other_numbers() {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.hdf5");
    let (name, good) = good_files(folder.path()).pop().expect("our own file");
    std::fs::write(&path, &good).expect("written");
    let file = hdf5_pure::File::open(&path).expect("open");
    let observations = file.dataset("observations").expect("there");
    let chunks = observations.chunks().expect("chunked");
    let mut random = Random(7);
    for _ in 0..100 {
        let mut bytes = good.clone();
        let chunk = &chunks[random.below(chunks.len())];
        // The last bits before the checksum may mean nothing.
        let position = chunk.address as usize + random.below(chunk.storage_size as usize - 8);
        bytes[position] ^= 1 << random.below(8);
        let damage = format!("{name}: one bit of byte {position}");
        assert!(!survives(&path, &bytes, &damage), "{damage}: accepted");
    }
}
