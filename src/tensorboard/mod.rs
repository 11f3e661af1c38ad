//! The numbers of a seed as an event file, which TensorBoard shows.
//!
//! The file follows from the logs: what they hold and it does not is appended; what it holds and they do not, after a run that
//! grew, is taken out. So it may be written at any time, from any state, and no step stands in it twice. The time at which a number
//! was appended is the only thing in it that another call would write differently.
//!
//! Reference: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.

mod records;

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::console::note;
use crate::error::Error;
use crate::files::write_atomically;
use crate::protobuf::Message;
use crate::run::{Log, Results, RunDir};
use crate::stats::mean;

/// TensorBoard looks for "tfevents" in names. The usual time and host are left out: there is one file, whoever goes on with it.
const NAME: &str = "events.out.tfevents.tiltrl";
/// Stages, in the order of their training.
const STAGES: [&str; 5] = ["prior", "likelihood", "critic", "finetune", "policy"];
/// Bytes of the time with which each event begins.
const TIME: usize = 9;

/// A number of a stage's log at an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Stage and number, as `prior/loss`.
    pub tag: String,
    /// Update it belongs to, the horizontal axis.
    pub step: u64,
    /// Its value; TensorBoard keeps f32, in which beyond 3.4e38 is infinite.
    pub value: f32,
}

/// Returns the path of a seed's event file.
pub fn path(dir: &RunDir) -> PathBuf {
    dir.path.join(NAME)
}

/// Returns every number that a seed has logged, step by step within each tag: the columns of the stages, mean return and length of
/// the evaluations on the way, and the mean returns at the end. A number that a row lacks is left out.
///
/// # Errors
/// When a log is there and cannot be read.
pub fn scalars(dir: &RunDir) -> Result<Vec<Scalar>, Error> {
    let mut all = Vec::new();
    for stage in STAGES {
        if !dir.state(stage).exists() {
            continue;
        }
        let log = Log::read(dir, stage)?;
        for (step, values) in log.rows() {
            let numbers = log.columns().iter().zip(values);
            all.extend(numbers.filter_map(|(column, value)| {
                let value = (*value)? as f32;
                let tag = format!("{stage}/{column}");
                Some(Scalar { tag, step, value })
            }));
        }
    }
    if !dir.state("results").exists() {
        return Ok(all);
    }
    let results = Results::read(dir)?;
    for evaluation in &results.training {
        let lengths: Vec<f64> = (evaluation.episodes.iter())
            .map(|e| e.length as f64)
            .collect();
        for (tag, value) in [
            ("evaluation/return", mean(&evaluation.returns())),
            ("evaluation/length", mean(&lengths)),
        ] {
            all.push(Scalar {
                tag: tag.into(),
                step: evaluation.update,
                value: value as f32,
            });
        }
    }
    all.extend(results.last.iter().map(|evaluation| Scalar {
        tag: format!("final/{}", evaluation.policy),
        step: evaluation.update,
        value: mean(&evaluation.returns()) as f32,
    }));
    Ok(all)
}

/// Brings the event file of a seed, whose lock is held, to what its logs say.
///
/// # Errors
/// When a log or the file cannot be read, or the file cannot be written.
pub fn sync(dir: &RunDir) -> Result<(), Error> {
    let cut = write(dir)?;
    if cut > 0 {
        note(&format!(
            "{}: its last {cut} bytes were no whole record, as after a kill; they are written anew",
            path(dir).display()
        ));
    }
    Ok(())
}

/// Writes what is missing, and returns how many bytes at the end of the file were no whole record.
fn write(dir: &RunDir) -> Result<usize, Error> {
    let scalars = scalars(dir)?;
    let wanted: HashMap<Vec<u8>, &Scalar> = scalars.iter().map(|s| (body(s), s)).collect();
    let path = path(dir);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io(&path)(error)),
    };
    let (records, taken) = records::whole(&bytes);
    let known = |record: &[u8]| {
        record
            .get(TIME..)
            .and_then(|body| wanted.get_key_value(body))
    };
    let mut there: HashSet<&[u8]> = HashSet::new();
    let mut last: HashMap<&str, u64> = HashMap::new();
    // A file goes on if it holds nothing but wanted numbers, each once, the steps of each tag rising, here and in what is appended.
    let begun = records
        .first()
        .is_some_and(|r| r.get(TIME..) == Some(&version()[..]));
    let mut goes_on = begun
        && records[1..].iter().all(|record| {
            known(record)
                .is_some_and(|(body, scalar)| there.insert(body) && rises(&mut last, scalar))
        });
    let missing: Vec<&Scalar> = scalars
        .iter()
        .filter(|s| !there.contains(&body(s)[..]))
        .collect();
    goes_on &= missing.iter().all(|scalar| rises(&mut last, scalar));
    let now = now();
    let event = |body: &[u8], time: &[u8]| records::framed(&[time, body].concat());
    if goes_on {
        let new: Vec<u8> = missing.iter().flat_map(|s| event(&body(s), &now)).collect();
        append(&path, taken, bytes.len(), &new)?;
        return Ok(bytes.len() - taken);
    }
    let times: HashMap<&[u8], &[u8]> = records
        .iter()
        .filter_map(|r| Some((r.get(TIME..)?, &r[..TIME])))
        .collect();
    let time_of = |body: &[u8]| times.get(body).copied().unwrap_or(&now);
    let all = std::iter::once(version()).chain(scalars.iter().map(body));
    let all: Vec<u8> = all.flat_map(|body| event(&body, time_of(&body))).collect();
    write_atomically(&path, &all)?;
    Ok(bytes.len() - taken)
}

/// Whether a number comes after the last one of its tag, which it then is.
fn rises<'a>(last: &mut HashMap<&'a str, u64>, scalar: &'a Scalar) -> bool {
    let before = last.insert(&scalar.tag, scalar.step);
    before.is_none_or(|before| before < scalar.step)
}

/// Appends to the file behind its whole records, in one write: a dashboard that has it open reads on.
fn append(path: &Path, taken: usize, length: usize, new: &[u8]) -> Result<(), Error> {
    let work = || -> std::io::Result<()> {
        let mut file: File = OpenOptions::new().append(true).open(path)?;
        if taken < length {
            file.set_len(taken as u64)?;
        }
        file.write_all(new)
    };
    work().map_err(Error::io(path))
}

/// The time now as the field with which an event begins, in seconds since 1970.
fn now() -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0.0, |since| since.as_secs_f64());
    Message::default().double(1, seconds).into_bytes()
}

/// The first event without its time: the version of the format.
fn version() -> Vec<u8> {
    Message::default().text(3, "brain.Event:2").into_bytes()
}

/// The event of a number without its time.
fn body(scalar: &Scalar) -> Vec<u8> {
    let value = Message::default()
        .text(1, &scalar.tag)
        .float(2, scalar.value);
    let summary = Message::default().message(1, value);
    Message::default()
        .integer(2, scalar.step as i64)
        .message(5, summary)
        .into_bytes()
}

#[cfg(test)]
mod tests;
