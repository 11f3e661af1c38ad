//! Digits: p(x) · p(c|x) under an image prior (arXiv:2405.20971, section 3.1), with rejection sampling as the truth.

pub mod algebra;
pub mod classifier;
pub mod idx;
pub mod images;
mod pictures;
pub mod prior;
pub mod run;
pub mod truth;

use super::request::{Setting, System};

/// The system.
pub const SYSTEM: System = System {
    name: "digits",
    summary: "images of digits, tilted to classes: p(x) · p(c|x), beside rejection sampling",
    distance: "Fréchet",
    tasks: &["digit", "even", "odd"],
    settings: &[
        Setting::new(
            "digit",
            [3.0, 3.0],
            [0.0, 9.0],
            "the class of the first target",
        ),
        Setting::new(
            "components",
            [0.0, 0.0],
            [0.0, 256.0],
            "principal components to work in; 0: the pixels of images up to 16 × 16, 32 components of larger ones",
        ),
        Setting::new(
            "unet",
            [0.0, 0.0],
            [0.0, 1.0],
            "1: a U-Net over pixels in place of the perceptron",
        ),
        Setting::new(
            "channels",
            [16.0, 8.0],
            [4.0, 256.0],
            "channels of the U-Net, a multiple of 4",
        ),
        Setting::new(
            "steps",
            [20.0, 12.0],
            [5.0, 1000.0],
            "steps from noise to image",
        ),
        Setting::new(
            "hidden",
            [256.0, 64.0],
            [8.0, 4096.0],
            "width of the perceptron's three layers",
        ),
        Setting::new(
            "classifier_updates",
            [2000.0, 300.0],
            [1.0, 1e6],
            "updates of the classifier",
        ),
        Setting::new(
            "prior_updates",
            [6000.0, 600.0],
            [1.0, 1e7],
            "updates of the prior",
        ),
        Setting::new(
            "updates",
            [1500.0, 100.0],
            [1.0, 1e7],
            "updates of each target, and of each baseline",
        ),
        Setting::new(
            "paths",
            [256.0, 64.0],
            [8.0, 65_536.0],
            "paths per update, a quarter of them the prior's",
        ),
        Setting::new(
            "learning_rate",
            [3e-4, 1e-3],
            [1e-7, 1.0],
            "step size of the tilt at its start",
        ),
        Setting::new(
            "cap",
            [5.0, 5.0],
            [0.0, 1e6],
            "residuals beyond so many nats count as these; 0: as they are",
        ),
        Setting::new(
            "reference",
            [60_000.0, 6_000.0],
            [500.0, 1e7],
            "samples of the prior for the reference",
        ),
        Setting::new(
            "samples",
            [8_192.0, 1_024.0],
            [128.0, 1e6],
            "samples that each method is judged by",
        ),
        Setting::new(
            "baselines",
            [1.0, 0.0],
            [0.0, 1.0],
            "0: without the trained baselines",
        ),
    ],
    run: run::run,
};
