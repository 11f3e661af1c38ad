//! Networks, and what the models ask of one.

mod denoiser;
pub mod llama;
mod mlp;
mod network;
mod networks;
mod perceptron;
mod pretrained;
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
    networks::NetworkKind,
    perceptron::{Perceptron, embedding},
    pretrained::{gpt2::Gpt2, unet2d::UNet2D},
    string_perceptron::{CausalPerceptron, MaskedPerceptron, StringShape},
    tokens::{CausalNet, Contexts, Decoder, MaskedNet},
    transformer::{CausalTransformer, MaskedTransformer, TransformerShape},
    unet::{UNet, UNetShape},
};
pub(crate) use {mlp::initial, perceptron::EMBEDDING};
