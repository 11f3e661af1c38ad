//! The stages of a run: prior, critic, fine-tuning, or the one policy of a baseline. Each resumes from its last checkpoint.
pub mod baseline;
pub mod certificate;
pub mod critic;
pub mod dial;
pub mod final_evaluation;
pub mod finetune;
pub mod held_out;
pub mod likelihood;
pub mod memory;
pub mod policy;
pub mod prior;
pub mod residual_report;
pub mod reward;
pub mod tail_certificate;
pub mod training_data;
pub mod work;
