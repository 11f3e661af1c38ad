//! Words.

use super::outcome::Outcome;
use super::request::System;

/// The system.
pub const SYSTEM: System = System {
    name: "words",
    summary: "words",
    distance: "TV",
    tasks: &[],
    settings: &[],
    run: |_| Ok(Outcome::default()),
};
