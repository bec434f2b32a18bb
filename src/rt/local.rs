//! Values that belong to a future: `task_local!`.
//!
//! The value lies in a slot of the thread while its future is polled, and beside the future between two polls; the two
//! places are swapped before and after. So nested scopes put the outer value back by themselves, and a future may go on
//! on another thread.
//!
//! The invariant **Pinned** in this file: the inner future is pinned as soon as its [`TaskLocalFuture`] is, which is
//! only `Unpin` if the future is. It is reached by `parts` alone, which gives it out pinned, also to `Drop`.

use std::{
    cell::RefCell,
    error, fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

/// Declares values that belong to a future instead of a thread.
///
/// Each `static` becomes a [`LocalKey`](crate::task::LocalKey); its [`scope`](crate::task::LocalKey::scope) gives a
/// future a value of it.
///
/// ```
/// annulus::task_local! {
///     /// Whom this request is for.
///     static USER: String;
///     static DEPTH: u32;
/// }
///
/// async fn greet() -> String {
///     USER.with(|user| format!("hello {user}"))
/// }
///
/// # annulus::run(async {
/// let (one, other) = annulus::join!(USER.scope("Ada".into(), greet()), USER.scope("Grace".into(), greet()));
/// assert_eq!((one.as_str(), other.as_str()), ("hello Ada", "hello Grace"));
/// assert!(DEPTH.try_with(|_| ()).is_err());
/// # });
/// ```
///
/// A task does not inherit values of the task that spawned it.
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);* $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::task::LocalKey<$type> = {
                ::std::thread_local! {
                    static SLOT: ::core::cell::RefCell<::core::option::Option<$type>> =
                        const { ::core::cell::RefCell::new(::core::option::Option::None) };
                }
                $crate::task::LocalKey::new(&SLOT)
            };
        )*
    };
}

/// The name of a value that futures can be given; declared by [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    slot: &'static thread::LocalKey<RefCell<Option<T>>>,
}

impl<T> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(slot: &'static thread::LocalKey<RefCell<Option<T>>>) -> LocalKey<T> {
        LocalKey { slot }
    }

    /// Gives `future` the value `value`: it finds it whenever it is polled, and when it is dropped.
    ///
    /// The value is dropped with the future that this gives, or taken out by [`TaskLocalFuture::take_value`].
    ///
    /// # Panics
    /// Polling it panics inside [`with`](LocalKey::with) of the same key.
    ///
    /// # Cancellation
    /// **Clean** as far as the value goes, which is dropped after `future`; that one's own section says the rest.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future) }
    }

    /// Gives `f` the value `value` while it runs.
    ///
    /// # Panics
    /// Inside [`with`](LocalKey::with) of the same key, and if `f` does.
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _entered = self.enter(&mut value).unwrap_or_else(|refused| panic!("{refused}"));
        f()
    }

    /// Shows the value to `f`.
    ///
    /// # Panics
    /// If there is none here; and if `f` does.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Shows the value to `f`.
    ///
    /// # Errors
    /// [`AccessError`] if there is none here, and while the thread ends.
    ///
    /// # Panics
    /// If `f` does.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let found = self.slot.try_with(|slot| slot.borrow().as_ref().map(f));
        found.ok().flatten().ok_or(AccessError(()))
    }

    /// A copy of the value.
    ///
    /// # Panics
    /// If there is none here.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// [`AccessError`] if there is none here.
    pub fn try_get(&'static self) -> Result<T, AccessError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// Puts `value` into the thread's slot, until the guard goes.
    fn enter<'a>(&'static self, value: &'a mut Option<T>) -> Result<Entered<'a, T>, Refused> {
        self.swap(value)?;
        Ok(Entered { key: self, value })
    }

    fn swap(&self, value: &mut Option<T>) -> Result<(), Refused> {
        let swapped = self.slot.try_with(|slot| slot.try_borrow_mut().map(|mut slot| mem::swap(&mut *slot, value)));
        match swapped {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Refused::Shown),
            Err(_) => Err(Refused::Gone),
        }
    }
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// Why a value cannot be put into the slot.
#[derive(Debug)]
enum Refused {
    Shown,
    Gone,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Shown => "a task-local value cannot be set while `with` shows it",
            Refused::Gone => "a task-local value cannot be set while its thread ends",
        })
    }
}

/// The value is in the thread's slot, and what was there before is in its place.
struct Entered<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // It was possible before, and nobody can hold a borrow of the slot beyond a closure inside. If the thread has
        // ended the slot meanwhile, there is nothing to put back.
        let _ = self.key.swap(self.value);
    }
}

/// A future with a value; made by [`LocalKey::scope`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct TaskLocalFuture<T: 'static, F> {
    key: &'static LocalKey<T>,
    value: Option<T>,
    future: Option<F>,
}

impl<T, F> TaskLocalFuture<T, F> {
    /// Takes the value out, usually after the future is ready. Polled without its value, the future does not find one.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: Pinned: the value is not pinned, and the future is not touched.
        unsafe { self.get_unchecked_mut() }.value.take()
    }

    /// The parts, each in its own way.
    fn parts(self: Pin<&mut Self>) -> (&'static LocalKey<T>, &mut Option<T>, Pin<&mut Option<F>>) {
        // SAFETY: Pinned: of the fields borrowed here only the future is pinned, and it is given out as such.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: Pinned: `self` was pinned until the line above and nothing has moved the future since.
        (this.key, &mut this.value, unsafe { Pin::new_unchecked(&mut this.future) })
    }
}

impl<T, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (key, value, mut future) = self.parts();
        let _entered = key.enter(value).unwrap_or_else(|refused| panic!("{refused}"));
        let running = future.as_mut().as_pin_mut().expect("a TaskLocalFuture was polled after it was ready");
        let output = ready!(running.poll(cx));
        future.set(None);
        Poll::Ready(output)
    }
}

impl<T, F> Drop for TaskLocalFuture<T, F> {
    fn drop(&mut self) {
        // SAFETY: Pinned: a value that is being dropped is not moved any more.
        let (key, value, mut future) = unsafe { Pin::new_unchecked(self) }.parts();
        if future.is_some() {
            // Where the value cannot be set, the future goes without it.
            let _entered = key.enter(value);
            future.set(None);
        }
    }
}

impl<T: fmt::Debug, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").field("value", &self.value).finish_non_exhaustive()
    }
}

/// There is no value of the key here: nothing around has [given](LocalKey::scope) one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no value of this task-local here: use it inside `scope` or `sync_scope`")
    }
}

impl error::Error for AccessError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Runtime, spawn, yield_now};
    use static_assertions::{assert_impl_all, assert_not_impl_any};
    use std::{
        cell::Cell,
        future::{Ready, pending, ready},
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
        rc::Rc,
        task::Waker,
    };

    assert_impl_all!(TaskLocalFuture<u8, Ready<u8>>: Send, Sync, Unpin);
    assert_not_impl_any!(TaskLocalFuture<Rc<u8>, Ready<u8>>: Send, Sync);
    assert_not_impl_any!(TaskLocalFuture<u8, std::marker::PhantomPinned>: Unpin);
    assert_impl_all!(AccessError: Send, Sync, error::Error);

    crate::task_local! {
        /// A number.
        static NUMBER: u32;
        pub(super) static TEXT: Option<Rc<str>>;
    }
    crate::task_local!(static LONE: Cell<u8>);

    fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Finds out in `Drop` what the number is.
    struct Witness<'a>(&'a Cell<Option<u32>>);

    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            self.0.set(NUMBER.try_get().ok());
        }
    }

    /// Red when the value stays in the slot between two polls.
    #[crate::test]
    async fn each_task_finds_its_own_value() {
        let tasks: Vec<_> = (0..3)
            .map(|n| {
                spawn(NUMBER.scope(n, async move {
                    for _ in 0..3 {
                        assert_eq!(NUMBER.get(), n);
                        yield_now().await;
                        assert!(spawn(async { NUMBER.try_get() }).await.unwrap().is_err(), "nothing is inherited");
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(NUMBER.try_with(|_| ()), Err(AccessError(())));
    }

    /// Red when the outer value is not put back.
    #[crate::test]
    async fn scopes_nest() {
        let inside = async {
            assert_eq!((NUMBER.get(), TEXT.try_get().is_ok()), (1, false));
            let deeper = async {
                yield_now().await;
                (NUMBER.get(), TEXT.with(|text| text.as_deref().map(str::len)))
            };
            let both = NUMBER.scope(2, TEXT.scope(Some("four".into()), deeper));
            assert_eq!(both.await, (2, Some(4)));
            assert_eq!(NUMBER.sync_scope(3, || NUMBER.sync_scope(4, || NUMBER.get()) + NUMBER.get()), 7);
            yield_now().await;
            NUMBER.get()
        };
        assert_eq!(NUMBER.scope(1, inside).await, 1);
        LONE.sync_scope(Cell::new(1), || {
            LONE.with(|cell| cell.set(2));
            assert_eq!(LONE.with(Cell::get), 2);
        });
    }

    /// Red when a panic leaves the value in the slot.
    #[test]
    fn a_panic_puts_the_outer_value_back() {
        NUMBER.sync_scope(1, || {
            let panics = AssertUnwindSafe(|| NUMBER.sync_scope(2, || panic!("on purpose")));
            catch_unwind(panics).unwrap_err();
            assert_eq!(NUMBER.get(), 1);
            let mut future = pin!(NUMBER.scope(2, async { panic!("on purpose") }));
            catch_unwind(AssertUnwindSafe(|| poll_once(future.as_mut()))).unwrap_err();
            assert_eq!(NUMBER.get(), 1);
            assert_eq!(future.take_value(), Some(2), "and the inner one in its place");
        });
        assert!(NUMBER.try_get().is_err());
    }

    /// Red when `Drop` does not enter, and when a ready future is dropped after the slot was left.
    #[test]
    fn a_dropped_future_finds_its_value() {
        let seen = Cell::new(None);
        let witness = Witness(&seen);
        drop(NUMBER.scope(1, async move {
            let _witness = witness;
        }));
        assert_eq!(seen.take(), Some(1), "never polled");

        let witness = Witness(&seen);
        let mut waiting = Box::pin(NUMBER.scope(2, async move {
            let _witness = witness;
            pending::<()>().await;
        }));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(waiting);
        assert_eq!(seen.take(), Some(2), "pending");

        let mut done = pin!(NUMBER.scope(3, KeepsWitness(Witness(&seen))));
        assert!(poll_once(done.as_mut()).is_ready());
        assert_eq!(seen.take(), Some(3), "ready");
        assert_eq!(done.take_value(), Some(3));
    }

    /// Ready at once, and keeps what it has until it is dropped.
    struct KeepsWitness<'a>(#[allow(dead_code)] Witness<'a>);

    impl Future for KeepsWitness<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    #[test]
    fn without_a_value_the_future_finds_none() {
        let mut future = pin!(NUMBER.scope(1, async { NUMBER.try_get() }));
        assert_eq!(future.as_mut().take_value(), Some(1));
        assert_eq!(poll_once(future.as_mut()), Poll::Ready(Err(AccessError(()))));
        assert_eq!(future.take_value(), None);
    }

    /// A value that is shown cannot be put away: that is a panic, and nothing is lost by it.
    #[test]
    fn what_is_shown_is_not_changed() {
        NUMBER.sync_scope(1, || {
            NUMBER.with(|shown| {
                let mut future = pin!(NUMBER.scope(2, ready(())));
                catch_unwind(AssertUnwindSafe(|| poll_once(future.as_mut()))).unwrap_err();
                catch_unwind(|| NUMBER.sync_scope(2, || ())).unwrap_err();
                assert_eq!((*shown, NUMBER.get()), (1, 1), "reading goes deeper");
                assert_eq!(future.as_mut().take_value(), Some(2));
                drop(NUMBER.scope(3, ready(())));
            });
        });
        assert!(catch_unwind(|| NUMBER.get()).is_err());
    }

    /// A future that goes on on another thread takes its value along.
    #[test]
    fn the_value_goes_where_the_future_goes() {
        let mut future = Box::pin(NUMBER.scope(1, async {
            let before = thread::current().id();
            yield_now().await;
            (NUMBER.get(), thread::current().id() != before)
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        let there = thread::spawn(move || Runtime::new().unwrap().block_on(future));
        assert_eq!(there.join().unwrap(), (1, true));
    }

    /// At the end of a thread its slots are gone; a future that is dropped then is dropped without its value.
    #[test]
    fn a_thread_that_ends_is_no_panic() {
        type Kept = TaskLocalFuture<Option<Rc<str>>, Ready<()>>;
        thread_local!(static LATE: Cell<Option<Kept>> = const { Cell::new(None) });
        thread::spawn(|| {
            // Slots go last first: that of TEXT before this one.
            LATE.set(Some(TEXT.scope(None, ready(()))));
            TEXT.sync_scope(None, || ());
        })
        .join()
        .unwrap();
    }
}
