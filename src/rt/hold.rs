//! The tasks' hold on the shared half of their runtime: a count that costs their own thread nothing.
//!
//! Whoever wakes a task needs its runtime's [`Remote`], after the runtime's end as well; so each task holds it. Tasks
//! are made on their runtime's thread and nearly all are freed there, so those are counted in a plain number. An atomic
//! one counts the few that are freed elsewhere, and is told at the runtime's end how many are left: from then on they
//! own the shared half, and the last one frees it. That spares a task two locked instructions.
//!
//! The invariant is *Counted*: the shared half is not freed before the last task that has a [`Hold`] on it.

use super::{elsewhere::RUNTIME, remote::Remote};
use std::{cell::Cell, mem, ops::Deref, ptr::NonNull, sync::Arc};

/// So many tasks may have been made, and not freed at home, until both halves are put right.
const MANY: usize = RUNTIME / 2;

/// The runtime's half of the count: the tasks that it has made, less those that were freed on its thread. Modulo 2^N,
/// as some of the latter may have been made before the atomic count was last put right.
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
        let tasks = self.tasks.get();
        if tasks as isize >= MANY as isize {
            self.settle();
        }
        self.tasks.set(self.tasks.get().wrapping_add(1));
        // SAFETY: Counted: an `Arc` points to something.
        Hold(unsafe { NonNull::new_unchecked(Arc::as_ptr(&self.remote).cast_mut()) })
    }

    /// Tasks that were freed elsewhere are in both halves of the count for as long as the runtime lives. Before they
    /// can use up what stands for it, the atomic half takes over what this one has.
    #[cold]
    fn settle(&self) {
        self.remote.elsewhere().more(self.tasks.take());
    }

    /// Takes one back, if it is one of these.
    #[inline]
    fn take(&self, hold: Hold) -> bool {
        let ours = Arc::as_ptr(&self.remote) == hold.0.as_ptr();
        if ours {
            self.tasks.set(self.tasks.get().wrapping_sub(1));
        }
        ours
    }
}

impl Drop for Holds {
    /// The tasks that are left have the shared half from now on.
    fn drop(&mut self) {
        let theirs = mem::ManuallyDrop::new(self.remote.clone());
        if self.remote.elsewhere().less(RUNTIME.wrapping_sub(self.tasks.get())) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Runtime;

    /// Red when tasks that were freed elsewhere use up what stands for the runtime: its shared half is freed while it
    /// lives. And when who is left at its end is counted wrong.
    #[test]
    fn any_number_of_tasks_may_be_freed_elsewhere() {
        let runtime = Runtime::new().unwrap();
        let (holds, shared) = (runtime.core.holds(), runtime.core.remote().clone());
        let before = Arc::strong_count(&shared);
        for _ in 0..3 {
            // As many as fit were made and freed elsewhere, but for these.
            let many = MANY - 1 - holds.tasks.get();
            holds.tasks.set(holds.tasks.get() + many);
            assert!(!shared.elsewhere().less(many));
            for _ in 0..2 {
                drop(runtime.spawn(async {}));
                runtime.block_on(async { crate::yield_now().await });
                drop(runtime.spawn(std::future::pending::<()>()));
            }
            assert_eq!(Arc::strong_count(&shared), before, "it went, though its runtime lives");
        }
        let left = runtime.spawn(async {});
        drop(runtime);
        assert_eq!(Arc::strong_count(&shared), 2, "a handle has it");
        drop(left);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
