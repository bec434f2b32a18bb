//! One value, from whatever thread to whatever other.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// What lies between the two ends.
enum State<T> {
    Waiting(Option<Waker>),
    There(T),
    /// The value was taken, or nobody puts or wants one any more.
    Closed,
}

struct Slot<T>(Mutex<State<T>>);

impl<T> Slot<T> {
    /// No stranger's code runs under the lock, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `next` in the place of what waits. What was there, if it did not wait, stays; `next` comes back then.
    fn answer(&self, next: State<T>) -> Option<State<T>> {
        let mut state = self.lock();
        if !matches!(*state, State::Waiting(_)) {
            return Some(next);
        }
        let before = std::mem::replace(&mut *state, next);
        drop(state);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
        None
    }
}

/// The two ends of a slot.
pub(super) fn slot<T>() -> (Put<T>, Take<T>) {
    let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
    (Put(slot.clone()), Take(slot))
}

/// The end that the value is put into; without a value, its drop closes the slot.
pub(super) struct Put<T>(Arc<Slot<T>>);

impl<T> Put<T> {
    /// # Errors
    /// The value, if the other end is gone.
    pub(super) fn put(self, value: T) -> Result<(), T> {
        match self.0.answer(State::There(value)) {
            Some(State::There(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Whether the other end is gone.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(*self.0.lock(), State::Closed)
    }
}

impl<T> Drop for Put<T> {
    fn drop(&mut self) {
        self.0.answer(State::Closed);
    }
}

/// The end that the value comes out of: `None` when there will be none.
pub(super) struct Take<T>(Arc<Slot<T>>);

impl<T> Future for Take<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // A waker's clone and drop are a stranger's code, so neither happens under the lock.
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        let before = match &mut *state {
            State::Waiting(old) => return drop_after(old.replace(waker), state),
            other => std::mem::replace(other, State::Closed),
        };
        drop(state);
        match before {
            State::There(value) => Poll::Ready(Some(value)),
            _ => Poll::Ready(None),
        }
    }
}

/// Still pending; the old waker is dropped when the lock is not held any more.
fn drop_after<T, U>(old: Option<Waker>, lock: MutexGuard<'_, State<T>>) -> Poll<U> {
    drop(lock);
    drop(old);
    Poll::Pending
}

impl<T> Drop for Take<T> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0.lock(), State::Closed);
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn a_value_or_the_news_that_there_is_none() {
        for late in [false, true] {
            let (put, take) = slot();
            let other = std::thread::spawn(move || {
                if late {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                put.put(7)
            });
            assert_eq!(take.await, Some(7));
            assert_eq!(other.join().unwrap(), Ok(()));
        }
        let (put, take) = slot::<u32>();
        std::thread::spawn(move || drop(put));
        assert_eq!(take.await, None);
        let (put, take) = slot();
        assert!(!put.is_unwanted());
        drop(take);
        assert!(put.is_unwanted());
        assert_eq!(put.put("back"), Err("back"));
    }

    #[test]
    fn an_untaken_value_is_dropped_once() {
        let value = Arc::new(());
        let (put, take) = slot();
        put.put(value.clone()).unwrap();
        assert_eq!(Arc::strong_count(&value), 2);
        drop(take);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
