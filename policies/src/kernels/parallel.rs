//! Independent jobs on the threads of the current rayon pool; with one thread, or one job, a plain loop.

use rayon::prelude::*;

/// Runs `work` on every job. Results must not depend on the order: every job writes to places of its own.
pub fn for_each<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if jobs.len() < 2 || rayon::current_num_threads() == 1 {
        jobs.into_iter().for_each(work);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(work);
    }
}

/// Runs `work` inside the pool, so that the parallel loops in it do not hand over between threads each.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_num_threads() == 1 || rayon::current_thread_index().is_some() {
        return work();
    }
    rayon::scope(|_| work())
}
