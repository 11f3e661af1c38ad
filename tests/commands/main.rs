//! The program as its users run it.

mod actors;
mod algorithms;
mod critics;
mod environments;
mod experiment;
mod export;
mod networks;
mod odd_actors;
mod pipeline;
mod reports;
mod tensorboard;
mod trouble;
