//! Systems that `tiltrl tilt NAME` tilts: real data, a prior trained or loaded, and a posterior that is known exactly.
//!
//! A system is a [`request::System`] in its own file or folder, and a line of [`SYSTEMS`]. It trains its prior with
//! [`train::descend`], tilts it with [`train::balance`], trains the baselines of [`baselines`], and returns rows, pictures and
//! notes ([`outcome::Outcome`]). Folders, tables, resuming and exit codes are the command's.

pub mod arithmetic;
pub mod baselines;
pub mod captions;
pub mod digits;
pub mod exact;
pub mod figures;
pub mod folder;
pub mod outcome;
pub mod request;
pub mod stories;
pub mod subjectivity;
pub mod table;
pub mod train;
pub mod words;

use request::System;

/// All systems, in the order of the list that users see.
pub const SYSTEMS: &[&System] = &[
    &words::SYSTEM,
    &arithmetic::SYSTEM,
    &stories::SYSTEM,
    &digits::SYSTEM,
    &captions::SYSTEM,
    &subjectivity::SYSTEM,
];
