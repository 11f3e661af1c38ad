//! What a system hands back: rows with their checks, pictures, and what is to be said beside the table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiltrl_plots::{
    Clouds, Curve, Histogram, Intervals, Panels, PlotError, clouds, curve, histogram, intervals,
    panels,
};

/// A method on a task, beside the exact answer. A number that was not measured is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The task, as "double letters".
    pub task: String,
    /// The method, as "balance", "prior", "policy gradient".
    pub method: String,
    /// log Z as the loss had it at the end of training, nats.
    pub log_z: Option<f64>,
    /// Mean of log r + log p − log q under q, nats: at most the reference.
    pub elbo: Option<f64>,
    /// log Z by importance sampling under q, nats.
    pub importance: Option<f64>,
    /// The exact log Z, or an independent estimate, nats.
    pub reference: Option<f64>,
    /// ESS/N of paths of q.
    pub ess: Option<f64>,
    /// Mean of log r, nats.
    pub log_reward: Option<f64>,
    /// Distance to the exact posterior; the system says which.
    pub distance: Option<f64>,
    /// The same distance between exact samples and the exact posterior; none where the distance is no estimate.
    pub floor: Option<f64>,
    /// KL from the model to the exact posterior, nats.
    pub kl: Option<f64>,
    /// Diversity: exp of the entropy where the distribution is known, or as the system says.
    pub diversity: Option<f64>,
    /// Seconds of training, those of the prior left out.
    pub seconds: Option<f64>,
    /// More columns, by name.
    pub more: BTreeMap<String, f64>,
    /// What the row must meet.
    pub checks: Vec<Check>,
}

impl Row {
    /// Returns a row without numbers.
    pub fn new(task: &str, method: &str) -> Self {
        Self {
            task: task.into(),
            method: method.into(),
            ..Self::default()
        }
    }

    /// Returns whether every check holds.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Check::passed)
    }
}

/// A bound that a number must keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is bounded, as "TV".
    pub what: String,
    /// What was found; none where it is not finite.
    pub found: Option<f64>,
    /// What it is held against.
    pub bound: f64,
    /// Whether the number must lie above it.
    pub above: bool,
}

impl Check {
    /// Returns the demand that a number lies below a bound.
    pub fn below(what: &str, found: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            found: found.is_finite().then_some(found),
            bound,
            above: false,
        }
    }

    /// Returns the demand that a number lies above a bound.
    pub fn above(what: &str, found: f64, bound: f64) -> Self {
        Self {
            above: true,
            ..Self::below(what, found, bound)
        }
    }

    /// Returns whether the bound is kept; a number that is not finite keeps none.
    pub fn passed(&self) -> bool {
        self.found.is_some_and(|found| {
            if self.above {
                found > self.bound
            } else {
                found < self.bound
            }
        })
    }
}

/// Draws a picture of one's own at a stem and returns the files.
pub type Draw = Box<dyn Fn(&Path) -> Result<Vec<PathBuf>, PlotError>>;

/// A picture to draw.
pub enum Figure {
    /// Lines over a common axis.
    Curve(Curve),
    /// Dots in groups.
    Intervals(Intervals),
    /// Several curves side by side.
    Panels(Panels),
    /// Samples in the plane.
    Clouds(Clouds),
    /// Counts of values in bins.
    Histogram(Histogram),
    /// Anything else: drawn by a function of one's own.
    Own(Draw),
}

/// A picture with its place.
pub struct Picture {
    /// Name of its files in the folder of the seed, without an ending.
    pub stem: String,
    /// What is drawn.
    pub figure: Figure,
}

impl Picture {
    /// Returns a picture with its place.
    pub fn new(stem: &str, figure: Figure) -> Self {
        Self {
            stem: stem.into(),
            figure,
        }
    }

    /// Draws it in a folder and returns the files.
    ///
    /// # Errors
    /// Those of the figure.
    pub fn draw(&self, folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
        let stem = folder.join(&self.stem);
        match &self.figure {
            Figure::Curve(figure) => curve(figure, &stem),
            Figure::Intervals(figure) => intervals(figure, &stem),
            Figure::Panels(figure) => panels(figure, &stem),
            Figure::Clouds(figure) => clouds(figure, &stem),
            Figure::Histogram(figure) => histogram(figure, &stem),
            Figure::Own(draw) => draw(&stem),
        }
    }
}

/// What one seed of a system comes to.
#[derive(Default)]
pub struct Outcome {
    /// Rows of the table, in its order.
    pub rows: Vec<Row>,
    /// Pictures of this seed.
    pub pictures: Vec<Picture>,
    /// What is to be said under the table: where data came from, what was skipped.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_when_all_its_bounds_hold_and_nan_keeps_none() {
        let mut row = Row::new("task", "method");
        assert!(row.passed());
        row.checks = vec![
            Check::below("TV", 0.01, 0.02),
            Check::above("ESS", 0.9, 0.5),
        ];
        assert!(row.passed());
        for broken in [
            Check::below("TV", 0.02, 0.02),
            Check::above("ESS", 0.5, 0.5),
            Check::below("TV", f64::NAN, 0.02),
            Check::above("ESS", f64::NAN, 0.5),
        ] {
            row.checks.truncate(2);
            row.checks.push(broken);
            assert!(!row.passed(), "{:?}", row.checks[2]);
        }
    }
}
