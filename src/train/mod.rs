//! The stages of a run: prior, critic, fine-tuning. Each resumes from its last checkpoint.

pub mod advantage;
pub mod anatomy;
pub mod baseline;
pub mod certificate;
pub mod critic;
pub mod finetune;
pub mod material;
pub mod memory;
pub mod prior;
pub mod progress;
pub mod reward;
