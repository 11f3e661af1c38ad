//! Models, critics, baselines and the silent failures of the method. One binary, because each is linked anew.

mod algorithms;
mod baselines;
mod chain;
mod compiled_paths;
mod condition_column;
mod conformance;
mod conformity;
mod critics;
mod likelihood;
mod plain;
mod pretrained;
mod silent_failures;
