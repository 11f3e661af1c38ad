//! Small data files made by tests, and what their notes say.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;

use hdf5_pure::{AttrValue, FileBuilder};
use tiltrl::data::{DataError, Dataset, Environment, Note, NoteKind, ReadOptions};

/// Episodes of four rows that are told apart by their numbers, and whatever is changed about them.
pub struct File {
    pub folder: tempfile::TempDir,
    pub observations: Vec<f32>,
    pub next: Option<Vec<f32>>,
    pub actions: Vec<f32>,
    pub rewards: Vec<f32>,
    pub flags: Vec<(&'static str, Vec<u8>)>,
    pub attributes: Vec<(&'static str, AttrValue)>,
}

pub const ROWS: usize = 20;
pub const LENGTH: usize = 4;

impl File {
    /// Five episodes: the second ends in a terminal (row 7), the others by the clock.
    pub fn new() -> Self {
        let place = |row: usize| [(row / LENGTH * 10 + row % LENGTH) as f32, 1.0];
        let after = |row: usize| [place(row)[0] + 1.0, 1.0];
        let flags =
            |wanted: fn(usize) -> bool| (0..ROWS).map(|row| u8::from(wanted(row))).collect();
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            observations: (0..ROWS).flat_map(place).collect(),
            next: Some((0..ROWS).flat_map(after).collect()),
            actions: (0..ROWS).map(|row| row as f32 / 40.0).collect(),
            rewards: (0..ROWS).map(|row| 1.0 + row as f32).collect(),
            flags: vec![
                ("terminals", flags(|row| row == 7)),
                ("timeouts", flags(|row| row % LENGTH == 3 && row != 7)),
            ],
            attributes: Vec::new(),
        }
    }

    pub fn flags(mut self, key: &'static str, values: Vec<u8>) -> Self {
        self.flags.retain(|(name, _)| *name != key);
        self.flags.push((key, values));
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.flags.retain(|(name, _)| *name != key);
        if key == "next_observations" {
            self.next = None;
        }
        self
    }

    pub fn renamed(mut self, from: &str, to: &'static str) -> Self {
        self.flags
            .iter_mut()
            .filter(|(name, _)| *name == from)
            .for_each(|(name, _)| *name = to);
        self
    }

    pub fn write(&self) -> PathBuf {
        let path = self.folder.path().join("data.hdf5");
        let mut builder = FileBuilder::new();
        for (name, value) in &self.attributes {
            builder.set_attr(name, value.clone());
        }
        let rows = self.rewards.len() as u64;
        let mut add = |key: &str, values: &[f32], width: u64| {
            let shape = if width == 0 {
                vec![rows]
            } else {
                vec![rows, width]
            };
            builder
                .create_dataset(key)
                .with_f32_data(values)
                .with_shape(&shape);
        };
        add("observations", &self.observations, 2);
        add("actions", &self.actions, 1);
        add("rewards", &self.rewards, 0);
        if let Some(next) = &self.next {
            add("next_observations", next, 2);
        }
        for (key, values) in &self.flags {
            builder
                .create_dataset(key)
                .with_u8_data(values)
                .with_shape(&[values.len() as u64]);
        }
        builder.write(&path).expect("written");
        path
    }

    pub fn read_with(&self, options: &ReadOptions) -> Result<Dataset, DataError> {
        Dataset::read_with(&[self.write()], options)
    }

    pub fn read(&self) -> Dataset {
        self.read_with(&ReadOptions::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn refusal(&self) -> (DataError, String) {
        let error = self
            .read_with(&ReadOptions::default())
            .expect_err("refused");
        let message = error.to_string();
        (error, message)
    }
}

pub fn environment(id: &str, horizon: usize, action_bound: f32) -> ReadOptions {
    ReadOptions {
        environment: Some(Environment {
            id: id.to_string(),
            horizon,
            observation_dim: 2,
            action_dim: 1,
            action_bound,
        }),
        ..ReadOptions::default()
    }
}

pub fn note<'a>(dataset: &'a Dataset, kind: NoteKind, part: &str) -> &'a Note {
    let found = dataset
        .notes
        .iter()
        .find(|note| note.kind == kind && note.text.contains(part));
    found.unwrap_or_else(|| panic!("no {kind:?} note with {part:?} in {:#?}", lines(dataset)))
}

pub fn ends(dataset: &Dataset) -> [usize; 3] {
    let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
    [
        dataset.episodes().len(),
        count(&dataset.terminals),
        count(&dataset.timeouts),
    ]
}

/// The notes as a user reads them.
pub fn lines(dataset: &Dataset) -> Vec<String> {
    dataset.notes.iter().map(ToString::to_string).collect()
}
