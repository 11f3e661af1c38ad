//! Digits: p(x) · p(c|x) under an image prior (arXiv:2405.20971, section 3.1), with rejection sampling as the truth.

pub mod algebra;
pub mod classifier;
pub(crate) mod common;
pub mod idx;
pub mod images;
pub mod pictures;
pub mod prior;
pub mod run;
pub mod truth;

use super::request::{Setting, System};

/// What `tiltrl tilt digits` runs.
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
            [16.0, 16.0],
            [0.0, 256.0],
            "principal components to work in; 0: pixels",
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
            [800.0, 250.0],
            [1.0, 1e7],
            "updates of each target, and of each baseline",
        ),
        Setting::new(
            "paths",
            [128.0, 64.0],
            [8.0, 65_536.0],
            "paths per update, a quarter of them the prior's",
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

#[cfg(test)]
mod tests {
    use tiltrl_policies::Compute;

    use super::*;
    use crate::console::Console;
    use crate::run::RunDir;
    use crate::systems::folder::{Finished, run_seed};
    use crate::systems::request::{Request, Settings};

    /// A small prior of 8 × 8 digits, tilted to the even ones: log Z, the weights and the features come near rejection's, and a second
    /// call reads what the first one left.
    #[test]
    fn a_quick_tilt_comes_near_rejection() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let request = Request {
            seed: 1,
            settings: Settings::resolve(&SYSTEM, true, &[]).expect("its own"),
            quick: true,
            only: Some("even".into()),
            data: None,
            compute: Compute::cpu(),
            console: Console::Quiet,
            dir: RunDir {
                path: folder.path().join("seed-1"),
            },
        };
        let Finished { rows, notes } = run_seed(&SYSTEM, &request, "cpu").expect("runs");
        assert!(notes[0].contains("8 × 8 digits"), "{notes:?}");
        let row = |method: &str| rows.iter().find(|r| r.method == method).expect(method);
        let (prior, tilted, exact) = (row("prior"), row("balance"), row("exact"));
        let gap = tilted.importance.expect("measured") - tilted.reference.expect("measured");
        assert!(gap.abs() < 0.1, "{tilted:?}");
        assert!(tilted.ess.expect("measured") > 0.3, "{tilted:?}");
        assert!(
            tilted.distance < prior.distance.map(|d| 0.25 * d),
            "{prior:?} {tilted:?}"
        );
        assert!(exact.distance.expect("measured") < 1e-6, "{exact:?}");
        let asked = |row: &super::super::outcome::Row| row.more["asked-for classes"];
        assert!(asked(tilted) > asked(prior) + 0.1, "{prior:?} {tilted:?}");
        for stem in ["samples-even", "classes-even", "progress-even"] {
            let file = request.dir.path.join(format!("{stem}.png"));
            assert!(file.exists(), "{stem}");
        }
        let again = run_seed(&SYSTEM, &request, "cpu").expect("finished").rows;
        assert_eq!(again.len(), rows.len());
    }
}
