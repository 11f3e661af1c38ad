//! Networks, and what the models ask of one.

mod denoiser;
pub mod llama;
mod mlp;
mod network;
pub mod networks;
mod perceptron;
pub mod pretrained;
mod residual;
mod seeded;
mod string_perceptron;
mod tokens;
mod transformer;
mod unet;

pub use self::{
    denoiser::{Compiled, Denoiser, Query},
    mlp::Mlp,
    network::{Network, NetworkShape},
    perceptron::{EMBEDDING, Perceptron, PerceptronShape, embedding},
    string_perceptron::{CausalPerceptron, MaskedPerceptron, StringShape},
    tokens::{CausalNet, Contexts, Decoder, MaskedNet},
    transformer::{CausalTransformer, MaskedTransformer, TransformerShape},
    unet::{UNet, UNetShape},
};
pub(crate) use mlp::initial;
