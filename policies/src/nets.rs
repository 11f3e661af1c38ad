//! Networks, and what the models ask of one.

pub mod denoiser;
pub mod llama;
pub mod mlp;
pub mod perceptron;
mod seeded;
pub mod string_perceptron;
pub mod tokens;
pub mod transformer;
pub mod unet;
