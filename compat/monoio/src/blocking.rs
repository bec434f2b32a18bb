//! Closures that block, on other threads.

use crate::task::JoinHandle;
use annulus::rt::BlockingPool;
use std::{
    cell::Cell,
    collections::VecDeque,
    error, fmt, io,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

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

thread_local! {
    /// Whether a closure has just been refused on this thread.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

impl ThreadPool for BlockingStrategy {
    fn schedule_task(&self, task: BlockingTask) {
        match self {
            BlockingStrategy::Panic => REFUSED.set(true),
            BlockingStrategy::ExecuteLocal => task.run(),
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
    let task = annulus::spawn_blocking(|| Ok(func()));
    assert!(!REFUSED.take(), "a closure was to be run, and the runtime has no pool and is to panic then");
    JoinHandle::blocking(task)
}

/// A pool that need not be `Sync`: the runtime's thread alone calls it.
pub(crate) struct Attached {
    pool: Mutex<Box<dyn ThreadPool + Send>>,
    /// Tasks that came while the pool was taking one in, of a closure that it runs on this thread.
    waiting: Mutex<VecDeque<BlockingTask>>,
}

impl Attached {
    pub(crate) fn new(pool: Box<dyn ThreadPool + Send>) -> Attached {
        Attached { pool: Mutex::new(pool), waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<BlockingTask>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<BlockingTask> {
        self.waiting().pop_front()
    }
}

impl BlockingPool for Attached {
    fn schedule(&self, task: BlockingTask) -> io::Result<()> {
        self.waiting().push_back(task);
        let pool = match self.pool.try_lock() {
            Ok(pool) => pool,
            Err(TryLockError::Poisoned(pool)) => pool.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        while let Some(task) = self.next() {
            pool.schedule_task(task);
        }
        Ok(())
    }
}
