//! The models of the words: the masked diffusion, and the autoregressive one that scores suffixes.

use burn::tensor::Tensor;
use tiltrl_policies::models::Autoregressive;
use tiltrl_policies::models::MaskedDiffusion;
use tiltrl_policies::models::Strings;
use tiltrl_policies::nets::{CausalPerceptron, MaskedPerceptron, StringShape};
use tiltrl_tilt::host::host64;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{Batched, SequentialModel};

use super::data::LETTERS;
use crate::error::Error;
use crate::systems::request::Request;
use crate::systems::train::{Descent, Recipe, descend};

/// A masked diffusion of letters.
pub type Prior = MaskedDiffusion<MaskedPerceptron>;
/// An autoregressive model of letters.
pub type Suffix = Autoregressive<CausalPerceptron>;

/// Returns the condition of models that have none.
pub fn none(rows: usize, request: &Request) -> Tensor<2> {
    Tensor::zeros([rows, 1], &request.compute.device)
}

fn shape(vocabulary: usize, length: usize, request: &Request) -> StringShape {
    StringShape {
        vocabulary,
        length,
        condition_dim: 0,
        hidden: vec![request.settings.count("hidden"); 2],
    }
}

/// Trains the prior on a list of words.
pub fn prior(list: &Strings, request: &Request) -> Result<Prior, Error> {
    let mut noise = Noise::keyed(request.seed, "prior-weights", 0);
    let shape = shape(LETTERS, list.length, request);
    let net = MaskedPerceptron::new(&shape, 1.0, &mut noise, &request.compute);
    let start = MaskedDiffusion::new(net, 0).scored_on_host();
    let batch = request.settings.count("prior_batch");
    let loss = |model: &Prior, noise: &mut Noise| {
        let words = list.pick(&noise.indices(batch, list.count()));
        let found = model.loss(&words, &none(batch, request), noise);
        Descent {
            surrogate: found.surrogate,
            loss: found.value,
        }
    };
    let settings = &request.settings;
    let recipe = Recipe::new(
        settings.count("prior_updates"),
        settings.number("prior_rate"),
    );
    let unmeasured = |_: &Prior| f64::NAN;
    Ok(descend("prior", start, &recipe, &loss, &unmeasured, request)?.model)
}

/// Trains the autoregressive model on the same words.
pub fn suffix_model(list: &Strings, request: &Request) -> Result<Suffix, Error> {
    let mut noise = Noise::keyed(request.seed, "suffix-weights", 0);
    // The end token is never used: all words are as long as the network sees.
    let shape = StringShape {
        hidden: vec![64],
        ..shape(LETTERS + 1, list.length, request)
    };
    let net = CausalPerceptron::new(&shape, 1.0, &mut noise, &request.compute);
    let rows = 128;
    let loss = |model: &Suffix, noise: &mut Noise| {
        let words = list.pick(&noise.indices(rows, list.count()));
        let path = model.path_to(&none(rows, request), &words, noise);
        let scores = model.step_log_probs(&path, 0..list.length);
        let surrogate = scores.sum() * (-1.0 / rows as f32);
        Descent {
            loss: host64(surrogate.clone())[0],
            surrogate,
        }
    };
    let updates = if request.quick { 300 } else { 1500 };
    let recipe = Recipe::new(updates, 5e-3);
    let start = Autoregressive::new(net, 0);
    let unmeasured = |_: &Suffix| f64::NAN;
    Ok(descend("suffix", start, &recipe, &loss, &unmeasured, request)?.model)
}

/// Returns log p(suffix | prefix, infill) of strings given by their index: the letters after the last gap.
pub fn suffix_rewards(
    model: &Suffix,
    evidence: &[Option<u32>],
    elements: &[usize],
    request: &Request,
) -> Vec<f64> {
    let length = evidence.len();
    let gap = evidence.iter().rposition(Option::is_none);
    let first = gap.map_or(0, |last| last + 1);
    let place = |i: usize| LETTERS.pow((length - 1 - i) as u32);
    let letters = |index: &usize| {
        let index = *index;
        (0..length).map(move |i| (index / place(i) % LETTERS) as u32)
    };
    let strings = Strings {
        tokens: elements.iter().flat_map(letters).collect(),
        length,
    };
    let conditions = none(elements.len(), request);
    let path = model.path_to(&conditions, &strings, &mut Noise::keyed(0, "unused", 0));
    host64(model.step_log_probs(&path, first..length).sum_dim(1))
}
