//! The ledger of a job array: jobs.txt, one command a line, and submitted.txt, one array a line.
//!
//! Lines are only added: elements that still wait in the queue read theirs by its number.

use std::path::{Path, PathBuf};

use super::job::Job;
use crate::console::note;
use crate::error::Error;
use crate::files::write_atomically;
use crate::run::shell;

/// An array that Slurm was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job's number.
    pub job: u64,
    /// What is added to an index of the array to find its line.
    pub offset: usize,
}

/// The ledger, as it stands on disk.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    lines: Vec<String>,
    /// Arrays that were submitted.
    pub arrays: Vec<Submitted>,
}

impl Ledger {
    /// Reads the ledger in a folder, of which the caller holds the lock; an empty one where there is none.
    ///
    /// # Errors
    /// When a file is there and cannot be read, or submitted.txt is not what was written there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let lines = read(&folder.join("jobs.txt"))?;
        let path = folder.join("submitted.txt");
        let mut arrays = Vec::new();
        for line in read(&path)? {
            let mut numbers = line.split(' ').map(str::parse::<u64>);
            let (Some(Ok(job)), Some(Ok(offset)), None) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return Err(Error::Run(format!(
                    "{}: expected lines of two numbers, the job and its offset, found `{line}`\n  hint: delete it; what still waits in the queue may then be submitted twice, which does no harm",
                    path.display()
                )));
            };
            let offset = offset as usize;
            arrays.push(Submitted { job, offset });
        }
        if lines.is_empty() && !arrays.is_empty() {
            note(&format!(
                "note: {}: jobs.txt is gone, so nothing says what the arrays in submitted.txt are; what still waits may be submitted twice, which does no harm",
                folder.display()
            ));
            arrays.clear();
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            lines,
            arrays,
        })
    }

    /// Returns the line of each job, from 1, and writes those that are new.
    ///
    /// # Errors
    /// When a command holds a line break, or the ledger cannot be written.
    pub fn lines_of(&mut self, jobs: &[Job], start: &[String]) -> Result<Vec<usize>, Error> {
        let before = self.lines.len();
        let mut numbers = Vec::new();
        for job in jobs {
            let line = shell(&[start, &job.words].concat());
            if line.contains(['\n', '\r']) {
                return Err(Error::Usage(format!(
                    "--slurm: expected a command of one line, found a line break in: {line}"
                )));
            }
            let found = self.lines.iter().position(|known| *known == line);
            numbers.push(found.unwrap_or(self.lines.len()) + 1);
            if found.is_none() {
                self.lines.push(line);
            }
        }
        if self.lines.len() > before {
            self.save()?;
        }
        Ok(numbers)
    }

    /// Returns the line of a job, if the ledger holds it.
    pub fn line_of(&self, job: &Job) -> Option<usize> {
        let end = format!(" {}", shell(&job.words));
        let at = self.lines.iter().rposition(|line| line.ends_with(&end))?;
        Some(at + 1)
    }

    /// Adds an array that was submitted.
    ///
    /// # Errors
    /// When submitted.txt cannot be written.
    pub fn submitted(&mut self, job: u64, offset: usize) -> Result<(), Error> {
        self.arrays.push(Submitted { job, offset });
        let lines = self.arrays.iter();
        let text: String = lines.map(|a| format!("{} {}\n", a.job, a.offset)).collect();
        write_atomically(&self.folder.join("submitted.txt"), text.as_bytes())
    }

    fn save(&self) -> Result<(), Error> {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        write_atomically(&self.folder.join("jobs.txt"), text.as_bytes())?;
        if self.arrays.is_empty() && self.folder.join("submitted.txt").exists() {
            write_atomically(&self.folder.join("submitted.txt"), b"")?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<String>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(text.lines().map(String::from).collect())
}

/// Returns numbers as Slurm writes them in `--array`: 1,3-5.
pub fn ranges(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in sorted {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::run::RunDir;

    #[test]
    fn numbers_are_written_as_slurm_reads_them() {
        assert_eq!(ranges(&[4, 1, 3, 5, 9, 3]), "1,3-5,9");
        assert_eq!(ranges(&[7]), "7");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn lines_are_only_added_and_keep_their_numbers() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let job = |seed: u64| Job {
            name: "a".into(),
            seed,
            dir: RunDir::of_seed(Path::new("a b"), seed),
            config: Source::default().config(&[]).expect("valid"),
            words: ["run", "--seeds", &seed.to_string(), "--out", "a b"]
                .map(String::from)
                .to_vec(),
        };
        let start = ["/bin/tiltrl".to_string(), "--quiet".to_string()];
        let mut ledger = Ledger::open(folder.path()).expect("empty");
        let numbers = |ledger: &mut Ledger, seeds: &[u64]| {
            let jobs: Vec<Job> = seeds.iter().map(|&s| job(s)).collect();
            ledger.lines_of(&jobs, &start).expect("writable")
        };
        assert_eq!(numbers(&mut ledger, &[5, 6]), [1, 2]);
        ledger.submitted(17, 0).expect("writable");
        let mut again = Ledger::open(folder.path()).expect("written");
        assert_eq!(numbers(&mut again, &[4, 6, 5]), [3, 2, 1]);
        assert_eq!(again.arrays, [Submitted { job: 17, offset: 0 }]);
        assert_eq!(again.line_of(&job(4)), Some(3));
        assert_eq!(again.line_of(&job(40)), None);
        let text = std::fs::read_to_string(folder.path().join("jobs.txt")).expect("written");
        assert_eq!(
            text.lines().next(),
            Some("/bin/tiltrl --quiet run --seeds 5 --out 'a b'")
        );
        let broken = Job {
            words: vec!["a\nb".into()],
            ..job(1)
        };
        assert!(again.lines_of(&[broken], &start).is_err());
        // Without the first file the second says nothing.
        std::fs::remove_file(folder.path().join("jobs.txt")).expect("there");
        let mut lost = Ledger::open(folder.path()).expect("readable");
        assert!(lost.arrays.is_empty());
        numbers(&mut lost, &[6]);
        let text = std::fs::read_to_string(folder.path().join("submitted.txt")).expect("there");
        assert_eq!(text, "");
        std::fs::write(folder.path().join("submitted.txt"), "x 3\n").expect("writable");
        let error = Ledger::open(folder.path())
            .expect_err("damaged")
            .to_string();
        assert!(
            error.contains("submitted.txt") && error.contains("`x 3`"),
            "{error}"
        );
    }
}
