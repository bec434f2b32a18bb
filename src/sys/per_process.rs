//! What a process has once, and each forked child for itself.
//!
//! A lock may be held by another thread while this one forks. The child does not have that thread, so nobody would ever
//! unlock its copy. So a child never looks into its parent's: it has another.
//!
//! A child is known by its number. One that has its parent's, as the first process of a container has that forks the
//! first of another, is taken for its parent.

use std::{
    process, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A value for each process, made when it is first asked for. A static: what it made is never freed.
pub(crate) struct PerProcess<T: 'static>(AtomicPtr<Owned<T>>);

struct Owned<T> {
    process: u32,
    value: T,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T: Default + Send + Sync> PerProcess<T> {
    /// This process's value.
    pub(crate) fn get(&self) -> &'static T {
        // Acquire, here and below, pairs with the Release of whoever put a value there.
        let mut there = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: Lasting: null, or a value that was made for ever and is only shared.
            let found: Option<&'static Owned<T>> = unsafe { there.as_ref() };
            if let Some(owned) = found.filter(|owned| owned.process == process::id()) {
                return &owned.value;
            }
            let made = Box::into_raw(Box::new(Owned { process: process::id(), value: T::default() }));
            there = match self.0.compare_exchange(there, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => made,
                Err(theirs) => {
                    // SAFETY: Fresh: made above, and put nowhere.
                    drop(unsafe { Box::from_raw(made) });
                    theirs
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;
    use std::{
        sync::{Barrier, Mutex},
        thread,
    };

    /// Red when a child has what its parent has: it waits for ever.
    #[test]
    fn a_child_has_its_own() {
        static NUMBER: PerProcess<Mutex<u32>> = PerProcess::new();
        let add = || {
            let mut number = NUMBER.get().lock().unwrap();
            *number += 1;
            *number
        };
        assert_eq!((add(), add()), (1, 2));
        let held = NUMBER.get().lock().unwrap();
        assert!(in_child(|| assert_eq!((add(), add()), (1, 2))));
        drop(held);
        assert_eq!(add(), 3);
    }

    /// Red when whoever comes second has what nobody else sees.
    #[test]
    fn threads_have_the_same() {
        for _ in 0..50 {
            let (all, begin): (&PerProcess<Mutex<u32>>, _) = (Box::leak(Box::new(PerProcess::new())), Barrier::new(4));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        begin.wait();
                        *all.get().lock().unwrap() += 1;
                    });
                }
            });
            assert_eq!(*all.get().lock().unwrap(), 4);
        }
    }
}
