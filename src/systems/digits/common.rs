//! What the systems of images read from their settings.

use tiltrl_tilt::finetune::Mixture;
use tiltrl_tilt::rtb::Shaping;

use super::classifier::{Classifier, ClassifierSettings};
use super::images::{Set, load};
use super::prior::PriorSettings;
use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Behaviour, Recipe};

/// Loads the set: in principal components, or as pixels where a network wants images.
///
/// # Errors
/// Those of [`load`].
pub(crate) fn load_set(request: &Request, pixels: bool) -> Result<Set, Error> {
    let asked = request.settings.count("components");
    load(request.data.as_deref(), if pixels { 0 } else { asked })
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
