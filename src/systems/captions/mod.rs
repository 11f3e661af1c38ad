//! Captions: digits from text, tilted by how well they fit it: p(x | caption) · exp(β R). A small stand-in for text-to-image models with a
//! learned reward (arXiv:2405.20971, section 3.2), labelled as such.

pub mod attributes;
pub mod caption;
mod run;

use super::request::{Setting, System};

/// What `tiltrl tilt captions` runs.
pub const SYSTEM: System = System {
    name: "captions",
    summary: "digits from captions, tilted by a score: p(x | caption) · exp(β R), beside rejection sampling",
    distance: "Fréchet",
    tasks: &["β = 1", "β = 5", "β = 10"],
    settings: &[
        Setting::new("components", [16.0, 16.0], [0.0, 256.0], "as for digits"),
        Setting::new(
            "steps",
            [12.0, 12.0],
            [5.0, 1000.0],
            "steps from noise to image",
        ),
        Setting::new(
            "hidden",
            [64.0, 64.0],
            [8.0, 4096.0],
            "width of the perceptron's three layers",
        ),
        Setting::new(
            "classifier_updates",
            [400.0, 400.0],
            [1.0, 1e6],
            "updates of the classifier",
        ),
        Setting::new(
            "prior_updates",
            [1500.0, 1500.0],
            [1.0, 1e7],
            "updates of the prior",
        ),
        Setting::new(
            "updates",
            [400.0, 60.0],
            [1.0, 1e7],
            "updates of each method at each β",
        ),
        Setting::new(
            "paths",
            [64.0, 16.0],
            [8.0, 65_536.0],
            "paths per caption and update, a quarter of them the prior's",
        ),
        Setting::new(
            "learning_rate",
            [2e-3, 2e-3],
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
            [20_000.0, 4_000.0],
            [500.0, 1e7],
            "samples of the prior per caption for the reference",
        ),
        Setting::new(
            "samples",
            [2_048.0, 512.0],
            [128.0, 1e6],
            "samples per caption that each method is judged by",
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
