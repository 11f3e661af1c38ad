//! What the systems of images read from their settings.

use tiltrl_tilt::finetune::Mixture;
use tiltrl_tilt::rtb::Shaping;

use super::classifier::{Classifier, ClassifierSettings};
use super::images::{Set, load};
use super::prior::PriorSettings;
use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, Recipe};

/// Images of more pixels are seen through principal components.
const MOST_PIXELS: usize = 256;
const COMPONENTS: usize = 32;

/// Loads the set: pixels where images are small or a network wants an image, else components.
///
/// # Errors
/// Those of [`load`].
pub(crate) fn load_set(request: &Request, pixels: bool) -> Result<Set, Error> {
    let folder = request.data.as_deref();
    let asked = request.settings.count("components");
    if asked > 0 && pixels {
        return Err(Error::Usage(format!(
            "--set components={asked}: a U-Net sees pixels\n  hint: leave components at 0, or unet at 0"
        )));
    }
    let set = load(folder, asked)?;
    if asked > 0 || pixels || set.coordinates.dim <= MOST_PIXELS {
        return Ok(set);
    }
    load(folder, COMPONENTS)
}

/// Returns how the prior is made.
pub(crate) fn prior_settings(request: &Request) -> PriorSettings {
    let s = &request.settings;
    PriorSettings {
        steps: s.count("steps"),
        hidden: vec![s.count("hidden"); 3],
        updates: s.count("prior_updates"),
        ..PriorSettings::default()
    }
}

/// Trains the classifier.
pub(crate) fn classifier(set: &Set, request: &Request) -> Classifier {
    let settings = ClassifierSettings {
        updates: request.settings.count("classifier_updates") as u64,
        ..ClassifierSettings::default()
    };
    Classifier::train(set, &settings, request.seed, &request.compute)
}

/// Returns how a target is tilted, and from which paths.
pub(crate) fn recipe(request: &Request) -> (Recipe, Behaviour) {
    let settings = &request.settings;
    let recipe = Recipe {
        max_gradient_norm: 1.0,
        ..Recipe::new(settings.count("updates"), settings.number("learning_rate"))
    };
    let paths = settings.count("paths");
    let behaviour = Behaviour {
        mixture: Mixture {
            on_policy: paths - paths / 4,
            prior: paths / 4,
            data: 0,
        },
        shaping: Shaping {
            dead_zone: 0.0,
            huber: settings.number("cap"),
        },
        ..Behaviour::on_policy(paths)
    };
    (recipe, behaviour)
}
