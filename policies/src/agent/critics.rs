//! The table of the critics that configurations can name.
//!
//! To add one, write its file and a line of `KINDS`; from another crate, [`CriticKind::register`] it.

use std::sync::{PoisonError, RwLock};

use tiltrl_tilt::TiltError;

use super::critic::CriticKind;
use super::{advantage, iql, soft};

/// The kinds that are built in.
const KINDS: [CriticKind; 3] = [iql::KIND, advantage::KIND, soft::KIND];

/// What was registered in this process; entries are added and never changed, so a name means the same from then on.
static REGISTERED: RwLock<Vec<CriticKind>> = RwLock::new(Vec::new());

impl CriticKind {
    /// Makes a critic of the user's known by its name, in this process.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the name is taken.
    pub fn register(self) -> Result<(), TiltError> {
        if Self::all().iter().any(|k| k.name == self.name) {
            return Err(TiltError::Model(format!(
                "a critic is registered once, under a name that no other has; found `{}` again",
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
