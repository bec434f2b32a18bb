//! Children that borrow.
//!
//! A task of the run queue outlives whoever spawned it, so it can borrow nothing: a handle that is forgotten would not
//! stop it. The children of a scope live in the scope's own future and are polled by nobody else. If that future is
//! dropped, so are they; if it is forgotten, so are they; in neither case does anybody poll them again. Therefore the
//! borrow checker alone keeps the promise that what they borrow outlives them, and there is no unsafe code here.

#![forbid(unsafe_code)]

use super::{
    coop, current,
    ready::Ready,
    task::{JoinError, Outcome, drop_quietly},
};
use crate::driver::quietly;
use slab::Slab;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

/// Runs `body`, which may spawn children that borrow from what is around, and ends when it and they have ended.
///
/// The children are polled by the scope, on the task that awaits it, and only those that were woken. Each poll of one
/// costs a unit of the task's budget.
///
/// ```
/// # annulus::run(async {
/// let names = vec!["io_uring", "epoll", "kqueue"];
/// let mut longest = 0;
/// annulus::scope(async |s| {
///     let lengths = names.iter().map(|name| s.spawn(async { name.len() }));
///     for length in lengths.collect::<Vec<_>>() {
///         longest = longest.max(length.await.unwrap());
///     }
/// })
/// .await;
/// assert_eq!((longest, names.len()), (8, 3));
/// # });
/// ```
///
/// A [`Scope`] is cheap to clone, and a child that has a clone may spawn further children:
///
/// ```
/// # annulus::run(async {
/// let count = std::cell::Cell::new(0);
/// let counted = &count;
/// annulus::scope(async |s| {
///     let inner = s.clone();
///     s.spawn(async move {
///         inner.spawn(async { counted.set(counted.get() + 1) });
///     });
/// })
/// .await;
/// assert_eq!(count.get(), 1);
/// # });
/// ```
///
/// What a child borrows lives longer than the scope. A variable of `body` does not:
///
/// ```compile_fail,E0597
/// # annulus::run(async {
/// annulus::scope(async |s| {
///     let inside = String::new();
///     s.spawn(async { inside.len() });
/// })
/// .await;
/// # });
/// ```
///
/// Neither does what ends before the scope is awaited to its end, nor can a scope be given to a task:
///
/// ```compile_fail,E0505
/// # annulus::run(async {
/// let text = String::new();
/// let scope = annulus::scope(async |s| { s.spawn(async { text.len() }); });
/// drop(text);
/// scope.await;
/// # });
/// ```
///
/// ```compile_fail,E0597
/// # annulus::run(async {
/// let text = String::new();
/// annulus::spawn(annulus::scope(async |s| { s.spawn(async { text.len() }); }));
/// # });
/// ```
///
/// # Panics
/// At its end with the panic of `body`, or of a child whose handle was dropped without having been awaited.
///
/// # Cancellation
/// **Lossy**: `body` is dropped, then all children are, with what they have done so far.
pub async fn scope<'scope, T>(body: impl AsyncFnOnce(Scope<'scope>) -> T) -> T {
    let scope = Closing(Scope(Rc::new(Inner::default())));
    let inner = &*scope.0.0;
    let mut body = pin!(Some(body(scope.0.clone())));
    let waker = inner.ready.waker(BODY);
    let mut output = None;
    inner.ready.push(BODY);
    poll_fn(|cx| {
        let round = inner.ready.len();
        for _ in 0..round {
            let proceed = ready!(coop::poll_proceed(cx));
            let Some(key) = inner.ready.next() else { break };
            proceed.made_progress();
            if key != BODY {
                inner.poll_child(key);
            } else if let Some(running) = body.as_mut().as_pin_mut() {
                let step = catch_unwind(AssertUnwindSafe(|| running.poll(&mut Context::from_waker(&waker))));
                output = match step {
                    Ok(Poll::Pending) => continue,
                    Ok(Poll::Ready(value)) => Some(Ok(value)),
                    Err(payload) => Some(Err(payload)),
                };
                body.set(None);
            }
        }
        match output.take() {
            Some(result) if inner.children.borrow().is_empty() => return Poll::Ready(result),
            before => output = before,
        }
        inner.ready.wait(cx);
        Poll::Pending
    })
    .await
    .and_then(|value| inner.panic.take().map_or(Ok(value), Err))
    .unwrap_or_else(|payload| resume_unwind(payload))
}

/// The key of the body in the queue of those that were woken; a child has its place plus one.
const BODY: usize = 0;

/// Spawns children of a [`scope`]. Its clones are all the same scope.
#[derive(Clone)]
pub struct Scope<'scope>(Rc<Inner<'scope>>);

#[derive(Default)]
struct Inner<'scope> {
    /// None while the child is being polled.
    children: RefCell<Slab<Option<Child<'scope>>>>,
    ready: Ready,
    closed: Cell<bool>,
    /// The first panic that nobody can await any more.
    panic: RefCell<Option<Box<dyn Any + Send>>>,
}

struct Child<'scope> {
    future: Pin<Box<dyn Future<Output = ()> + 'scope>>,
    waker: Waker,
}

impl<'scope> Scope<'scope> {
    /// Starts a child. It is polled the next time the scope is; without a clone of the scope, it can be ended by its
    /// handle alone.
    ///
    /// If the scope has ended, the future is dropped at once and the handle says that it was cancelled.
    pub fn spawn<F: Future + 'scope>(&self, future: F) -> ScopedJoinHandle<'scope, F::Output> {
        let packet = Rc::new(Packet { state: RefCell::new(State::Running(None)), aborted: Cell::new(false) });
        let handle = |key| ScopedJoinHandle { packet: packet.clone(), scope: self.clone(), key };
        let end = End { packet: packet.clone(), scope: self.clone() };
        if self.0.closed.get() {
            let handle = handle(BODY);
            drop((future, end));
            return handle;
        }
        let child = Box::pin(run(Box::pin(future), end));
        let mut children = self.0.children.borrow_mut();
        let entry = children.vacant_entry();
        let key = entry.key() + 1;
        entry.insert(Some(Child { future: child, waker: self.0.ready.waker(key) }));
        drop(children);
        self.0.ready.push(key);
        handle(key)
    }
}

impl Inner<'_> {
    /// Polls a child that was woken, between two borrows: it may spawn others.
    fn poll_child(&self, key: usize) {
        let place = key - 1;
        let woken = self.children.borrow_mut().get_mut(place).and_then(Option::take);
        let Some(mut child) = woken else { return };
        if child.future.as_mut().poll(&mut Context::from_waker(&child.waker)).is_pending() {
            self.children.borrow_mut()[place] = Some(child);
        } else {
            self.children.borrow_mut().remove(place);
        }
    }

    /// Keeps the panic of a child that nobody can await any more for the scope's end; later it can only be reported.
    fn keep(&self, error: JoinError) {
        if self.closed.get() {
            current::with(|core| core.remote().unawaited_panic(&"a child of a scope", &error));
        } else if let Ok(payload) = error.try_into_panic() {
            let first = self.panic.borrow().is_none();
            if first { drop(self.panic.replace(Some(payload))) } else { drop_quietly(payload) }
        }
    }
}

/// Ends the scope when it goes, in whatever way: the children hold it, and it holds the children.
struct Closing<'scope>(Scope<'scope>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let inner = &*self.0.0;
        inner.closed.set(true);
        let children = mem::take(&mut *inner.children.borrow_mut());
        for (_, child) in children {
            // Two panics at once would end the process.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(child))) {
                inner.keep(JoinError::panicked(payload));
            }
        }
        if let Some(payload) = inner.panic.take() {
            inner.keep(JoinError::panicked(payload));
        }
    }
}

/// The life of a child: its panics are its own, and its future is gone before its output is told.
async fn run<F: Future>(future: Pin<Box<F>>, end: End<'_, F::Output>) {
    let mut future = Some(future);
    let mut outcome = poll_fn(|cx| {
        let running = future.as_mut().expect("a child is not polled after its end");
        if end.packet.aborted.get() {
            return Poll::Ready(Err(JoinError::cancelled()));
        }
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(step) => step.map(Ok),
            Err(payload) => Poll::Ready(Err(JoinError::panicked(payload))),
        }
    })
    .await;
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| future = None)) {
        if outcome.as_ref().is_err_and(JoinError::is_panic) {
            drop_quietly(payload);
        } else {
            drop_quietly(mem::replace(&mut outcome, Err(JoinError::panicked(payload))));
        }
    }
    end.tell(outcome);
}

/// The child's end of its packet. One that goes without a word tells of a cancellation.
struct End<'scope, T> {
    packet: Rc<Packet<T>>,
    scope: Scope<'scope>,
}

impl<T> End<'_, T> {
    fn tell(&self, outcome: Outcome<T>) {
        if let State::Running(Some(waker)) = self.packet.state.replace(State::Ended(outcome)) {
            quietly(|| waker.wake());
        }
        // Who holds the packet alone has no handle beside it.
        if Rc::strong_count(&self.packet) == 1 {
            self.packet.abandon(&self.scope);
        }
    }
}

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        if !self.packet.has_ended() {
            self.tell(Err(JoinError::cancelled()));
        }
    }
}

/// What a child and its handle share.
struct Packet<T> {
    state: RefCell<State<T>>,
    aborted: Cell<bool>,
}

enum State<T> {
    /// With the waker of whoever awaits the handle.
    Running(Option<Waker>),
    Ended(Outcome<T>),
    Taken,
}

impl<T> Packet<T> {
    fn has_ended(&self) -> bool {
        !matches!(*self.state.borrow(), State::Running(_))
    }

    /// There is no handle any more: what came of the child is dropped, but a panic is kept.
    fn abandon(&self, scope: &Scope<'_>) {
        match self.state.replace(State::Taken) {
            State::Ended(Err(error)) if error.is_panic() => scope.0.keep(error),
            rest => drop_quietly(rest),
        }
    }
}

/// Awaits the output of a [`scope`]'s child. Dropping it lets the child run on.
///
/// # Errors
/// A [`JoinError`] if the child panicked, was aborted, or was dropped with its scope.
///
/// # Panics
/// If it is polled again after it gave the output.
///
/// # Cancellation
/// **Clean**: awaiting changes nothing but who is woken.
pub struct ScopedJoinHandle<'scope, T> {
    packet: Rc<Packet<T>>,
    scope: Scope<'scope>,
    key: usize,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Ends the child: its future is dropped when the scope is polled next, and awaiting the handle gives a
    /// [`JoinError`] that [is cancelled](JoinError::is_cancelled). A child that ends before keeps its output.
    pub fn abort(&self) {
        if !self.is_finished() {
            self.packet.aborted.set(true);
            self.scope.0.ready.push(self.key);
        }
    }

    /// Whether the output is there, or was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.packet.has_ended()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_finished() {
            let before = self.packet.state.replace(State::Running(Some(cx.waker().clone())));
            drop(before);
            return Poll::Pending;
        }
        match self.packet.state.replace(State::Taken) {
            State::Ended(outcome) => Poll::Ready(outcome),
            _ => panic!("a ScopedJoinHandle was polled after it had given its output"),
        }
    }
}

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        if self.is_finished() {
            self.packet.abandon(&self.scope);
        }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.0.children.borrow().len();
        f.debug_struct("Scope").field("children", &children).field("closed", &self.0.closed.get()).finish()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Runtime, yield_now};
    use std::future::pending;

    async fn after<T>(yields: usize, output: T) -> T {
        for _ in 0..yields {
            yield_now().await;
        }
        output
    }

    fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Red when the scope ends before its children.
    #[crate::test]
    async fn children_borrow_and_the_scope_waits_for_them() {
        let text = String::from("shared");
        let (mut count, mut list) = (0, vec![1, 2, 3]);
        let output = scope(async |s| {
            let length = s.spawn(after(1, text.len()));
            s.spawn(async { count += after(3, 2).await });
            for item in &mut list {
                s.spawn(async move { *item *= after(2, 10).await });
            }
            length.await.unwrap()
        })
        .await;
        assert_eq!((output, count, list, text.as_str()), (6, 2, vec![10, 20, 30], "shared"));
    }

    /// Red when the children are dropped all at once: the process ends then.
    #[test]
    fn children_whose_ends_panic_end_one_after_the_other() {
        struct Loud(Rc<Cell<u32>>);
        impl Drop for Loud {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
                panic!("on purpose");
            }
        }
        let dropped = Rc::new(Cell::new(0));
        let louds = [(); 3].map(|()| Loud(dropped.clone()));
        let given_up = async move {
            scope(async move |s| {
                for loud in louds {
                    s.spawn(async move {
                        let _loud = loud;
                        pending::<()>().await;
                    });
                }
                pending::<()>().await;
            })
            .await;
        };
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let given_up = crate::rt::spawn(given_up);
            yield_now().await;
            yield_now().await;
            given_up.abort();
            assert!(given_up.await.is_err());
        });
        assert_eq!((dropped.get(), runtime.shut_down().unawaited_panics), (3, 3));
    }

    /// Red when the children of children are not waited for, or not polled.
    #[crate::test]
    async fn children_spawn_children() {
        let count = Cell::new(0);
        let (counted, text) = (&count, String::from("x"));
        scope(async |s| {
            let s2 = s.clone();
            let text = &text;
            s.spawn(async move {
                let s3 = s2.clone();
                let inner = s2.spawn(async move {
                    after(2, ()).await;
                    s3.spawn(async move { counted.set(counted.get() + text.len()) });
                    counted.set(counted.get() + 10);
                });
                inner.await.unwrap();
                counted.set(counted.get() + 100);
            });
        })
        .await;
        assert_eq!(count.get(), 111);
    }

    /// Red when a poll of the scope polls children that were not woken.
    #[crate::test]
    async fn only_those_that_were_woken_are_polled() {
        const MANY: usize = 1000;
        let polls = Cell::new(0);
        let wakers: RefCell<Vec<Waker>> = RefCell::default();
        let child = |last: bool| {
            let mut woken = false;
            let (polls, wakers) = (&polls, &wakers);
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                if mem::replace(&mut woken, true) {
                    return Poll::Ready(());
                }
                wakers.borrow_mut().push(cx.waker().clone());
                if last {
                    wakers.borrow().iter().for_each(Waker::wake_by_ref);
                }
                Poll::Pending
            })
        };
        scope(async |s| (0..MANY).for_each(|n| drop(s.spawn(child(n == MANY - 1))))).await;
        assert_eq!(polls.get(), 2 * MANY);
    }

    /// Red when a child that wakes itself is polled on and on.
    #[crate::test]
    async fn a_busy_scope_lets_others_through() {
        let done = Rc::new(Cell::new(false));
        let set = done.clone();
        crate::rt::spawn(async move {
            after(20, ()).await;
            set.set(true);
        });
        scope(async |s| {
            for _ in 0..200 {
                s.spawn(async {
                    while !done.get() {
                        yield_now().await;
                    }
                });
            }
        })
        .await;
    }

    /// Without a runtime there is no budget; one poll is one round all the same.
    #[test]
    fn a_poll_is_a_round() {
        let polls = Cell::new(0);
        let mut future = pin!(scope(async |s| {
            s.spawn(async {
                loop {
                    polls.set(polls.get() + 1);
                    yield_now().await;
                }
            });
            pending::<()>().await
        }));
        for round in 0..5 {
            assert!(poll_once(future.as_mut()).is_pending());
            assert_eq!(polls.get(), round);
        }
    }

    /// Red when a panic that was awaited is resumed, and when one that nobody awaited is not, or before the others end.
    #[test]
    fn a_panic_goes_to_who_awaits_it_or_to_the_scope() {
        let runtime = Runtime::new().unwrap();
        let awaited = runtime.block_on(scope(async |s| s.spawn(async { panic!("on purpose") }).await));
        assert_eq!(awaited.unwrap_err().to_string(), "the task panicked: on purpose");
        let ended = Cell::new(0);
        let lost = |inside: bool| {
            let ended = &ended;
            let body = scope(async move |s| {
                let handle = s.spawn(async { panic!("lost") });
                s.spawn(async { ended.set(ended.get() + after(5, 1).await) });
                if inside {
                    after(3, ()).await;
                }
                drop::<ScopedJoinHandle<'_, ()>>(handle);
            });
            let payload = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body))).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&"lost"));
        };
        lost(false);
        lost(true);
        let body = scope(async |s| {
            s.spawn(async { ended.set(ended.get() + after(5, 1).await) });
            panic!("body");
        });
        let payload = catch_unwind(AssertUnwindSafe(|| runtime.block_on::<_>(body))).unwrap_err();
        assert_eq!((payload.downcast_ref(), ended.get()), (Some(&"body"), 3));
        assert_eq!(runtime.metrics().unawaited_panics, 0);
    }

    /// Red when an aborted child runs on, and when a late abort takes an output.
    #[crate::test]
    async fn children_can_be_aborted() {
        let alive = Rc::new(());
        scope(async |s| {
            let inside = alive.clone();
            let stuck = s.spawn(async move {
                let _inside = inside;
                pending::<()>().await
            });
            after(2, ()).await;
            assert_eq!((Rc::strong_count(&alive), stuck.is_finished()), (2, false));
            stuck.abort();
            assert!(stuck.await.unwrap_err().is_cancelled());
            assert_eq!(Rc::strong_count(&alive), 1);
            let early = s.spawn(async { 1 });
            after(2, ()).await;
            early.abort();
            assert_eq!(early.await.unwrap(), 1);
        })
        .await;
    }

    /// Red when the children hold the scope and the scope the children beyond its end, and when a handle that was
    /// taken out waits for ever.
    #[crate::test]
    async fn a_scope_that_is_given_up_drops_everything() {
        let alive = Rc::new(());
        let (kept, handle) = (RefCell::new(None), RefCell::new(None));
        let mut future = Box::pin(scope(async |s| {
            for _ in 0..3 {
                let (alive, s2) = (alive.clone(), s.clone());
                handle.replace(Some(s.spawn(async move {
                    let _both = (alive, s2);
                    pending::<()>().await
                })));
            }
            kept.replace(Some(s));
            pending::<()>().await
        }));
        (0..3).for_each(|_| assert!(poll_once(future.as_mut()).is_pending()));
        assert_eq!(Rc::strong_count(&alive), 4);
        drop(future);
        assert_eq!(Rc::strong_count(&alive), 1);
        assert!(handle.take().unwrap().await.unwrap_err().is_cancelled());
        let late = kept.take().unwrap().spawn(async {});
        assert!(late.await.unwrap_err().is_cancelled(), "the scope has ended");
    }

    /// An output may leave the scope with its handle.
    #[crate::test]
    async fn a_handle_may_outlive_the_scope() {
        let text = String::from("text");
        let handle = scope(async |s| s.spawn(async { text.as_str() })).await;
        assert!(handle.is_finished());
        assert_eq!(handle.await.unwrap(), "text");
    }
}
