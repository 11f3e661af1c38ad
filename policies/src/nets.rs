//! Networks, and what the models ask of one.

pub mod denoiser;
pub mod mlp;
pub mod perceptron;
pub mod pretrained;
mod seeded;
pub mod string_perceptron;
pub mod tokens;
pub mod transformer;
pub mod unet;
