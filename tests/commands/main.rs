//! The program as its users run it.

mod cluster;
mod critics;
mod environments;
mod experiment;
mod export;
mod many;
mod networks;
mod pipeline;
mod reports;
mod slurm;
mod sweeps;
mod trouble;
