//! The table of the networks that configurations can name for a prior.
//!
//! To add one, write its file and a line of `KINDS`; from another crate, [`register`] it.

use std::sync::{PoisonError, RwLock};

use tiltrl_tilt::TiltError;
use tiltrl_tilt::noise::Noise;

use super::network::Network;
use super::{perceptron, residual};
use crate::compute::Compute;
use crate::fast::Activation;

/// What is asked of a network before it exists.
#[derive(Clone, Debug)]
pub struct NetworkShape {
    /// Width of a state.
    pub dim: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
    /// Outputs.
    pub outputs: usize,
    /// Hidden widths; what they mean is the network's affair.
    pub hidden: Vec<usize>,
    /// Non-linearity.
    pub activation: Activation,
}

/// A network that configurations can name.
#[derive(Clone, Copy)]
pub struct NetworkKind {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Returns one with random weights, or says why there is none of that shape.
    pub make: fn(&NetworkShape, &mut Noise, &Compute) -> Result<Network, TiltError>,
}

/// The kinds that are built in.
const KINDS: [NetworkKind; 2] = [perceptron::KIND, residual::KIND];

/// What was registered in this process; entries are added and never changed, so a name means the same from then on.
static REGISTERED: RwLock<Vec<NetworkKind>> = RwLock::new(Vec::new());

/// Makes a network of the user's known by its name, in this process.
///
/// # Errors
/// [`TiltError::Model`] when the name is taken.
pub fn register(kind: NetworkKind) -> Result<(), TiltError> {
    if kinds().iter().any(|k| k.name == kind.name) {
        return Err(TiltError::Model(format!(
            "a network is registered once, under a name that no other has; found `{}` again",
            kind.name
        )));
    }
    let mut all = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    all.push(kind);
    Ok(())
}

/// Returns all kinds, built in and registered.
pub fn kinds() -> Vec<NetworkKind> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    KINDS.iter().chain(registered.iter()).copied().collect()
}
