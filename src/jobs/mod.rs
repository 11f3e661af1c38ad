//! Many runs as one list: what each is, how it stands, doing them here or handing them to Slurm.
//!
//! One job is one seed of one experiment, trained by `tiltrl run` in a process of its own. Nothing but its folder says how it
//! stands, so a job may die, be repeated or run twice: its folder is locked, it goes on from its checkpoint, and one that is done
//! does nothing more.

mod job;
mod ledger;
mod listing;
mod local;
mod plan;
mod scripts;
mod slurm;
mod state;

pub use job::{Job, check_folders};
pub use listing::{Listed, listed, missing, runs_csv};
pub use local::{Local, Task, run_all};
pub use plan::{Plan, Settings};
pub use slurm::{Submission, submit};
pub use state::State;
