//! Independent jobs on the threads of the current rayon pool; with one thread, or one job, a plain loop.

use rayon::prelude::*;

/// Builds the process's pool of `threads` threads (0: one per core), of which the calling thread is one.
///
/// Work that this thread hands out then starts at once on the thread itself: with a pool of its own, the operating system has to
/// wake a second thread first, which takes longer than acting for ten rows. Any thread may use the pool, but only as long as the
/// calling thread is not blocked elsewhere do all its threads work.
///
/// # Errors
/// When there is a pool already.
pub fn build_pool(threads: usize) -> Result<(), rayon::ThreadPoolBuildError> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if threads > 1 {
        pool.use_current_thread().build_global()
    } else {
        pool.build_global()
    }
}

/// Runs `work` on every job. Results must not depend on the order: every job writes to places of its own.
pub fn for_each<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if jobs.len() < 2 || rayon::current_num_threads() == 1 {
        jobs.into_iter().for_each(work);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(work);
    }
}

/// Runs `work` inside the pool, so that the parallel loops in it do not hand over between threads each.
pub(crate) fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_num_threads() == 1 || rayon::current_thread_index().is_some() {
        return work();
    }
    rayon::scope(|_| work())
}
