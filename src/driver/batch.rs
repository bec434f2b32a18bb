//! What a turn owes to the world outside the driver.

use crate::{
    driver::{
        Answers,
        slots::{Effect, Orphan},
    },
    entry::Cqe,
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

/// Wakers to wake and operations to settle, sorted out while the driver was borrowed.
///
/// **Quiet**: this is run after the borrow has ended, each item by itself, so that a panic in one costs no other its
/// wake or its finish. The panic has been reported by the panic hook by then.
#[derive(Default)]
pub(crate) struct Batch {
    wakers: Vec<Waker>,
    orphans: Vec<(Box<dyn Orphan>, Answers, Cqe)>,
}

impl Batch {
    /// Adds what a completion asks for.
    pub(crate) fn add(&mut self, effect: Effect) {
        match effect {
            Effect::Wake(waker) => self.wakers.push(waker),
            Effect::Settle(op, earlier, last) => self.orphans.push((op, earlier, last)),
            Effect::Close(fd) => crate::sys::unix::close(fd),
            Effect::None => {}
        }
    }

    /// The list of wakers, for whoever has many to add.
    pub(crate) fn wakers(&mut self) -> &mut Vec<Waker> {
        &mut self.wakers
    }

    /// Wakes and settles. Nothing may be borrowed that the code of others could want.
    pub(crate) fn run(&mut self) {
        self.wakers.drain(..).for_each(|waker| quietly(|| waker.wake()));
        if self.orphans.is_empty() {
            return;
        }
        self.orphans.drain(..).for_each(|(op, earlier, last)| quietly(|| op.settle(earlier, last)));
    }
}

/// Runs somebody else's code where its panic has nobody to go to: it ends here, and so does one in the drop of what was
/// thrown. The panic hook has reported it by then.
pub(crate) fn quietly(code: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(code)) else { return };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("wakers", &self.wakers.len()).field("orphans", &self.orphans.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    #[test]
    fn a_panicking_waker_costs_its_neighbours_nothing() {
        struct Loud(Arc<AtomicU32>, bool);
        impl std::task::Wake for Loud {
            fn wake(self: Arc<Self>) {
                assert!(!self.1, "a waker that panics, on purpose");
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (count, mut batch) = (Arc::new(AtomicU32::new(0)), Batch::default());
        for panics in [false, true, false] {
            batch.wakers().push(Arc::new(Loud(count.clone(), panics)).into());
        }
        batch.run();
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
