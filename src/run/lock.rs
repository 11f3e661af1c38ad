//! A lock file in a folder while a process writes there. The system frees it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::console::note;
use crate::error::Error;
use crate::files::remove_leftovers;

/// Name of the lock file; it holds the process id while it is held, and nothing otherwise.
const NAME: &str = "lock";
/// How long the folder of a run is waited for: writing tables and pictures takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long that of a seed is waited for: one that only asks whether it is held has it for less.
const MOMENT: Duration = Duration::from_millis(300);

/// A folder that this process alone writes to, until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of a folder, which is made if there is none.
    ///
    /// A lock that a killed process left is taken over, and that is said on standard error.
    ///
    /// # Errors
    /// [`Error::Run`] that names the process which holds it; [`Error::Io`] when the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        Self::within(folder, MOMENT)
    }

    /// Takes the lock of a run's folder, which is held for seconds only: waits for it up to two minutes.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn wait(folder: &Path) -> Result<Self, Error> {
        Self::within(folder, PATIENCE)
    }

    /// Returns whether a process holds the lock of a folder, without holding it back. Where the file system has no locks nobody does.
    pub fn is_held(folder: &Path) -> bool {
        let Ok(mut file) = File::open(folder.join(NAME)) else {
            return false;
        };
        // One that ended in order has emptied the file: no need to ask, and to be in the way.
        let named = holder(&mut file).is_some();
        named && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    fn within(folder: &Path, patience: Duration) -> Result<Self, Error> {
        let start = Instant::now();
        let path = folder.join(NAME);
        loop {
            let file = open(folder, &path)?;
            match file.try_lock() {
                Ok(()) => return Self::held(file, folder, &path),
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::WouldBlock) => return Err(busy(folder, file)),
                Err(TryLockError::Error(source)) => return without(file, folder, path, source),
            }
        }
    }

    fn held(mut file: File, folder: &Path, path: &Path) -> Result<Self, Error> {
        let own = std::process::id();
        if let Some(process) = holder(&mut file).filter(|&process| process != own) {
            note(&format!(
                "note: {}: process {process} ended without giving its lock back; going on from its last checkpoint",
                folder.display()
            ));
            remove_leftovers(folder, process);
        }
        let mut write = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(own.to_string().as_bytes())
        };
        write().map_err(Error::io(path))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file says that its process ended in order; if this fails the next one merely says more than it should.
        let _ = self.file.set_len(0);
    }
}

/// Goes on where the file system knows no locks, and says so.
fn without(
    file: File,
    folder: &Path,
    path: PathBuf,
    source: std::io::Error,
) -> Result<Lock, Error> {
    if source.kind() != std::io::ErrorKind::Unsupported {
        return Err(Error::Io { path, source });
    }
    note(&format!(
        "warning: {}: this file system has no locks; see that no other process writes there",
        folder.display()
    ));
    Ok(Lock { file })
}

fn open(folder: &Path, path: &PathBuf) -> Result<File, Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io(path))
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn busy(folder: &Path, mut file: File) -> Error {
    let who = holder(&mut file).map_or("another process".into(), |p| format!("process {p}"));
    Error::Run(format!(
        "{}: {who} is writing there\n  hint: wait until it is done, end it, or use another --out",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_by_process_and_granted_after_the_first() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let first = Lock::take(folder.path()).expect("free");
        let error = Lock::take(folder.path()).expect_err("held").to_string();
        let own = format!("process {}", std::process::id());
        assert!(error.contains(&own), "{error}");
        drop(first);
        drop(Lock::take(folder.path()).expect("free again"));
        // What a killed process leaves is taken over.
        std::fs::write(folder.path().join(NAME), "1").expect("writable");
        std::fs::write(folder.path().join(".a.csv.1-0.part"), "half").expect("writable");
        assert!(!Lock::is_held(folder.path()), "nobody holds it");
        let own = Lock::take(folder.path()).expect("stale");
        assert!(Lock::is_held(folder.path()));
        drop(own);
        assert!(!Lock::is_held(folder.path()));
        assert!(!folder.path().join(".a.csv.1-0.part").exists());
        let text = std::fs::read_to_string(folder.path().join(NAME)).expect("readable");
        assert_eq!(text, "");
    }

    #[test]
    fn a_table_waits_for_the_one_that_is_being_written() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("count");
        std::fs::write(&path, "0").expect("writable");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _lock = Lock::wait(folder.path()).expect("in the end");
                        let text = std::fs::read_to_string(&path).expect("readable");
                        let count: u32 = text.parse().expect("a number");
                        std::fs::write(&path, (count + 1).to_string()).expect("writable");
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "20");
    }
}
