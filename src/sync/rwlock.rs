//! A lock that many may read and one may write, held across awaits.
//!
//! The invariant **Shared or held** in this file: the semaphore has [`READERS`] permits in its life. A read guard
//! stands for one of them, a write guard for all. So while a read guard lives, there is no write guard, and while a
//! write guard lives, there is no other guard.

use super::{mutex::TryLockError, semaphore::Semaphore};
use std::{
    cell::UnsafeCell,
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr,
    rc::Rc,
};

/// How many may read at the same time: more than there can be guards.
const READERS: usize = Semaphore::MAX_PERMITS;

/// Gives many tasks of a shard access to a value at once, or one to change it.
///
/// It is fair: who asks first is served first. So those who come after a waiting writer wait behind it, and writers do
/// not starve; but who holds a read guard and asks for a second one waits forever if a writer came in between.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::RwLock;
///
/// let table = RwLock::new(vec![1]);
/// {
///     let (a, b) = (table.read().await, table.read().await);
///     assert_eq!(a[0], b[0]);
/// }
/// table.write().await.push(2);
/// assert_eq!(table.into_inner(), [1, 2]);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    semaphore: Semaphore,
    value: UnsafeCell<T>,
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { semaphore: Semaphore::new(READERS), value: UnsafeCell::new(value) }
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and nobody who came earlier waits to; holds it for reading.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        self.acquire(1).await;
        RwLockReadGuard { lock: self }
    }

    /// Waits until nobody else holds it, and holds it for writing.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.acquire(READERS).await;
        RwLockWriteGuard { lock: self }
    }

    /// As [`read`](RwLock::read), with a guard that may outlive the borrow.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn read_owned(self: Rc<Self>) -> OwnedRwLockReadGuard<T> {
        self.acquire(1).await;
        OwnedRwLockReadGuard { lock: self }
    }

    /// As [`write`](RwLock::write), with a guard that may outlive the borrow.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line, and the next has its turn.
    pub async fn write_owned(self: Rc<Self>) -> OwnedRwLockWriteGuard<T> {
        self.acquire(READERS).await;
        OwnedRwLockWriteGuard { lock: self }
    }

    async fn acquire(&self, permits: usize) {
        let held = self.semaphore.take(permits).await;
        assert!(held.is_ok(), "nobody closes the semaphore of a lock");
    }

    /// Holds it for reading, if nobody writes and nobody waits.
    ///
    /// # Errors
    /// If somebody does.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(1)?;
        Ok(RwLockReadGuard { lock: self })
    }

    /// Holds it for writing, if nobody holds it.
    ///
    /// # Errors
    /// If somebody does.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(READERS)?;
        Ok(RwLockWriteGuard { lock: self })
    }

    /// As [`try_read`](RwLock::try_read), with a guard that may outlive the borrow.
    ///
    /// # Errors
    /// If somebody writes, or waits.
    pub fn try_read_owned(self: Rc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        self.semaphore.try_take(1)?;
        Ok(OwnedRwLockReadGuard { lock: self })
    }

    /// As [`try_write`](RwLock::try_write), with a guard that may outlive the borrow.
    ///
    /// # Errors
    /// If somebody holds it.
    pub fn try_write_owned(self: Rc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        self.semaphore.try_take(READERS)?;
        Ok(OwnedRwLockWriteGuard { lock: self })
    }

    /// The value: whoever has the lock for himself need not hold it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => f.field("value", &&*guard).finish(),
            Err(_) => f.finish_non_exhaustive(),
        }
    }
}

/// Holds a [`RwLock`] for reading until it is dropped.
#[must_use = "the lock is not held any more when this is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Shared or held: this guard reads, so nobody writes while it lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.semaphore.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Holds a [`RwLock`] for writing until it is dropped.
#[must_use = "the lock is not held any more when this is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Holds it for reading from now on. No writer comes in between; readers that are next in the line join.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(self).lock;
        let guard = RwLockReadGuard { lock };
        lock.semaphore.release(READERS - 1);
        guard
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Shared or held: the only guard is shared as long as the reference lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: Shared or held: the only guard is borrowed mutably as long as the reference lives.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.semaphore.release(READERS);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Holds a [`RwLock`] behind an [`Rc`] for reading until it is dropped.
#[must_use = "the lock is not held any more when this is dropped"]
pub struct OwnedRwLockReadGuard<T: ?Sized> {
    lock: Rc<RwLock<T>>,
}

impl<T: ?Sized> Deref for OwnedRwLockReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Shared or held: this guard keeps the lock alive and reads, so nobody writes while it lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for OwnedRwLockReadGuard<T> {
    fn drop(&mut self) {
        self.lock.semaphore.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Holds a [`RwLock`] behind an [`Rc`] for writing until it is dropped.
#[must_use = "the lock is not held any more when this is dropped"]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    lock: Rc<RwLock<T>>,
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Holds it for reading from now on. No writer comes in between; readers that are next in the line join.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        let this = ManuallyDrop::new(self);
        // SAFETY: Shared or held: the guard is not dropped, so the lock that is read out of it is used once.
        let guard = OwnedRwLockReadGuard { lock: unsafe { ptr::read(&this.lock) } };
        guard.lock.semaphore.release(READERS - 1);
        guard
    }
}

impl<T: ?Sized> Deref for OwnedRwLockWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: Shared or held: the only guard keeps the lock alive, and is shared as long as the reference lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for OwnedRwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: Shared or held: the only guard keeps the lock alive, and is borrowed mutably meanwhile.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for OwnedRwLockWriteGuard<T> {
    fn drop(&mut self) {
        self.lock.semaphore.release(READERS);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Dice, Wakes, hostile, now, poll, unhurt};
    use std::{
        cell::Cell,
        collections::{BTreeMap, VecDeque},
        pin::Pin,
        sync::Arc,
        task::{Poll, Waker},
    };

    #[test]
    fn many_read_and_one_writes() {
        let mut lock = RwLock::new(vec![1]);
        {
            let (a, b) = (now(lock.read()), lock.try_read().unwrap());
            assert_eq!((*a).clone(), *b);
            assert!(lock.try_write().is_err() && format!("{lock:?} {a:?}") == "RwLock { value: [1] } [1]");
        }
        let mut guard = now(lock.write());
        guard.push(2);
        assert!(lock.try_read().is_err() && format!("{lock:?} {guard:?}") == "RwLock { .. } [1, 2]");
        drop(guard);
        lock.get_mut().push(3);
        assert_eq!(lock.into_inner(), [1, 2, 3]);
    }

    /// Red when readers pass a writer that waits.
    #[test]
    fn a_writer_does_not_starve() {
        let (lock, (wakes, waker)) = (RwLock::new(0), Wakes::new());
        let reading = now(lock.read());
        let (mut write, mut read) = (Box::pin(lock.write()), Box::pin(lock.read()));
        assert!(poll(&mut write, &waker).is_pending() && poll(&mut read, &waker).is_pending());
        assert!(lock.try_read().is_err());
        drop(reading);
        assert_eq!(wakes.take(), 1);
        assert!(poll(&mut read, &waker).is_pending());
        drop(write);
        assert!(wakes.take() == 1 && poll(&mut read, &waker).is_ready());
    }

    #[test]
    fn a_writer_may_read_on_before_the_next_writer() {
        let (lock, waker) = (Rc::new(RwLock::new(1)), Waker::noop());
        let mut writing = now(lock.write());
        let (mut read, mut write) = (Box::pin(lock.read()), Box::pin(lock.write()));
        assert!(poll(&mut read, waker).is_pending() && poll(&mut write, waker).is_pending());
        *writing = 2;
        let reading = writing.downgrade();
        let Poll::Ready(other) = poll(&mut read, waker) else { panic!("it was next") };
        assert!((*reading, *other) == (2, 2) && poll(&mut write, waker).is_pending());
        drop((reading, other, read));
        assert!(poll(&mut write, waker).is_ready());
        drop(write);
        let mut owned = now(lock.clone().write_owned());
        *owned = 3;
        let (owned, weak) = (owned.downgrade(), Rc::downgrade(&lock));
        assert!(lock.clone().try_write_owned().is_err() && *lock.clone().try_read_owned().unwrap() == 3);
        drop(lock);
        assert_eq!((*owned, weak.strong_count()), (3, 1));
        drop(owned);
        assert_eq!(weak.strong_count(), 0);
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let lock = Rc::new(RwLock::new(0));
        let (inside, writes) = (lock.clone(), Rc::new(Cell::new(0)));
        let count = writes.clone();
        let waker = hostile(move || {
            drop(inside.try_read());
            if let Ok(mut value) = inside.try_write() {
                *value += 1;
                count.set(count.get() + 1);
            }
            let _ = poll(&mut Box::pin(inside.read()), Waker::noop());
        });
        let guard = now(lock.write());
        let (mut a, mut b, mut c) = (Box::pin(lock.read()), Box::pin(lock.write()), Box::pin(lock.read()));
        assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
        assert!(poll(&mut c, &waker).is_pending());
        let reading = guard.downgrade();
        assert!(poll(&mut a, &waker).is_ready());
        drop((b, reading));
        assert!(poll(&mut c, &waker).is_ready());
        drop((c, waker));
        assert_eq!(*lock.try_read().unwrap(), writes.get());
        unhurt();
    }

    /// A guard of the two kinds, or the future of one.
    enum Guard<'a> {
        Read { _guard: RwLockReadGuard<'a, u32> },
        Write(RwLockWriteGuard<'a, u32>),
    }

    type Locking<'a> = Pin<Box<dyn Future<Output = Guard<'a>> + 'a>>;

    fn locking<'a>(lock: &'a RwLock<u32>, writes: bool) -> Locking<'a> {
        match writes {
            true => Box::pin(async { Guard::Write(lock.write().await) }),
            false => Box::pin(async { Guard::Read { _guard: lock.read().await } }),
        }
    }

    /// A lock, said in the plainest way: who holds it, and who waits in which order. True is for writing.
    #[derive(Default)]
    struct Model {
        held: BTreeMap<usize, bool>,
        waiting: VecDeque<(usize, bool)>,
    }

    impl Model {
        fn is_free(&self, writes: bool) -> bool {
            if writes { self.held.is_empty() } else { self.held.values().all(|writes| !writes) }
        }

        fn serve(&mut self) {
            while let Some(&(id, writes)) = self.waiting.front().filter(|(_, writes)| self.is_free(*writes)) {
                self.waiting.pop_front();
                self.held.insert(id, writes);
            }
        }

        fn leave(&mut self, id: usize) {
            self.held.remove(&id);
            self.waiting.retain(|(waits, _)| *waits != id);
            self.serve();
        }
    }

    struct Waits<'a> {
        id: usize,
        future: Locking<'a>,
        wakes: Arc<Wakes>,
        woken: bool,
    }

    fn agrees_with_the_model(seed: u64) {
        let (lock, mut dice, mut model) = (RwLock::new(0), Dice::new(seed), Model::default());
        let (mut waiting, mut guards): (Vec<Waits<'_>>, Vec<(usize, Guard<'_>)>) = (Vec::new(), Vec::new());
        for id in 0..300 {
            match dice.roll(5) {
                0 | 1 => {
                    let writes = dice.roll(3) == 0;
                    model.waiting.push_back((id, writes));
                    if model.waiting.len() == 1 {
                        model.serve();
                    }
                    waiting.push(Waits { id, future: locking(&lock, writes), wakes: Arc::default(), woken: true });
                    let last = waiting.len() - 1;
                    repoll(&mut waiting, last, &model, &mut guards);
                }
                2 if !waiting.is_empty() => {
                    let at = dice.roll(waiting.len());
                    repoll(&mut waiting, at, &model, &mut guards);
                }
                3 if !waiting.is_empty() => {
                    let at = dice.roll(waiting.len());
                    model.leave(waiting.remove(at).id);
                }
                _ if !guards.is_empty() => {
                    let at = dice.roll(guards.len());
                    let (id, guard) = guards.remove(at);
                    if let Guard::Write(mut value) = guard {
                        *value += 1;
                    }
                    model.leave(id);
                }
                _ => {
                    assert_eq!(lock.try_read().is_ok(), model.is_free(false) && model.waiting.is_empty());
                    assert_eq!(lock.try_write().is_ok(), model.is_free(true) && model.waiting.is_empty());
                }
            }
            for one in &mut waiting {
                let due = model.held.contains_key(&one.id) && !one.woken;
                assert_eq!(one.wakes.take(), usize::from(due), "seed {seed}, step {id}: the wakes of {}", one.id);
                one.woken |= due;
            }
        }
    }

    fn repoll<'a>(waiting: &mut Vec<Waits<'a>>, at: usize, model: &Model, guards: &mut Vec<(usize, Guard<'a>)>) {
        let (wakes, waker) = Wakes::new();
        let one = &mut waiting[at];
        (one.wakes, one.woken) = (wakes, false);
        let ready = poll(&mut one.future, &waker);
        assert_eq!(ready.is_ready(), model.held.contains_key(&one.id), "future {}", one.id);
        if let Poll::Ready(guard) = ready {
            guards.push((waiting.remove(at).id, guard));
        }
    }

    /// Red when readers pass writers, and when a dropped future does not let the next pass.
    #[test]
    fn it_does_what_the_model_does() {
        (0..500).for_each(agrees_with_the_model);
    }
}
