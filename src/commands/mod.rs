//! The command line: parsing and dispatch. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod benchmark;
mod break_even;
mod certify;
mod cli;
mod convert;
mod environments;
mod evaluate_args;
mod evaluate_run;
mod evaluation;
mod export;
mod inspect;
mod output;
mod pipeline;
mod plot;
mod reading;
mod verify;

pub use cli::main;
pub use pipeline::{RunRequest, Stage, dataset, run};
