//! Arrays in scratch files hold the same numbers as arrays in memory, whatever the format.

use std::path::PathBuf;

use tiltrl::data::{Dataset, ReadOptions};

/// Every file of a folder of the fixtures that can be read at all.
fn readable(folder: &str) -> Vec<(PathBuf, Dataset)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("the fixtures");
    let paths = entries.flatten().map(|entry| entry.path());
    let read = |path: PathBuf| Some((path.clone(), Dataset::read(&[path]).ok()?));
    paths.filter_map(read).collect()
}

#[test]
fn rows_are_the_same_on_disk_as_in_memory() {
    let folders = ["tests/fixtures", "tests/fixtures/formats"];
    let files: Vec<_> = folders.into_iter().flat_map(readable).collect();
    assert!(files.len() >= 20, "{} files", files.len());
    for (path, memory) in files {
        let on_disk = ReadOptions {
            in_memory: 0,
            ..ReadOptions::default()
        };
        let name = path.display().to_string();
        let disk = Dataset::read_with(&[path], &on_disk).expect("it was read before");
        assert_eq!(disk.observations, memory.observations, "{name}");
        assert_eq!(disk.actions, memory.actions, "{name}");
        assert_eq!(disk.next_observations, memory.next_observations, "{name}");
        assert_eq!(disk.rewards, memory.rewards, "{name}");
        assert_eq!(disk.notes, memory.notes, "{name}");
        let (disk, memory) = (disk.into_transitions(), memory.into_transitions());
        let lie = disk.observations.into_values();
        assert!(lie.on_disk(), "{name}: the rows are where they should be");
        assert_eq!(lie, memory.observations.into_values(), "{name}");
        assert_eq!(disk.next_observations, memory.next_observations, "{name}");
    }
}
