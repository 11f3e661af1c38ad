//! What is said on standard error while something runs: notes, and the progress of long work.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// How much is said of progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// Nothing: `--quiet`, and the library unless asked.
    #[default]
    Quiet,
    /// A bar that moves.
    Bar,
    /// A plain line now and then.
    Lines,
}

/// Says something on standard error; nothing happens where nobody listens any more.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Console {
    /// Returns bars where standard error is a terminal, lines elsewhere, nothing if `quiet`.
    pub fn of_process(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }

    /// Starts to show work of `total` units ("updates", "runs") that stands at `done`.
    pub fn progress(self, name: &str, total: u64, done: u64) -> Progress {
        let bar = match self {
            Self::Bar => Some(bar(name, total, done)),
            _ => None,
        };
        Progress {
            console: self,
            bar,
            name: name.into(),
            total,
            start: (Instant::now(), done),
        }
    }
}

/// Work whose progress is shown.
pub struct Progress {
    console: Console,
    bar: Option<ProgressBar>,
    name: String,
    total: u64,
    start: (Instant, u64),
}

impl Progress {
    /// Moves the bar.
    pub fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Says how it stands: beside the bar, or as a line.
    pub fn say(&self, done: u64, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(text.to_string());
        }
        if self.console == Console::Lines {
            let seconds = self.start.0.elapsed().as_secs_f64();
            let rate = (done - self.start.1.min(done)) as f64 / seconds.max(1e-9);
            let left = (self.total - done.min(self.total)) as f64 / rate.max(1e-9);
            let left = if done >= self.total || rate <= 0.0 {
                format!("{seconds:.0} s")
            } else {
                format!("{left:.0} s left")
            };
            note(&format!(
                "{} {done}/{}, {left}: {text}",
                self.name, self.total
            ));
        }
    }

    /// Leaves the bar as it stands.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

fn bar(name: &str, total: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template(
        "{prefix:>10} [{bar:30}] {pos}/{len} {per_sec} eta {eta} {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ");
    bar.set_style(style);
    bar.set_prefix(name.to_string());
    bar.set_position(done);
    bar.reset_eta();
    bar
}
