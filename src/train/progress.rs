//! Progress bars with rate and remaining time, on standard error; the decay of step sizes.

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

/// Returns the share of the step size at an update: cosine from 1 to 0.02, so that late updates average noise away.
pub fn cosine_decay(update: u64, updates: u64) -> f32 {
    let share = update as f64 / updates.max(1) as f64;
    (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())) as f32
}
