//! The tasks' hold on the shared half of their runtime: a count that costs their own thread nothing.
//!
//! Whoever wakes a task needs its runtime's [`Remote`], after the runtime's end as well; so each task holds it. Tasks
//! are made on their runtime's thread and nearly all are freed there, so those are counted in a plain number. An atomic
//! one counts the few that are freed elsewhere, and is told at the runtime's end how many are left: from then on they
//! own the shared half, and the last one frees it. That spares a task two locked instructions.
//!
//! The invariant is *Counted*: the shared half is not freed before the last task that has a [`Hold`] on it.

use super::remote::Remote;
use std::{
    cell::Cell,
    mem,
    ops::Deref,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What stands for the runtime in the atomic count, as long as it has not ended: more than there can be tasks.
const RUNTIME: usize = 1 << (usize::BITS - 2);

/// The atomic half of the count: a runtime, less the tasks that were freed elsewhere; then the tasks that are left.
#[derive(Debug)]
pub(super) struct Elsewhere(AtomicUsize);

impl Elsewhere {
    pub(super) fn new() -> Elsewhere {
        Elsewhere(AtomicUsize::new(RUNTIME))
    }

    /// Counts down; true if nobody is left.
    fn less(&self, by: usize) -> bool {
        // Release: pairs with the Acquire below, in the last one to go.
        let last = self.0.fetch_sub(by, Ordering::Release) == by;
        if last {
            // Acquire: what all the others did before they went is over.
            self.0.load(Ordering::Acquire);
        }
        last
    }
}

/// The runtime's half of the count: the tasks that it has made, less those that were freed on its thread.
#[derive(Debug)]
pub(super) struct Holds {
    remote: Arc<Remote>,
    tasks: Cell<usize>,
}

impl Holds {
    pub(super) fn new(remote: Arc<Remote>) -> Holds {
        Holds { remote, tasks: Cell::new(0) }
    }

    /// For a new task. Whoever has it gives it back once.
    #[inline]
    pub(super) fn make(&self) -> Hold {
        self.tasks.set(self.tasks.get() + 1);
        // SAFETY: Counted: an `Arc` points to something.
        Hold(unsafe { NonNull::new_unchecked(Arc::as_ptr(&self.remote).cast_mut()) })
    }

    /// Takes one back, if it is one of these.
    #[inline]
    fn take(&self, hold: Hold) -> bool {
        let ours = Arc::as_ptr(&self.remote) == hold.0.as_ptr();
        if ours {
            self.tasks.set(self.tasks.get() - 1);
        }
        ours
    }
}

impl Drop for Holds {
    /// The tasks that are left have the shared half from now on.
    fn drop(&mut self) {
        let theirs = mem::ManuallyDrop::new(self.remote.clone());
        if self.remote.elsewhere().less(RUNTIME - self.tasks.get()) {
            drop(mem::ManuallyDrop::into_inner(theirs));
        }
    }
}

/// A task's hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold(NonNull<Remote>);

impl Hold {
    /// Gives it back. `core` is the one whose runtime runs here.
    ///
    /// # Safety
    /// Once for each that was made, and nobody uses it or a copy of it from then on.
    #[inline]
    pub(super) unsafe fn give_back(self, holds: Option<&Holds>) {
        if !holds.is_some_and(|holds| holds.take(self)) && self.elsewhere().less(1) {
            // SAFETY: Counted: when `Holds` went it left an `Arc` to the tasks, and this was the last one.
            drop(unsafe { Arc::from_raw(self.0.as_ptr()) });
        }
    }
}

impl Deref for Hold {
    type Target = Remote;

    #[inline]
    fn deref(&self) -> &Remote {
        // SAFETY: Counted: it was not given back.
        unsafe { self.0.as_ref() }
    }
}
