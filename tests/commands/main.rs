//! The program as its users run it.

mod environments;
mod experiment;
mod pipeline;
mod trouble;
