//! The handle of the CPU engine: its arithmetic, and buffers that outlive a call.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::arithmetic::Arithmetic;
use crate::pass::{PackedWeights, Workspace};
use crate::paths::kept::KeptShard;

/// The CPU engine. Clones share their buffers.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    arithmetic: Arithmetic,
    workspaces: Spare<Workspace>,
    weights: Spare<PackedWeights>,
    shards: Spare<KeptShard>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU engine, {}", self.0.arithmetic)
    }
}

impl Engine {
    /// Returns an engine of this arithmetic, without buffers yet.
    pub fn new(arithmetic: Arithmetic) -> Self {
        Self(Arc::new(Shared {
            arithmetic,
            workspaces: Spare::of(128),
            weights: Spare::of(8),
            shards: Spare::of(64),
        }))
    }

    /// Returns an engine of the fastest arithmetic that the machine has.
    pub fn best() -> Self {
        Self::new(Arithmetic::best())
    }

    /// Returns the arithmetic of matrix products.
    pub fn arithmetic(&self) -> Arithmetic {
        self.0.arithmetic
    }

    pub(crate) fn workspaces(&self) -> &Spare<Workspace> {
        &self.0.workspaces
    }

    pub(crate) fn weights(&self) -> &Spare<PackedWeights> {
        &self.0.weights
    }

    pub(crate) fn shards(&self) -> &Spare<KeptShard> {
        &self.0.shards
    }
}

/// Buffers between two uses; what they hold is stale.
pub(crate) struct Spare<T> {
    kept: Mutex<Vec<T>>,
    most: usize,
}

impl<T: Default> Spare<T> {
    fn of(most: usize) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            most,
        }
    }

    /// Returns spare buffers, or new ones.
    pub(crate) fn take(&self) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        kept.pop().unwrap_or_default()
    }

    /// Keeps buffers for the next [`Self::take`].
    pub(crate) fn give_back(&self, buffers: T) {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        if kept.len() < self.most {
            kept.push(buffers);
        }
    }
}
