//! The latest of a value, for everybody who wants to see it, between tasks of one shard.
//!
//! Receivers see the last value and that it changed, not each value that was sent. At first they have seen the value
//! that the channel was made with.
//!
//! A [`Ref`] borrows the value. While one is alive, nothing can be sent: drop it before the next await.
//!
//! ```
//! # annulus::run(async {
//! use annulus::sync::watch;
//!
//! let (tx, mut rx) = watch::channel("starting");
//! let task = annulus::spawn(async move {
//!     rx.wait_for(|state| *state == "ready").await.map(|state| *state)
//! });
//! tx.send("ready").unwrap();
//! assert_eq!(task.await.unwrap(), Ok("ready"));
//! # });
//! ```

use super::wait::Crowd;
use error::{RecvError, SendError};
use std::{
    cell::{self, Cell, RefCell, RefMut},
    fmt, mem,
    ops::Deref,
    rc::Rc,
};

/// Makes a channel with a first value.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    value: RefCell<T>,
    /// How often it was changed.
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    changing: Crowd,
    closing: Crowd,
}

impl<T> Shared<T> {
    fn is_closed(&self) -> bool {
        self.senders.get() == 0
    }

    #[track_caller]
    fn borrow(&self, seen: u64) -> Ref<'_, T> {
        match self.value.try_borrow() {
            Ok(value) => Ref { value, changed: self.version.get() != seen },
            Err(_) => panic!("the value of a watch channel was borrowed while it is being changed"),
        }
    }

    #[track_caller]
    fn borrow_mut(&self) -> RefMut<'_, T> {
        match self.value.try_borrow_mut() {
            Ok(value) => value,
            Err(_) => panic!("a watch channel cannot change its value while a `Ref` of it is alive"),
        }
    }
}

/// The end that sends. Each clone is an end of its own, and the channel ends with the last.
pub struct Sender<T>(Rc<Shared<T>>);

impl<T> Sender<T> {
    /// A sender without receivers.
    #[must_use]
    pub fn new(value: T) -> Sender<T> {
        Sender(Rc::new(Shared {
            value: RefCell::new(value),
            version: Cell::new(0),
            senders: Cell::new(1),
            receivers: Cell::new(0),
            changing: Crowd::new(),
            closing: Crowd::new(),
        }))
    }

    /// Sends a value, and tells all receivers.
    ///
    /// # Errors
    /// The value, if there is no receiver. [`send_replace`](Sender::send_replace) sets it all the same.
    ///
    /// # Panics
    /// While a [`Ref`] of this channel is alive.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.receiver_count() == 0 {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Sets a value, gives the one before, and tells all receivers, if there are any.
    ///
    /// # Panics
    /// While a [`Ref`] of this channel is alive.
    #[track_caller]
    pub fn send_replace(&self, value: T) -> T {
        let before = mem::replace(&mut *self.0.borrow_mut(), value);
        self.tell();
        before
    }

    /// Changes the value in place, and tells all receivers. If `change` panics, they are not told.
    ///
    /// # Panics
    /// While a [`Ref`] of this channel is alive, and if `change` uses the channel's value in another way.
    #[track_caller]
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.borrow_mut());
        self.tell();
    }

    /// Changes the value in place, and tells all receivers if `change` says so, and the caller, too. If `change`
    /// panics, they are not told.
    ///
    /// # Panics
    /// While a [`Ref`] of this channel is alive, and if `change` uses the channel's value in another way.
    #[track_caller]
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.0.borrow_mut());
        if changed {
            self.tell();
        }
        changed
    }

    fn tell(&self) {
        self.0.version.set(self.0.version.get() + 1);
        self.0.changing.answer_all(());
    }

    /// The value.
    ///
    /// # Panics
    /// Inside of a closure that changes it.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow(self.0.version.get())
    }

    /// A new receiver, which has seen the value as it is.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.0, self.0.version.get())
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub async fn closed(&self) {
        self.0.closing.until(|| self.is_closed().then_some(())).await;
    }

    /// Whether there is no receiver now.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.receivers.get()
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_count(&self) -> usize {
        self.0.senders.get()
    }

    /// Whether `other` sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.senders.set(self.0.senders.get() + 1);
        Sender(self.0.clone())
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Sender<T> {
        Sender::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.is_closed() {
            self.0.changing.answer_all(());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.0.value).finish_non_exhaustive()
    }
}

/// The end that sees. Each clone has seen what it was cloned from had.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that it saw last; none that there is, if it is to see the next in any case.
    seen: u64,
}

impl<T> Receiver<T> {
    fn new(shared: &Rc<Shared<T>>, seen: u64) -> Receiver<T> {
        shared.receivers.set(shared.receivers.get() + 1);
        Receiver { shared: shared.clone(), seen }
    }

    /// The value. It does not count as seen.
    ///
    /// # Panics
    /// Inside of a closure that changes it.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow(self.seen)
    }

    /// The value, which counts as seen.
    ///
    /// # Panics
    /// Inside of a closure that changes it.
    #[track_caller]
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let before = mem::replace(&mut self.seen, self.shared.version.get());
        self.shared.borrow(before)
    }

    /// Whether there is a value that was not seen.
    ///
    /// # Errors
    /// If all senders are gone, whether or not the last value was seen.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        if self.shared.is_closed() {
            return Err(RecvError(()));
        }
        Ok(self.seen != self.shared.version.get())
    }

    /// Waits for a value that was not seen, and counts it as seen.
    ///
    /// # Errors
    /// If all senders are gone, and the last value was seen.
    ///
    /// # Cancellation
    /// **Clean**: a change that was not returned is returned by the next call.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        let Receiver { shared, seen } = self;
        let check = || {
            let version = shared.version.get();
            if mem::replace(seen, version) != version {
                return Some(Ok(()));
            }
            shared.is_closed().then_some(Err(RecvError(())))
        };
        shared.changing.until(check).await
    }

    /// Waits until the value is such that `wanted` says so, and counts it as seen. The value as it is now is asked
    /// for first; what comes and goes while the task does not run is not seen.
    ///
    /// # Errors
    /// If all senders are gone, and the last value is not wanted.
    ///
    /// # Panics
    /// If `wanted` changes the value.
    ///
    /// # Cancellation
    /// **Clean**: what `wanted` was asked for counts as seen, and the value is still there.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        let before = self.seen;
        loop {
            self.mark_unchanged();
            let found = wanted(&self.shared.borrow(before));
            if found {
                return Ok(self.shared.borrow(before));
            }
            self.changed().await?;
        }
    }

    /// The value as it is counts as not seen.
    pub fn mark_changed(&mut self) {
        self.seen = u64::MAX;
    }

    /// The value as it is counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version.get();
    }

    /// Whether `other` sees the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver::new(&self.shared, self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        if self.shared.receivers.get() == 0 {
            self.shared.closing.answer_all(());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &self.shared.value).finish_non_exhaustive()
    }
}

/// Borrows the value of a channel. While it is alive, nothing can be sent.
#[derive(Debug)]
pub struct Ref<'a, T> {
    value: cell::Ref<'a, T>,
    changed: bool,
}

impl<T> Ref<'_, T> {
    /// Whether the receiver had not seen the value; false for a sender.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What can go wrong.
pub mod error {
    pub use crate::sync::mpsc::error::SendError;
    use std::fmt;

    /// All senders are gone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

    impl fmt::Display for RecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the channel is closed")
        }
    }

    impl std::error::Error for RecvError {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, now, poll, unhurt};
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        task::{Poll, Waker},
    };

    #[test]
    fn a_change_is_seen_once() {
        let (tx, mut rx) = channel(0);
        assert_eq!((*rx.borrow(), rx.has_changed()), (0, Ok(false)));
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert!(rx.has_changed() == Ok(true) && rx.borrow().has_changed() && *rx.borrow() == 2);
        assert_eq!((now(rx.changed()), rx.has_changed()), (Ok(()), Ok(false)));
        assert!(tx.send_if_modified(|value| {
            *value = 3;
            true
        }));
        assert!(rx.borrow_and_update().has_changed() && !rx.borrow_and_update().has_changed());
        assert!(!tx.send_if_modified(|_| false) && !tx.borrow().has_changed());
        rx.mark_changed();
        assert_eq!(now(rx.changed()), Ok(()));
        tx.send_modify(|value| *value += 1);
        rx.mark_unchanged();
        assert_eq!((rx.has_changed(), *rx.borrow(), *tx.subscribe().borrow()), (Ok(false), 4, 4));
    }

    #[test]
    fn all_who_wait_are_woken() {
        let (tx, rx) = channel(0);
        let (wakes, waker) = Wakes::new();
        let (mut one, mut two) = (rx.clone(), rx);
        let (mut a, mut b) = (Box::pin(one.changed()), Box::pin(two.wait_for(|value| *value == 2)));
        assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
        tx.send(1).unwrap();
        assert_eq!((wakes.take(), poll(&mut a, &waker)), (2, Poll::Ready(Ok(()))));
        assert!(poll(&mut b, &waker).is_pending());
        tx.send(2).unwrap();
        let Poll::Ready(Ok(value)) = poll(&mut b, &waker) else { panic!("it is what was waited for") };
        assert!(wakes.take() == 1 && *value == 2 && value.has_changed());
    }

    #[test]
    fn the_ends_know_of_each_other() {
        let (tx, mut rx) = channel(0);
        let (wakes, waker) = Wakes::new();
        let (other, second) = (tx.clone(), rx.clone());
        assert!(tx.same_channel(&other) && rx.same_channel(&second));
        assert_eq!((tx.sender_count(), tx.receiver_count()), (2, 2));
        drop((tx, second));
        {
            let mut changed = Box::pin(rx.changed());
            assert!(poll(&mut changed, &waker).is_pending());
            other.send(1).unwrap();
            drop(other);
            assert_eq!((wakes.take(), poll(&mut changed, &waker)), (1, Poll::Ready(Ok(()))));
        }
        assert_eq!((rx.has_changed(), now(rx.changed())), (Err(RecvError(())), Err(RecvError(()))));
        assert_eq!(now(rx.wait_for(|value| *value == 1)).map(|value| *value), Ok(1));
        assert!(now(rx.wait_for(|value| *value == 2)).is_err());
        let (tx, mut rx) = channel(0);
        {
            let mut changed = Box::pin(rx.changed());
            assert!(poll(&mut changed, &waker).is_pending());
            drop(tx);
            assert_eq!((wakes.take(), poll(&mut changed, &waker)), (1, Poll::Ready(Err(RecvError(())))));
        }
        let (tx, rx) = channel(0);
        let mut closed = Box::pin(tx.closed());
        assert!(poll(&mut closed, &waker).is_pending());
        drop(rx);
        assert!(wakes.take() == 1 && poll(&mut closed, &waker).is_ready() && tx.is_closed());
        assert_eq!((tx.send(1), tx.send_replace(2), *tx.borrow()), (Err(SendError(1)), 0, 2));
        assert_eq!(*tx.subscribe().borrow(), 2);
    }

    #[test]
    fn what_would_be_two_things_at_once_says_so() {
        let (tx, rx) = channel(0);
        let text = |f: &dyn Fn()| {
            let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
            *payload.downcast::<&str>().unwrap()
        };
        let seen = rx.borrow();
        assert!(text(&|| tx.send(1).unwrap()).contains("while a `Ref` of it is alive"));
        drop(seen);
        assert!(text(&|| tx.send_modify(|_| drop(rx.borrow()))).contains("while it is being changed"));
        assert_eq!((rx.has_changed(), tx.send(2)), (Ok(false), Ok(())), "and nothing is broken");
    }

    /// Red when a value is dropped, or a waker woken, inside of a borrow.
    #[test]
    fn values_and_wakers_may_come_back() {
        struct Looks(Option<Receiver<Looks>>);
        impl Drop for Looks {
            fn drop(&mut self) {
                if let Some(rx) = &mut self.0 {
                    drop(rx.borrow_and_update());
                    drop(rx.clone());
                }
            }
        }
        let (tx, mut rx) = channel(Looks(None));
        let (inside, weak) = (rx.clone(), Rc::downgrade(&tx.0));
        let waker = hostile(move || {
            drop(inside.borrow());
            let _ = poll(&mut Box::pin(inside.clone().changed()), Waker::noop());
            assert!(weak.strong_count() > 0);
        });
        for _ in 0..3 {
            let sees = rx.clone();
            let mut changed = Box::pin(rx.changed());
            let _ = poll(&mut changed, &waker);
            assert!(tx.send(Looks(Some(sees))).is_ok());
            assert!(poll(&mut changed, &waker).is_ready());
        }
        drop(tx.send_replace(Looks(None)));
        unhurt();
    }
}
