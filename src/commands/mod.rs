//! The command line: parsing and dispatch. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod benchmark;
mod break_even;
mod certify;
mod cli;
mod compare;
mod convert;
mod environments;
mod evaluate_args;
mod evaluate_run;
mod evaluation;
mod export;
mod inspect;
mod many;
mod output;
mod pipeline;
mod plot;
mod reading;
mod report;
mod request;
mod sweep;
mod tilt;
mod verify;

pub use cli::main;
pub use pipeline::{dataset, run};
pub use request::{RunRequest, Stage};
