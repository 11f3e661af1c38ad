//! What stands in an event file, read by a decoder of its own; damage, growth, and numbers at the edge.

use tiltrl_envs::spec_of;

use super::*;
use crate::rollout::Episode;

fn folder() -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().to_path_buf();
    (folder, RunDir { path })
}

fn log(dir: &RunDir, stage: &str, updates: &[u64]) {
    let mut log = Log::resume(dir, stage, &["loss", "other"], 0).expect("new");
    for &update in updates {
        let x = update as f64 / 3.0;
        log.push(update, &[x, if update == 20 { f64::NAN } else { -x }]);
    }
    log.save().expect("writable");
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a byte");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// The fields of a message: number, and the eight or four bytes, the varint's, or those of its length.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let count = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                found.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => varint(&mut bytes) as usize,
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, bytes[..count].to_vec()));
        bytes = &bytes[count..];
    }
    found
}

/// Reads an event file: times, and tag, step and value.
fn decoded(dir: &RunDir) -> Vec<(f64, Scalar)> {
    let bytes = std::fs::read(path(dir)).expect("written");
    let (records, taken) = records::whole(&bytes);
    assert_eq!(taken, bytes.len(), "whole records and nothing else");
    let first = fields(records[0]);
    assert_eq!(
        (first[0].0, &first[1]),
        (1, &(3, b"brain.Event:2".to_vec()))
    );
    let event = |record: &&[u8]| {
        let event = fields(record);
        let numbers: Vec<u64> = event.iter().map(|f| f.0).collect();
        assert_eq!(numbers, [1, 2, 5], "time, step, summary");
        let summary = fields(&event[2].1);
        assert_eq!((summary.len(), summary[0].0), (1, 1));
        let value = fields(&summary[0].1);
        assert_eq!(
            (value[0].0, value[1].0, value.len()),
            (1, 2, 2),
            "tag, simple_value"
        );
        let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("eight");
        let four = <[u8; 4]>::try_from(&value[1].1[..]).expect("four");
        let scalar = Scalar {
            tag: String::from_utf8(value[0].1.clone()).expect("text"),
            step: u64::from_le_bytes(eight(&event[1].1)),
            value: f32::from_le_bytes(four),
        };
        (f64::from_le_bytes(eight(&event[0].1)), scalar)
    };
    records[1..].iter().map(event).collect()
}

fn sorted(mut all: Vec<Scalar>) -> Vec<Scalar> {
    all.sort_by(|a, b| (&a.tag, a.step).cmp(&(&b.tag, b.step)));
    all
}

/// Asserts that the file holds what the logs do, each number once and its steps rising.
fn assert_true(dir: &RunDir) {
    write(dir).expect("writes");
    let found: Vec<Scalar> = decoded(dir).into_iter().map(|(_, scalar)| scalar).collect();
    let mut last = HashMap::new();
    assert!(
        found.iter().all(|scalar| rises(&mut last, scalar)),
        "{found:?}"
    );
    assert_eq!(
        sorted(found.clone()),
        sorted(scalars(dir).expect("readable"))
    );
}

#[test]
fn a_file_holds_what_the_logs_hold_and_grows_with_them() {
    let (_folder, dir) = folder();
    assert_true(&dir);
    assert!(decoded(&dir).is_empty());
    log(&dir, "prior", &[10, 20]);
    assert_true(&dir);
    let first = std::fs::read(path(&dir)).expect("written");
    let found = decoded(&dir);
    let named = |tag: &str, step: u64| {
        let scalar = found
            .iter()
            .map(|(_, s)| s)
            .find(|s| s.tag == tag && s.step == step);
        scalar.map(|s| s.value)
    };
    assert_eq!(named("prior/loss", 10), Some(10.0 / 3.0));
    assert_eq!(named("prior/other", 10), Some(-10.0 / 3.0));
    assert_eq!(
        named("prior/other", 20),
        None,
        "a number that is none is left out"
    );
    let year_2020 = 1_577_836_800.0;
    assert!(found.iter().all(|(time, _)| *time > year_2020), "{found:?}");
    // A second call changes nothing; what is new is appended.
    sync(&dir).expect("writes");
    assert!(first == std::fs::read(path(&dir)).expect("there"));
    log(&dir, "critic", &[7]);
    log(&dir, "prior", &[10, 20, 30]);
    assert_true(&dir);
    let longer = std::fs::read(path(&dir)).expect("there");
    assert!(longer.starts_with(&first) && longer.len() > first.len());
}

#[test]
fn a_kill_at_any_byte_leaves_no_gap_and_no_double() {
    let (_folder, dir) = folder();
    log(&dir, "prior", &[10, 20]);
    sync(&dir).expect("writes");
    let whole = std::fs::read(path(&dir)).expect("written");
    for length in 0..whole.len() {
        std::fs::write(path(&dir), &whole[..length]).expect("writable");
        let (_, taken) = records::whole(&whole[..length]);
        assert_eq!(write(&dir).expect("writes"), length - taken, "what is said");
        assert_true(&dir);
    }
    // The same for a byte that another one took.
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        std::fs::write(path(&dir), damaged).expect("writable");
        assert_true(&dir);
    }
    // Every number twice behind one version; and two files in one.
    let first = records::framed(records::whole(&whole).0[0]).len();
    let doubled = [&whole[..], &whole[first..]].concat();
    let twice = [&whole[..], &whole[..]].concat();
    let strange = [
        b"nonsense".to_vec(),
        records::framed(b""),
        records::framed(b"short"),
        doubled,
        twice,
    ];
    for bytes in strange {
        std::fs::write(path(&dir), bytes).expect("writable");
        assert_true(&dir);
    }
}

#[test]
fn what_was_made_anew_is_taken_out_and_the_rest_keeps_its_time() {
    let (_folder, dir) = folder();
    log(&dir, "prior", &[10, 20]);
    log(&dir, "critic", &[5, 10]);
    sync(&dir).expect("writes");
    let before = decoded(&dir);
    log(&dir, "critic", &[4, 8]);
    assert_true(&dir);
    let after = decoded(&dir);
    let of_prior = |all: &[(f64, Scalar)]| -> Vec<(f64, Scalar)> {
        all.iter()
            .filter(|(_, s)| s.tag.starts_with("prior/"))
            .cloned()
            .collect()
    };
    assert_eq!(of_prior(&before), of_prior(&after));
    // A row in the middle that was not there.
    log(&dir, "prior", &[10, 15, 20]);
    assert_true(&dir);
    std::fs::remove_file(dir.state("critic")).expect("removable");
    assert_true(&dir);
    assert!(
        decoded(&dir)
            .iter()
            .all(|(_, s)| s.tag.starts_with("prior/"))
    );
}

#[test]
fn returns_stand_beside_the_losses_and_huge_numbers_are_infinite() {
    let (_folder, dir) = folder();
    let spec = spec_of("pendulum-v1").expect("known");
    let episode = |episode_return: f64, length: usize| Episode {
        episode_return,
        length,
        terminated: false,
    };
    let at = |update, policy: &str, x: f64| {
        Results::evaluation(update, policy, &[episode(x, 100), episode(x + 2.0, 200)])
            .expect("finite")
    };
    let results = Results {
        training: vec![at(0, "posterior", -10.0), at(40, "posterior", 1e300)],
        last: vec![
            at(40, "prior", 5.0),
            at(40, "best-of-4", 6.0),
            at(40, "posterior", 7.0),
        ],
    };
    results.save(&dir, &spec).expect("writable");
    assert_true(&dir);
    let found: Vec<(String, u64, f32)> = decoded(&dir)
        .into_iter()
        .map(|(_, s)| (s.tag, s.step, s.value))
        .collect();
    let wanted = [
        ("evaluation/return", 0, -9.0),
        ("evaluation/length", 0, 150.0),
        ("evaluation/return", 40, f32::INFINITY),
        ("evaluation/length", 40, 150.0),
        ("final/prior", 40, 6.0),
        ("final/best-of-4", 40, 7.0),
        ("final/posterior", 40, 8.0),
    ];
    assert_eq!(
        found,
        wanted.map(|(tag, step, value)| (tag.to_string(), step, value))
    );
}

#[test]
fn a_damaged_log_and_a_folder_in_the_way_are_named() {
    let (_folder, dir) = folder();
    log(&dir, "prior", &[10]);
    std::fs::write(dir.state("prior"), "[[").expect("writable");
    let error = sync(&dir).expect_err("damaged").to_string();
    assert!(error.contains("log/prior.json"), "{error}");
    log(&dir, "prior", &[10]);
    std::fs::create_dir(path(&dir)).expect("a folder");
    let error = sync(&dir).expect_err("a folder").to_string();
    assert!(error.contains(NAME), "{error}");
}
