//! Tests named after the ways in which relative trajectory balance fails silently (docs/silent-failures.md).

mod common;
mod discrete;
mod linear;
mod mixtures;
mod precision;
mod variants;
