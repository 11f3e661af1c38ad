//! The table of the networks that configurations can name for a prior.
//!
//! To add one, write its file and a line of `KINDS`; from another crate, [`NetworkKind::register`] it.

use std::sync::{PoisonError, RwLock};

use tiltrl_tilt::TiltError;
use tiltrl_tilt::noise::Noise;

use super::network::{Network, NetworkShape};
use super::perceptron::Perceptron;
use super::residual::Residual;
use crate::compute::Compute;

/// A network that configurations can name.
#[derive(Clone, Copy)]
pub struct NetworkKind {
    /// Name that `prior.network` in a config takes.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Returns one with random weights, or says why there is none of that shape.
    pub make: fn(&NetworkShape, &mut Noise, &Compute) -> Result<Network, TiltError>,
}

/// The kinds that are built in.
const KINDS: [NetworkKind; 2] = [PERCEPTRON, RESIDUAL];

const PERCEPTRON: NetworkKind = NetworkKind {
    name: "perceptron",
    summary: "a perceptron of the hidden widths, on the CPU engine's fused form",
    make: |shape, noise, compute| Ok(Network::of(Perceptron::new(shape, 0.1, noise, compute))),
};

const RESIDUAL: NetworkKind = NetworkKind {
    name: "residual",
    summary: "residual blocks with layer norm (IDQL), one per hidden width, all of one width; made of burn's layers",
    make: |shape, noise, compute| Ok(Network::of(Residual::new(shape, noise, compute)?)),
};

/// What was registered in this process; entries are added and never changed, so a name means the same from then on.
static REGISTERED: RwLock<Vec<NetworkKind>> = RwLock::new(Vec::new());

impl NetworkKind {
    /// Makes a network of the user's known by its name, in this process.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the name is taken.
    pub fn register(self) -> Result<(), TiltError> {
        if Self::all().iter().any(|k| k.name == self.name) {
            return Err(TiltError::Model(format!(
                "a network is registered once, under a name that no other has; found `{}` again",
                self.name
            )));
        }
        let mut all = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        all.push(self);
        Ok(())
    }

    /// Returns all kinds, built in and registered.
    pub fn all() -> Vec<Self> {
        let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
        KINDS.iter().chain(registered.iter()).copied().collect()
    }
}
