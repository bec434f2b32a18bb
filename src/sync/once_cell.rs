//! A value that is made once, by a future.

use super::{TryAcquireError, semaphore::Semaphore};
use std::{cell, convert::Infallible, fmt};

/// Holds a value that the first who wants it makes, while the others wait.
///
/// If the future that makes it is dropped or fails, the next who waits makes it.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::OnceCell;
///
/// let cell = OnceCell::new();
/// assert_eq!(*cell.get_or_init(async || 5).await, 5);
/// assert_eq!(*cell.get_or_init(async || unreachable!()).await, 5);
/// # });
/// ```
pub struct OnceCell<T> {
    value: cell::OnceCell<T>,
    /// One permit, for whoever makes the value; closed when it is there.
    maker: Semaphore,
}

impl<T> OnceCell<T> {
    /// A cell without a value.
    #[must_use]
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: cell::OnceCell::new(), maker: Semaphore::new(1) }
    }

    /// A cell with a value, if there is one.
    #[must_use]
    pub fn new_with(value: Option<T>) -> OnceCell<T> {
        value.map_or_else(OnceCell::new, OnceCell::from)
    }

    /// Whether there is a value.
    #[must_use]
    pub fn initialized(&self) -> bool {
        self.get().is_some()
    }

    /// The value, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if there is one, to be changed.
    #[must_use]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Sets the value, if there is none and nobody makes one.
    ///
    /// # Errors
    /// The value, otherwise.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        match self.maker.try_acquire() {
            Ok(permit) => {
                permit.forget();
                self.fill(value);
                Ok(())
            }
            Err(TryAcquireError::NoPermits) => Err(SetError::InitializingError(value)),
            Err(TryAcquireError::Closed) => Err(SetError::AlreadyInitializedError(value)),
        }
    }

    /// The value; if there is none, what `make` gives becomes it.
    ///
    /// # Cancellation
    /// **Lossy**: the future that `make` gave is dropped, and the next who waits makes the value.
    pub async fn get_or_init<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> &T {
        let made = self.get_or_try_init(async || Ok::<T, Infallible>(make().await)).await;
        made.unwrap_or_else(|never| match never {})
    }

    /// The value; if there is none, what `make` gives becomes it.
    ///
    /// # Errors
    /// That of `make`; the next who waits makes the value then.
    ///
    /// # Cancellation
    /// **Lossy**: the future that `make` gave is dropped, and the next who waits makes the value.
    pub async fn get_or_try_init<E, F: Future<Output = Result<T, E>>>(
        &self,
        make: impl FnOnce() -> F,
    ) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        if let Ok(permit) = self.maker.acquire().await {
            let value = make().await?;
            permit.forget();
            return Ok(self.fill(value));
        }
        Ok(self.get().expect("the semaphore is closed when there is a value"))
    }

    /// Whoever has the permit fills the cell, which is empty.
    fn fill(&self, value: T) -> &T {
        let value = self.value.get_or_init(|| value);
        self.maker.close();
        value
    }

    /// The value, without the cell.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// The value; the cell is empty after that.
    #[must_use]
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> OnceCell<T> {
        let maker = Semaphore::new(0);
        maker.close();
        OnceCell { value: cell::OnceCell::from(value), maker }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell").field("value", &self.get()).finish()
    }
}

/// Why a value was not set; here it is.
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// There is a value.
    AlreadyInitializedError(T),
    /// Somebody makes a value.
    InitializingError(T),
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadyInitializedError(_) => "the cell has a value",
            SetError::InitializingError(_) => "the value is being made",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for SetError<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{
        Notify,
        tests::{Wakes, hostile, now, poll, unhurt},
    };
    use std::{rc::Rc, task::Waker};

    #[test]
    fn a_value_is_set_once() {
        let mut cell = OnceCell::new_with(None);
        assert!(!cell.initialized() && cell.get().is_none() && format!("{cell:?}") == "OnceCell { value: None }");
        cell.set(1).unwrap();
        assert_eq!((cell.set(2), cell.get()), (Err(SetError::AlreadyInitializedError(2)), Some(&1)));
        *cell.get_mut().unwrap() = 3;
        assert_eq!(now(cell.get_or_init(async || unreachable!())), &3);
        assert_eq!((cell.take(), cell.get()), (Some(3), None));
        assert_eq!(now(cell.get_or_init(async || 4)), &4);
        let cell = OnceCell::new_with(Some(5));
        assert_eq!((cell.set(6), cell.into_inner()), (Err(SetError::AlreadyInitializedError(6)), Some(5)));
    }

    #[test]
    fn others_wait_for_who_makes_it() {
        let (cell, go, (wakes, waker)) = (OnceCell::new(), Notify::new(), Wakes::new());
        let mut makes = Box::pin(cell.get_or_init(async || {
            go.notified().await;
            1
        }));
        let mut waits = Box::pin(cell.get_or_init(async || unreachable!()));
        assert!(poll(&mut makes, Waker::noop()).is_pending() && poll(&mut waits, &waker).is_pending());
        assert_eq!(cell.set(2), Err(SetError::InitializingError(2)));
        go.notify_one();
        assert!(poll(&mut makes, Waker::noop()).is_ready());
        assert!(wakes.take() == 1 && poll(&mut waits, &waker).is_ready());
    }

    /// Red when a failure or a drop keeps the permit.
    #[test]
    fn who_fails_or_goes_leaves_it_to_the_next() {
        let (cell, (wakes, waker)) = (OnceCell::<u8>::new(), Wakes::new());
        assert_eq!(now(cell.get_or_try_init(async || Err("no"))), Err("no"));
        let mut makes = Box::pin(cell.get_or_init(std::future::pending));
        let mut waits = Box::pin(cell.get_or_init(async || 7));
        assert!(poll(&mut makes, Waker::noop()).is_pending() && poll(&mut waits, &waker).is_pending());
        drop(makes);
        assert!(wakes.take() == 1 && poll(&mut waits, &waker).is_ready());
        assert_eq!(cell.get(), Some(&7));
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let cell = Rc::new(OnceCell::new());
        let inside = cell.clone();
        let waker = hostile(move || {
            let _ = (inside.set(0), inside.get());
            let _ = poll(&mut Box::pin(inside.get_or_init(async || 1)), Waker::noop());
        });
        let go = Notify::new();
        let mut makes = Box::pin(cell.get_or_init(async || {
            go.notified().await;
            2
        }));
        let mut waits = Box::pin(cell.get_or_init(async || 3));
        assert!(poll(&mut makes, Waker::noop()).is_pending() && poll(&mut waits, &waker).is_pending());
        go.notify_one();
        assert!(poll(&mut makes, &waker).is_ready() && poll(&mut waits, &waker).is_ready());
        assert_eq!(cell.get(), Some(&2));
        unhurt();
    }
}
