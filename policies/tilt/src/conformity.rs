//! What the method relies on, as checks that any model can be put to.
//!
//! | rule | what breaks without it |
//! |---|---|
//! | a copy of the model has log-ratio 0 to it | the posterior does not start as the prior |
//! | scoring a sampled path again gives the scores of sampling | δ is not that of the path |
//! | steps may be scored in parts, and rows in any order | chunked gradients, replay, groups |
//! | noising backwards ends in the given sample, with finite scores | off-policy paths teach something else |
//! | other weights give other scores | it never learns, or scores with what it once was |
//! | gradients reach the tracked weights, all of them, and nothing else | a leak into the prior, a dead layer |
//! | the gradient in chunks is the whole gradient | `chunk` changes the posterior |
//! | weights survive a checkpoint bit by bit | a resumed run goes on from another model |

use burn::module::Module;
use burn::tensor::Tensor;

use crate::checkpoint::Checkpoint;
use crate::host::{host, host64};
use crate::noise::Noise;
use crate::sequential::{Batched, Scored, SequentialModel};
use crate::weights;

/// What is checked, and how closely.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Largest difference of log-probabilities of one step that rounding may leave, nats.
    pub tolerance: f64,
    /// Seed of the paths.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: 1e-4,
            seed: 1,
        }
    }
}

/// Checks a model on paths of the given conditions, one row per path (two rows at least), and returns every rule that it breaks.
///
/// # Errors
/// The broken rules, one sentence each, with the figures.
pub fn check<M: SequentialModel>(
    model: &M,
    conditions: &M::Condition,
    settings: Settings,
) -> Result<(), Vec<String>> {
    let model = model.with_weights(model.weights().valid());
    let mut noise = Noise::keyed(settings.seed, "conformity", 0);
    let Scored { path, scores } = model.sample_path(conditions, &mut noise);
    let case = Case {
        model: &model,
        conditions,
        settings,
        path,
        scores,
    };
    let broken: Vec<String> = [
        case.copies(),
        case.scoring_again(),
        case.parts(),
        case.backwards(&mut noise),
        case.other_weights(),
        case.gradients(),
        case.chunks(),
        case.checkpoint(),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}

struct Case<'a, M: SequentialModel> {
    model: &'a M,
    conditions: &'a M::Condition,
    settings: Settings,
    path: M::Path,
    scores: Tensor<2>,
}

/// Largest difference; infinite where a number is not finite or the lengths differ.
fn gap(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let gaps = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, |worst: f64, gap| {
        if gap.is_finite() {
            worst.max(gap)
        } else {
            f64::INFINITY
        }
    })
}

impl<M: SequentialModel> Case<'_, M> {
    fn steps(&self) -> usize {
        self.model.num_steps()
    }

    fn near(&self, rule: &str, a: &[f64], b: &[f64]) -> Result<(), String> {
        let (found, most) = (gap(a, b), self.settings.tolerance);
        if found <= most {
            return Ok(());
        }
        Err(format!(
            "{rule}: differs by {found:.3e} nats, at most {most:.0e} allowed"
        ))
    }

    fn copies(&self) -> Result<(), String> {
        let copy = self.model.with_weights(self.model.weights().clone());
        let own = host64(self.model.step_log_probs(&self.path, 0..self.steps()));
        let found = host64(copy.step_log_probs(&self.path, 0..self.steps()));
        self.near("a copy has log-ratio 0", &found, &own)
    }

    fn scoring_again(&self) -> Result<(), String> {
        let [rows, steps] = self.scores.dims();
        if [rows, steps] != [self.conditions.count(), self.steps()] {
            return Err(format!(
                "sampling scores [paths, T]: expected [{}, {}], found [{rows}, {steps}]",
                self.conditions.count(),
                self.steps()
            ));
        }
        let again = host64(self.model.step_log_probs(&self.path, 0..steps));
        let sampled = host64(self.scores.clone());
        self.near("scoring again equals sampling", &again, &sampled)
    }

    fn parts(&self) -> Result<(), String> {
        let columns = (0..self.steps()).map(|k| self.model.step_log_probs(&self.path, k..k + 1));
        let parts = host64(Tensor::cat(columns.collect(), 1));
        let whole = host64(self.model.step_log_probs(&self.path, 0..self.steps()));
        self.near(
            "steps scored one by one equal steps scored together",
            &parts,
            &whole,
        )
    }

    fn backwards(&self, noise: &mut Noise) -> Result<(), String> {
        let sample = self.model.sample_of(&self.path);
        let path = self.model.path_to(self.conditions, &sample, noise);
        let (end, wanted) = (self.model.sample_of(&path).numbers(), sample.numbers());
        if end != wanted {
            return Err(format!(
                "noising backwards ends in the given sample: differs by {:.3e}",
                gap(&end, &wanted)
            ));
        }
        let scores = host64(self.model.step_log_probs(&path, 0..self.steps()));
        if scores.iter().all(|s| s.is_finite()) {
            Ok(())
        } else {
            Err("paths noised backwards have finite scores: found one that has not".into())
        }
    }

    fn other_weights(&self) -> Result<(), String> {
        let mut noise = Noise::keyed(self.settings.seed, "conformity-weights", 0);
        let moved = weights::tensors(self.model.weights()).into_iter().map(|p| {
            let shift = noise.normals(p.dims()[0], 1);
            let device = p.device();
            p + crate::host::vector(shift, &device)
        });
        let moved = weights::with_tensors(self.model.weights().clone(), moved.collect());
        let other = self.model.with_weights(moved);
        let own = host64(self.model.step_log_probs(&self.path, 0..self.steps()));
        let found = host64(other.step_log_probs(&self.path, 0..self.steps()));
        if gap(&own, &found) > 0.0 {
            return Ok(());
        }
        Err("other weights give other scores: found the same".into())
    }

    fn gradients(&self) -> Result<(), String> {
        let plain = self.model.step_log_probs(&self.path, 0..self.steps());
        if plain.is_require_grad() || plain.device().is_autodiff() {
            return Err(
                "a model that does not record gradients gives plain scores: found tracked ones"
                    .into(),
            );
        }
        let tracked = self.model.tracked();
        let names = weights::names(tracked.weights());
        let trainable = weights::tracked_names(tracked.weights());
        let mut noise = Noise::keyed(self.settings.seed, "conformity-gradient", 0);
        let Scored { path, scores } = tracked.sample_path(self.conditions, &mut noise);
        let again = tracked.step_log_probs(&path, 0..self.steps());
        if !(scores.device().is_autodiff() && again.device().is_autodiff()) {
            return Err(format!(
                "gradients reach every trained parameter: none at `{}`, the scores carry none",
                trainable.first().map_or("", String::as_str)
            ));
        }
        self.near(
            "a tracked model samples what it scores",
            &host64(again),
            &host64(scores.clone()),
        )?;
        // Weights that differ by path and step: a sum over a whole distribution would have no gradient.
        let [rows, steps] = scores.dims();
        let uneven = noise.normals(rows, steps);
        let weights = crate::host::matrix(uneven, steps, &scores.device().inner());
        let gradients = (scores * weights).sum().backward();
        let found = weights::gradient(tracked.weights(), &gradients);
        for (name, gradient) in names.iter().zip(found) {
            let reached = gradient.is_some_and(|g| host(g).iter().all(|v| v.is_finite()));
            match (trainable.contains(name), reached) {
                (true, false) => {
                    return Err(format!(
                        "gradients reach every trained parameter: none, or none that is finite, at `{name}`"
                    ));
                }
                (false, true) => {
                    return Err(format!(
                        "frozen parameters get no gradient: `{name}` got one"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn gradient_of(&self, chunk: usize) -> Vec<f64> {
        let tracked = self.model.tracked();
        let mut sum = Vec::new();
        for start in (0..self.steps()).step_by(chunk) {
            let steps = start..(start + chunk).min(self.steps());
            let scores = tracked.step_log_probs(&self.path, steps);
            if !scores.device().is_autodiff() {
                // Said by `gradients`.
                return Vec::new();
            }
            let gradients = scores.sum().backward();
            sum = weights::add(sum, weights::gradient(tracked.weights(), &gradients));
        }
        sum.into_iter().flatten().flat_map(host64).collect()
    }

    fn chunks(&self) -> Result<(), String> {
        let (whole, parts) = (self.gradient_of(self.steps()), self.gradient_of(1));
        let size = whole.iter().fold(1.0f64, |most, g| most.max(g.abs()));
        let found = gap(&whole, &parts) / size;
        if found <= 1e-3 {
            return Ok(());
        }
        Err(format!(
            "the gradient in chunks is the whole gradient: differs by {found:.3e} of its largest entry"
        ))
    }

    fn checkpoint(&self) -> Result<(), String> {
        let mut checkpoint = Checkpoint::new("conformity", 1);
        weights::put(&mut checkpoint, "weights", self.model.weights());
        let path = std::path::Path::new("conformity");
        // Other weights of the same shape, so that what is read back cannot be what was there.
        let zeros = weights::tensors(self.model.weights());
        let zeros = zeros.iter().map(Tensor::zeros_like).collect();
        let blank = weights::with_tensors(self.model.weights().clone(), zeros);
        let restored =
            weights::get(&checkpoint, path, "weights", blank).map_err(|e| e.to_string())?;
        let restored = self.model.with_weights(restored);
        let own = host64(self.model.step_log_probs(&self.path, 0..self.steps()));
        let found = host64(restored.step_log_probs(&self.path, 0..self.steps()));
        if own == found {
            return Ok(());
        }
        Err("weights survive a checkpoint bit by bit: the scores differ".into())
    }
}
