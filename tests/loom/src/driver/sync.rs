//! Loom's locks and threads, and a wait that may time out: loom's own never does.

pub(crate) use loom::thread;
use std::{
    ops::{Deref, DerefMut},
    sync::{
        LockResult, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Whether whoever waits for a limited time is tired of it at once. Otherwise nobody ever is.
pub(super) static TIRED: AtomicBool = AtomicBool::new(false);
/// A wait of this time and longer is no limited one.
const LONG: Duration = Duration::from_secs(1000);

#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: loom::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { mutex: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[derive(Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

/// Whether a wait ended by its time.
pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = guard.mutex;
        if TIRED.load(Relaxed) && time < LONG {
            drop(guard);
            return Ok((mutex.lock().unwrap_or_else(PoisonError::into_inner), WaitTimeoutResult(true)));
        }
        let guard = self.0.wait(guard.guard).unwrap_or_else(PoisonError::into_inner);
        Ok((MutexGuard { mutex, guard }, WaitTimeoutResult(false)))
    }
}
