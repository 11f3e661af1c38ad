//! The program as its users run it.

mod actors;
mod algorithms;
mod cluster;
mod critics;
mod dial;
mod environments;
mod experiment;
mod export;
mod many;
mod networks;
mod odd_actors;
mod pipeline;
mod reports;
mod slurm;
mod sweeps;
mod tensorboard;
mod trouble;
