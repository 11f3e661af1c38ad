//! The program as its users run it.

mod algorithms;
mod critics;
mod environments;
mod experiment;
mod export;
mod networks;
mod pipeline;
mod reports;
mod trouble;
