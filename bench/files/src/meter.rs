//! Counts operations that overlap: one of them that ends a slice begins the next, so nothing ever drains.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use micro::Slices;

/// A sample that goes on.
#[derive(Debug)]
pub struct Meter {
    slices: RefCell<Slices>,
    /// Operations of a slice.
    ops: u32,
    done: Cell<u32>,
    over: Cell<bool>,
}

impl Meter {
    /// Begins a sample that takes so long, in slices of so many operations.
    #[must_use]
    pub fn begin(ops: u32, budget: Duration) -> Self {
        let mut slices = Slices::within(budget);
        slices.start();
        Self { slices: RefCell::new(slices), ops, done: Cell::new(0), over: Cell::new(false) }
    }

    /// So many operations were done.
    pub fn count(&self, ops: u32) {
        let done = self.done.get() + ops;
        self.done.set(done);
        if done < self.ops || self.over.get() {
            return;
        }
        self.done.set(0);
        let mut slices = self.slices.borrow_mut();
        slices.stop(done);
        self.over.set(!slices.go_on());
        slices.start();
    }

    /// Whether nothing more is to be begun.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slices.borrow().fmt(f)
    }
}
