//! Digits: p(x) · p(c|x) under an image prior (arXiv:2405.20971, section 3.1), with rejection sampling as the truth.

pub mod algebra;
pub mod classifier;
pub mod idx;
pub mod images;
pub mod measure;
pub mod prior;
pub mod tilt;
pub mod truth;
