//! Closures that block, on other threads.

use crate::task::JoinHandle;
use annulus::rt::BlockingPool;
use std::{error, fmt};

pub use annulus::rt::BlockingJob as BlockingTask;

/// Threads that run what [`spawn_blocking`] is given.
pub trait ThreadPool {
    /// Takes a task in, to run it on another thread.
    fn schedule_task(&self, task: BlockingTask);
}

/// A pool that makes its threads as they are needed, up to a number.
#[derive(Clone, Debug)]
pub struct DefaultThreadPool(annulus::rt::ThreadPool);

impl DefaultThreadPool {
    /// A pool of up to `num_threads` threads.
    ///
    /// # Panics
    /// For no threads at all.
    #[must_use]
    pub fn new(num_threads: usize) -> DefaultThreadPool {
        DefaultThreadPool(annulus::rt::ThreadPool::new(num_threads).expect("a pool needs at least one thread"))
    }
}

impl ThreadPool for DefaultThreadPool {
    /// A task for which there is no thread is cancelled.
    fn schedule_task(&self, task: BlockingTask) {
        let _ = self.0.schedule(task);
    }
}

/// What [`spawn_blocking`] does without a pool.
#[derive(Clone, Copy, Debug)]
pub enum BlockingStrategy {
    /// It panics.
    Panic,
    /// It runs the closure on the runtime's own thread, which waits for it.
    ExecuteLocal,
}

impl From<BlockingStrategy> for annulus::rt::BlockingStrategy {
    fn from(strategy: BlockingStrategy) -> annulus::rt::BlockingStrategy {
        match strategy {
            BlockingStrategy::Panic => annulus::rt::BlockingStrategy::Refuse,
            BlockingStrategy::ExecuteLocal => annulus::rt::BlockingStrategy::Here,
        }
    }
}

/// Why there is no result.
#[derive(Clone, Copy, Debug)]
pub enum JoinError {
    /// The closure was not run.
    Canceled,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the closure was not run")
    }
}

impl error::Error for JoinError {}

/// Runs `func` where it may block: on the runtime's pool.
///
/// # Panics
/// Outside a runtime, and without a pool when that is the [`BlockingStrategy`]. Awaiting the handle panics if `func`
/// did.
#[track_caller]
pub fn spawn_blocking<F, R>(func: F) -> JoinHandle<Result<R, JoinError>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    JoinHandle::blocking(annulus::spawn_blocking(|| Ok(func())))
}
