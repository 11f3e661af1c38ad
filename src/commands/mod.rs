//! The command line: parsing and dispatch. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod benchmark;
mod break_even;
mod certify;
mod cli;
mod environments;
mod evaluation;
mod inspect;
mod of_run;
mod pipeline;
mod plot;
mod verify;

pub use cli::main;
pub use pipeline::{RunRequest, Stage, run};
