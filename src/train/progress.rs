//! Progress bars with rate and remaining time, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar for `total` updates of a stage, standing at `done`.
pub fn bar(stage: &str, total: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template(
        "{prefix:>10} [{bar:30}] {pos}/{len} {per_sec} eta {eta} {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ");
    bar.set_style(style);
    bar.set_prefix(stage.to_string());
    bar.set_position(done);
    bar.reset_eta();
    bar
}
