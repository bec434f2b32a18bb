//! A lock that is held across awaits.
//!
//! The invariant **Held** in this file: the semaphore has one permit in its life, and a guard stands for it. So while a
//! guard lives, there is no other, and the value is its alone; who has `&mut Mutex` or the mutex itself knows that
//! there is no guard.

use super::{TryAcquireError, semaphore::Semaphore};
use std::{
    cell::UnsafeCell,
    fmt,
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// Gives one task of a shard at a time access to a value, for as long as it likes, awaits included.
///
/// It is fair: who asks first is served first. A panic while it is held does not poison it.
///
/// Where no await comes between, a [`RefCell`](std::cell::RefCell) does the same for less.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::Mutex;
/// use std::rc::Rc;
///
/// let total = Rc::new(Mutex::new(0));
/// let tasks = [1, 2, 3].map(|n| {
///     let total = total.clone();
///     annulus::spawn(async move {
///         let mut total = total.lock().await;
///         annulus::yield_now().await;
///         *total += n;
///     })
/// });
/// for task in tasks {
///     task.await.unwrap();
/// }
/// assert_eq!(*total.lock().await, 6);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    semaphore: Semaphore,
    value: UnsafeCell<T>,
}

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { semaphore: Semaphore::new(1), value: UnsafeCell::new(value) }
    }

    /// The value, without the mutex.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until nobody else holds it, and holds it until the guard is dropped.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        self.acquire().await;
        MutexGuard { mutex: self }
    }

    /// As [`lock`](Mutex::lock), with a guard that may outlive the borrow.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn lock_owned(self: Rc<Self>) -> OwnedMutexGuard<T> {
        self.acquire().await;
        OwnedMutexGuard { mutex: self }
    }

    async fn acquire(&self) {
        let held = self.semaphore.take(1).await;
        assert!(held.is_ok(), "nobody closes the semaphore of a mutex");
    }

    /// Holds it, if nobody does and nobody waits.
    ///
    /// # Errors
    /// If somebody does.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(1)?;
        Ok(MutexGuard { mutex: self })
    }

    /// As [`try_lock`](Mutex::try_lock), with a guard that may outlive the borrow.
    ///
    /// # Errors
    /// If somebody holds it or waits for it.
    pub fn try_lock_owned(self: Rc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        self.semaphore.try_take(1)?;
        Ok(OwnedMutexGuard { mutex: self })
    }

    /// The value: whoever has the mutex for himself needs no lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => f.field("value", &&*guard).finish(),
            Err(_) => f.finish_non_exhaustive(),
        }
    }
}

/// Holds a [`Mutex`] until it is dropped.
#[must_use = "the mutex is not held any more when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex that it holds.
    #[must_use]
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Held: this is the only guard, and it is shared as long as the reference lives.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: Held: this is the only guard, and it is borrowed mutably as long as the reference lives.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.semaphore.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Holds a [`Mutex`] behind an [`Rc`] until it is dropped.
#[must_use = "the mutex is not held any more when this is dropped"]
pub struct OwnedMutexGuard<T: ?Sized> {
    mutex: Rc<Mutex<T>>,
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The mutex that it holds.
    #[must_use]
    pub fn mutex(this: &Self) -> &Rc<Mutex<T>> {
        &this.mutex
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Held: the only guard keeps the mutex alive, and is shared as long as the reference lives.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: Held: the only guard keeps the mutex alive, and is borrowed mutably as long as the reference lives.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.semaphore.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Somebody holds the lock, or waits for it.
#[derive(Debug, PartialEq, Eq)]
pub struct TryLockError(());

impl From<TryAcquireError> for TryLockError {
    fn from(_: TryAcquireError) -> TryLockError {
        TryLockError(())
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held or waited for")
    }
}

impl std::error::Error for TryLockError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, now, poll, unhurt};
    use std::{
        cell::Cell,
        panic::{AssertUnwindSafe, catch_unwind},
        task::Waker,
    };

    #[test]
    fn one_at_a_time() {
        let mut mutex = Mutex::new(vec![1]);
        let mut guard = now(mutex.lock());
        guard.push(2);
        assert!(mutex.try_lock().is_err() && format!("{mutex:?} {guard:?}") == "Mutex { .. } [1, 2]");
        assert_eq!(MutexGuard::mutex(&guard).try_lock().unwrap_err(), TryLockError(()));
        let (wakes, waker) = Wakes::new();
        let (mut first, mut second) = (Box::pin(mutex.lock()), Box::pin(mutex.lock()));
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
        drop(guard);
        assert!(wakes.take() == 1 && mutex.try_lock().is_err(), "it is given on, not set free");
        drop(first);
        assert!(wakes.take() == 1 && poll(&mut second, &waker).is_ready());
        drop(second);
        assert_eq!(*mutex.try_lock().unwrap(), [1, 2]);
        mutex.get_mut().clear();
        assert!(mutex.into_inner().is_empty());
    }

    #[test]
    fn an_owned_guard_keeps_its_mutex() {
        let mutex: Rc<Mutex<[u8]>> = Rc::new(Mutex::new([0; 3]));
        let mut guard = now(mutex.clone().lock_owned());
        guard[1] = 7;
        assert!(mutex.clone().try_lock_owned().is_err() && Rc::ptr_eq(OwnedMutexGuard::mutex(&guard), &mutex));
        drop(mutex);
        assert_eq!((&guard[..], format!("{guard:?}")), (&[0, 7, 0][..], "[0, 7, 0]".into()));
    }

    #[test]
    fn a_panic_poisons_nothing() {
        let mutex = Mutex::new(1);
        let panics = || {
            *mutex.try_lock().unwrap() = 2;
            let _guard = mutex.try_lock().unwrap();
            panic!("on purpose");
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(*mutex.try_lock().unwrap(), 2);
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let mutex = Rc::new(Mutex::new(0));
        let (inside, held) = (mutex.clone(), Rc::new(Cell::new(0)));
        let count = held.clone();
        let waker = hostile(move || {
            if let Ok(mut value) = inside.try_lock() {
                *value += 1;
                count.set(count.get() + 1);
            }
            let _ = poll(&mut Box::pin(inside.lock()), Waker::noop());
        });
        let guard = now(mutex.lock());
        let (mut a, mut b) = (Box::pin(mutex.lock()), Box::pin(mutex.lock()));
        assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
        drop(guard);
        drop(a);
        assert!(poll(&mut b, &waker).is_ready());
        drop((b, waker));
        assert_eq!(*mutex.try_lock().unwrap(), held.get());
        unhurt();
    }

    #[crate::test]
    async fn tasks_take_turns() {
        let mutex = Rc::new(Mutex::new((0, false)));
        let task = |_| {
            let mutex = mutex.clone();
            crate::spawn(async move {
                for _ in 0..100 {
                    let mut guard = mutex.lock().await;
                    assert!(!std::mem::replace(&mut guard.1, true), "two at a time");
                    crate::yield_now().await;
                    *guard = (guard.0 + 1, false);
                }
            })
        };
        let tasks: Vec<_> = (0..10).map(task).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(mutex.try_lock().unwrap().0, 1000);
    }
}
