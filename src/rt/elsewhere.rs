//! The atomic half of the count of a runtime's tasks: [`hold`](super::hold) has the other one.

use super::sync::{AtomicUsize, Ordering};

/// What stands for the runtime in the atomic count, as long as it has not ended: far more than there
/// can be tasks at a time.
pub(super) const RUNTIME: usize = 1 << (usize::BITS - 2);

/// The atomic half of the count: a runtime, less the tasks that were freed elsewhere; then the tasks that are left.
#[derive(Debug)]
pub(super) struct Elsewhere(AtomicUsize);

impl Elsewhere {
    pub(super) fn new() -> Elsewhere {
        Elsewhere(AtomicUsize::new(RUNTIME))
    }

    /// Counts up, modulo 2^N.
    pub(super) fn more(&self, by: usize) {
        // Relaxed: only whoever is last looks at what others wrote.
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// Counts down; true if nobody is left.
    pub(super) fn less(&self, by: usize) -> bool {
        // Release: pairs with the Acquire below, in the last one to go.
        let last = self.0.fetch_sub(by, Ordering::Release) == by;
        if last {
            // Acquire: what all the others did before they went is over.
            self.0.load(Ordering::Acquire);
        }
        last
    }
}
