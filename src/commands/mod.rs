//! The command line: parsing and dispatch. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod bench;
mod benchmark;
mod break_even;
mod certify;
mod cli;
mod collect;
mod compare;
mod convert;
mod data;
mod dial;
mod env_args;
mod environments;
mod evaluate_args;
mod evaluate_run;
mod evaluation;
mod export;
mod many;
mod on_card;
mod output;
mod pipeline;
mod plot;
mod reading;
mod report;
mod request;
mod sweep;
mod tilt;
mod timed;
mod verify;

pub use cli::main;
pub use pipeline::{dataset, run};
pub use request::{RunRequest, Stage};
