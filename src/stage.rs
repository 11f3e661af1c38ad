//! The one training loop: log, progress, clock, checkpoints, going on after a kill. Every stage of a run is trained by it.
//!
//! A stage says what one update does and how its state is written. Between two checkpoints the numbers of the updates are
//! averaged into rows of its log. What happens after the last checkpoint is repeated by the next call, with the same bytes.

use std::time::Instant;

use crate::console::Console;
use crate::error::Error;
use crate::run::{Log, RunDir};
use crate::tensorboard;

/// Rows of the log between two checkpoints.
const ROWS: u64 = 5;

/// What the loop needs to know of a stage.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// Name of its log, and of its progress.
    pub name: &'a str,
    /// Entry of timing.json that its seconds are added to.
    pub clock: &'a str,
    /// Updates from the start to the end, those before a resumption included.
    pub total: u64,
    /// Updates that its checkpoint holds.
    pub done: u64,
    /// Checkpoints from the start to the end.
    pub checkpoints: u64,
    /// Names of the numbers.
    pub columns: Vec<&'static str>,
    /// Where it is written.
    pub dir: &'a RunDir,
    /// Where its progress is shown.
    pub console: Console,
    /// Whether its numbers are written for TensorBoard too, after each checkpoint.
    pub tensorboard: bool,
}

impl Stage<'_> {
    /// Trains `state` from where its checkpoint stands to the end.
    ///
    /// `step` does update number u (from 0) and returns its numbers, NaN where it has none. `checkpoint` writes the state after so many updates;
    /// `before`, called just before it and outside the stage's clock, is for evaluations on the way.
    ///
    /// # Errors
    /// Those of the functions; a log that cannot be read or written.
    pub fn train<S>(
        &self,
        state: &mut S,
        mut step: impl FnMut(&mut S, u64) -> Result<Vec<f64>, Error>,
        mut before: impl FnMut(&mut S, u64) -> Result<(), Error>,
        mut checkpoint: impl FnMut(&mut S, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.done >= self.total {
            return Ok(());
        }
        let mut log = Log::resume(self.dir, self.name, &self.columns, self.done)?;
        let every = (self.total / self.checkpoints.max(1)).max(1);
        let row = (every / ROWS).max(1);
        let progress = self.console.progress(self.name, self.total, self.done);
        let mut average = Average::new(self.columns.len());
        let mut clock = Instant::now();
        for update in self.done..self.total {
            average.add(&step(state, update)?);
            let done = update + 1;
            progress.at(done);
            let ends = done.is_multiple_of(every) || done == self.total;
            if !ends && !(done % every).is_multiple_of(row) {
                continue;
            }
            let numbers = average.take();
            log.push(done, &numbers);
            if ends {
                self.dir
                    .add_seconds(self.clock, clock.elapsed().as_secs_f64())?;
                before(state, done)?;
                clock = Instant::now();
                log.save()?;
                checkpoint(state, done)?;
                if self.tensorboard {
                    tensorboard::sync(self.dir)?;
                }
                progress.say(done, &self.text(&numbers));
            }
        }
        progress.finish();
        Ok(())
    }

    fn text(&self, numbers: &[f64]) -> String {
        let pairs = self.columns.iter().zip(numbers);
        let measured = pairs.filter(|(_, value)| value.is_finite());
        let parts: Vec<String> = measured
            .map(|(name, value)| format!("{} {value:.4}", name.replace('_', " ")))
            .collect();
        parts.join(", ")
    }
}

/// Averages of the numbers since the last row.
struct Average {
    sums: Vec<(f64, f64)>,
}

impl Average {
    fn new(columns: usize) -> Self {
        Self {
            sums: vec![(0.0, 0.0); columns],
        }
    }

    fn add(&mut self, numbers: &[f64]) {
        for ((sum, count), number) in self.sums.iter_mut().zip(numbers) {
            if !number.is_nan() {
                *sum += number;
                *count += 1.0;
            }
        }
    }

    /// Returns the averages, NaN where there was no number, and starts anew.
    fn take(&mut self) -> Vec<f64> {
        let averages = self.sums.iter().map(|(sum, count)| sum / count).collect();
        *self = Self::new(self.sums.len());
        averages
    }
}

pub use tiltrl_tilt::optimizer::cosine_decay;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts updates; its checkpoint is a number in a cell.
    fn train(
        dir: &RunDir,
        saved: &Cell<u64>,
        total: u64,
        dies_at: Option<u64>,
    ) -> Result<u64, Error> {
        let stage = Stage {
            name: "prior",
            clock: "prior",
            total,
            done: saved.get(),
            checkpoints: 4,
            columns: vec!["loss", "square"],
            dir,
            console: Console::Quiet,
            tensorboard: true,
        };
        let (mut state, evaluated) = (saved.get(), Cell::new(0));
        stage.train(
            &mut state,
            |state, update| {
                assert_eq!(*state, update);
                if dies_at == Some(update) {
                    return Err(Error::Run("killed".into()));
                }
                *state += 1;
                let x = (update as f64).sqrt();
                Ok(vec![x.sin(), x * x])
            },
            |_, done| {
                evaluated.set(done);
                Ok(())
            },
            |state, done| {
                assert_eq!((*state, evaluated.get()), (done, done));
                saved.set(done);
                Ok(())
            },
        )?;
        Ok(state)
    }

    #[test]
    fn a_killed_stage_goes_on_from_its_checkpoint_with_the_same_bytes() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("temporary folder"));
        let [whole, killed] = folders.each_ref().map(|f| RunDir {
            path: f.path().to_path_buf(),
        });
        train(&whole, &Cell::new(0), 43, None).expect("trains");
        let saved = Cell::new(0);
        for dies_at in [3, 17, 29, 42] {
            train(&killed, &saved, 43, Some(dies_at)).expect_err("killed");
        }
        assert_eq!(saved.get(), 40);
        // The checkpoints' numbers stand in the event file already, each once.
        let of_forty = std::fs::read(tensorboard::path(&killed)).expect("written");
        assert_eq!(train(&killed, &saved, 43, None).expect("trains"), 43);
        for name in ["prior.csv", "log/prior.json"] {
            let read = |dir: &RunDir| std::fs::read(dir.path.join(name)).expect("written");
            assert!(read(&whole) == read(&killed), "{name}");
        }
        let of_all = std::fs::read(tensorboard::path(&killed)).expect("written");
        assert!(of_all.starts_with(&of_forty) && of_all.len() > of_forty.len());
        let whole_length = std::fs::read(tensorboard::path(&whole)).map(|bytes| bytes.len());
        assert_eq!(whole_length.expect("written"), of_all.len());
        // A finished stage grows.
        assert_eq!(train(&killed, &saved, 60, None).expect("trains"), 60);
        assert_eq!(saved.get(), 60);
        let seconds = killed.seconds().expect("readable");
        assert!(seconds.contains_key("prior"));
    }

    #[test]
    fn a_damaged_log_stops_the_stage_and_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let dir = RunDir {
            path: folder.path().to_path_buf(),
        };
        let saved = Cell::new(0);
        train(&dir, &saved, 40, Some(25)).expect_err("killed");
        std::fs::write(dir.state("prior"), "[[").expect("writable");
        let error = train(&dir, &saved, 40, None).expect_err("damaged");
        assert!(error.to_string().contains("log/prior.json"), "{error}");
    }
}
