//! Policies that leave: what they are made of as plain numbers, written as ONNX or safetensors, with a card that says what they are.

mod card;
mod numbers;
mod onnx;
mod policy_graph;
mod safetensors;
#[cfg(feature = "cuda")]
mod tables;

pub use card::{Card, TEMPERATURE, facts};
pub use numbers::{Layer, Network, PolicyNumbers, Selection};
pub use policy_graph::onnx;
pub use safetensors::safetensors;
