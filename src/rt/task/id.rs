//! Numbers for tasks.

use std::{
    cell::Cell,
    fmt,
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

/// How many numbers a runtime takes at once, so that a spawn touches nothing that is shared.
const BLOCK: u64 = 1024;

/// A task's number: no other task of the process has it or had it.
///
/// Numbers of one thread's tasks grow, but for nothing else should an order be read into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU64);

impl Id {
    /// What [`get`](Id::get) gave; `None` for 0, which no task has.
    pub(in crate::rt) fn from_number(number: u64) -> Option<Id> {
        NonZeroU64::new(number).map(Id)
    }

    /// The number as such.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A runtime's supply of numbers.
#[derive(Debug)]
pub(in crate::rt) struct Ids {
    last: Cell<u64>,
    left: Cell<u64>,
}

impl Ids {
    pub(in crate::rt) fn new() -> Ids {
        Ids { last: Cell::new(0), left: Cell::new(0) }
    }

    pub(in crate::rt) fn next(&self) -> Id {
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        if self.left.get() == 0 {
            // Relaxed: only that each block is given out once.
            self.last.set(TAKEN.fetch_add(BLOCK, Ordering::Relaxed));
            self.left.set(BLOCK);
        }
        self.left.set(self.left.get() - 1);
        self.last.set(self.last.get() + 1);
        Id(NonZeroU64::new(self.last.get()).expect("the numbers of 2^64 tasks are used up"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    #[test]
    fn no_number_is_given_out_twice() {
        let many = || (0..3 * BLOCK).scan(Ids::new(), |ids, _| Some(ids.next())).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(many)).collect();
        let all: Vec<Id> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
